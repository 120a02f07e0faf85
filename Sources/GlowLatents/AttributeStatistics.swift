import GlowKernels

/// An attribute that says nothing by itself.
public struct AttributeError: Error, CustomStringConvertible, Equatable {
  public let description: String
  init(_ description: String) { self.description = description }
}

/// What latents have to do with yes-or-no attributes, from one pass over the images; sums are in Double.
///
/// With ε the latents and a_k ∈ {0, 1} attribute k, over n images
///
///     C_jk = cov(a_j, a_k),   c_k = cov(a_k, ε)
///
/// - the **mean difference** is mean(ε | a_k = 1) − mean(ε | a_k = 0) = c_k / C_kk (Kingma & Dhariwal 2018,
///   section 6);
/// - the **partial effect** is row k of C⁻¹·c: the coefficient of a_k where ε is regressed on all attributes by
///   least squares. It is the mean difference after everything about a_k that the other attributes tell has been
///   taken out of it (Frisch & Waugh 1933), so where attributes occur together it does not move the others along.
///
/// Where C is diagonal the two are the same.
public struct AttributeStatistics: Sendable {
  public let names: [String]
  public private(set) var count = 0
  /// Images that have both attributes, [names, names].
  private var together: [[Int]]
  /// Σ ε, and Σ ε of the images with each attribute.
  private var total: [Double]
  private var sums: [[Double]]

  /// - Parameters:
  ///   - names: of the attributes.
  ///   - size: values of one image's latents.
  public init(names: [String], size: Int) {
    self.names = names
    together = names.map { _ in names.map { _ in 0 } }
    total = [Double](repeating: 0, count: size)
    sums = names.map { _ in [Double](repeating: 0, count: size) }
  }

  /// Takes one image in.
  public mutating func add(_ latents: [Float], attributes: [Bool]) {
    precondition(latents.count == total.count && attributes.count == names.count)
    count += 1
    AttributeStatistics.add(latents, to: &total)
    for first in names.indices where attributes[first] {
      AttributeStatistics.add(latents, to: &sums[first])
      for second in names.indices where attributes[second] { together[first][second] += 1 }
    }
  }

  private static func add(_ values: [Float], to sums: inout [Double]) {
    for index in values.indices { sums[index] += Double(values[index]) }
  }

  /// Images with an attribute.
  public func count(with attribute: Int) -> Int { together[attribute][attribute] }

  /// The correlation of two attributes.
  public func correlation(_ first: Int, _ second: Int) -> Double {
    covariance(first, second) / (covariance(first, first) * covariance(second, second)).squareRoot()
  }

  /// - Throws: `AttributeError` if all images have the attribute or none has.
  public func meanDifference(_ attribute: Int) throws -> [Float] {
    try checkVaries(attribute)
    let variance = covariance(attribute, attribute)
    return combination { $0 == attribute ? 1 / variance : 0 }
  }

  /// - Throws: `AttributeError` if all images have an attribute or none has, or if one follows from others.
  public func partialEffect(_ attribute: Int) throws -> [Float] {
    for index in names.indices { try checkVaries(index) }
    try checkIndependence()
    let inverse = try leadingCovariances(names.count).inverse()
    return combination { inverse[attribute * names.count + $0] }
  }

  private func covariance(_ first: Int, _ second: Int) -> Double {
    let n = Double(count)
    return Double(together[first][second]) / n - Double(count(with: first)) / n * Double(count(with: second))
      / n
  }

  /// Σ_k weight(k)·c_k.
  private func combination(_ weight: (_ attribute: Int) -> Double) -> [Float] {
    var result = [Double](repeating: 0, count: total.count)
    let n = Double(count)
    for attribute in names.indices {
      let weight = weight(attribute)
      if weight == 0 { continue }
      let share = Double(count(with: attribute)) / n
      for index in result.indices {
        result[index] += weight * (sums[attribute][index] - share * total[index]) / n
      }
    }
    return result.map { Float($0) }
  }

  /// The covariances of the first `size` attributes.
  private func leadingCovariances(_ size: Int) throws -> Factorisation {
    try Factorisation(
      (0..<size).flatMap { row in (0..<size).map { covariance(row, $0) } }, size: size)
  }

  private func checkVaries(_ attribute: Int) throws {
    let having = count(with: attribute)
    if having == 0 || having == count {
      throw AttributeError(
        "\(having == 0 ? "none" : "each") of the \(count) images has \(names[attribute]): "
          + "its effect needs images with and without")
    }
  }

  /// Finds the first attribute that the ones before determine.
  private func checkIndependence() throws {
    for size in 1...names.count {
      let condition = try? leadingCovariances(size).conditionNumber()
      if condition ?? .infinity > 1e10 {
        throw AttributeError(
          "\(names[size - 1]) follows from the other attributes, so that its effect cannot be told from theirs"
        )
      }
    }
  }
}
