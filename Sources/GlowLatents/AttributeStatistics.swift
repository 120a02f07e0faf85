import GlowImages
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
/// Where C is diagonal the two are the same. Attributes that add nothing to the regression are no regressors: those
/// that all images have or none has, and those that follow from others, as the last class follows from the rest.
/// Of attributes that exclude each other, as classes do, each is compared with all the others together: they too
/// are no regressors for its own effect, which would otherwise be that against whichever class is left out.
package struct AttributeStatistics: Sendable {
  package let names: [String]
  /// Attributes of which an image has one at most.
  private let exclusive: Range<Int>
  package private(set) var count = 0
  /// Images that have both attributes, [names, names].
  private var together: [[Int]]
  /// Σ ε, and Σ ε of the images with each attribute.
  private var total: [Double]
  private var sums: [[Double]]

  /// - Parameters:
  ///   - names: of the attributes.
  ///   - exclusive: those of which an image has one at most, such as classes.
  ///   - size: values of one image's latents.
  package init(names: [String], exclusive: Range<Int> = 0..<0, size: Int) {
    self.names = names
    self.exclusive = exclusive
    together = names.map { _ in names.map { _ in 0 } }
    total = [Double](repeating: 0, count: size)
    sums = names.map { _ in [Double](repeating: 0, count: size) }
  }

  /// Takes one image in.
  package mutating func add(_ latents: [Float], attributes: [Bool]) {
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
  package func count(with attribute: Int) -> Int { together[attribute][attribute] }

  /// The correlation of two attributes.
  package func correlation(_ first: Int, _ second: Int) -> Double {
    covariance(first, second) / (covariance(first, first) * covariance(second, second)).squareRoot()
  }

  /// - Throws: `AttributeError` if all images have the attribute or none has.
  package func meanDifference(_ attribute: Int) throws -> [Float] {
    try checkVaries(attribute)
    let variance = covariance(attribute, attribute)
    return combination { $0 == attribute ? 1 / variance : 0 }
  }

  /// - Throws: `AttributeError` if all images have the attribute or none has, or if it follows from others.
  package func partialEffect(_ attribute: Int) throws -> [Float] {
    try checkVaries(attribute)
    let regressors = others(than: attribute) + [attribute]
    if !isIndependent(regressors) {
      throw AttributeError(
        "\(names[attribute]) follows from the other attributes, so that its effect cannot be told from theirs"
      )
    }
    let last = try covariances(regressors).inverse().suffix(regressors.count)
    let weights = Dictionary(uniqueKeysWithValues: zip(regressors, last))
    return combination { weights[$0] ?? 0 }
  }

  /// Whether some images have the attribute and others have not.
  package func varies(_ attribute: Int) -> Bool { (1..<max(1, count)).contains(count(with: attribute)) }

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

  /// The covariances of some attributes.
  private func covariances(_ attributes: [Int]) throws -> Factorization {
    try Factorization(
      attributes.flatMap { row in attributes.map { covariance(row, $0) } }, size: attributes.count)
  }

  /// Whether none of some attributes follows from the others.
  private func isIndependent(_ attributes: [Int]) -> Bool {
    (try? covariances(attributes))?.conditionNumber() ?? .infinity <= 1e10
  }

  /// What a partial effect is taken beside: as many of the other attributes as are independent, the first ones first.
  private func others(than attribute: Int) -> [Int] {
    var chosen: [Int] = []
    for other in names.indices where other != attribute && varies(other) {
      let excludes = exclusive.contains(attribute) && exclusive.contains(other)
      if !excludes && isIndependent(chosen + [other]) { chosen.append(other) }
    }
    return chosen
  }

  private func checkVaries(_ attribute: Int) throws {
    if varies(attribute) { return }
    let having = count(with: attribute)
    throw AttributeError(
      "of \(counted(count, "image")) \(having == 0 ? "none has" : "all have") \(names[attribute]): "
        + "its effect needs images with and without")
  }
}
