import GlowKernels

/// Batch normalization (Ioffe & Szegedy 2015) of the channels of rows: y = γ·(x − μ)/√(v + ε) + β, and a ReLU after it; or
/// without γ and β, a map of the flow.
///
/// In training μ and v are mean and variance over all positions of the batch, and the gradient goes through them; else they
/// are those that training has kept: after each step running ← 0.9·running + 0.1·batch, where the variance is the unbiased
/// one. A pass adds up sums tile by tile (`add`), all tiles meet (`settle`), then each is normalized; backward likewise.
struct BatchNormalization: Sendable {
  static let epsilon = 1e-5
  /// What of the running statistics is the last batch's.
  static let momentum = 0.1

  let channels: Int
  private let affine: Affine?
  /// The statistics that are kept, [channels] each.
  private let runningMean: Parameter
  private let runningVariance: Parameter
  /// The running mean and 1/√(variance + ε).
  private let running: WeightVector
  private let statistics: BatchStatistics

  /// What is learned.
  private struct Affine {
    /// γ and β, [channels] each.
    let scale: Parameter
    let shift: Parameter
    /// Both; their gradients.
    let folded: WeightVector

    init(channels: Int, prefix: String, in blueprint: inout Blueprint) {
      scale = blueprint.parameter("\(prefix).weight", [channels])
      shift = blueprint.parameter("\(prefix).bias", [channels])
      folded = blueprint.vector(2 * channels)
    }
  }

  /// - Parameter isAffine: whether there are γ and β.
  init(channels: Int, prefix: String, isAffine: Bool = true, in blueprint: inout Blueprint) {
    self.channels = channels
    affine = isAffine ? Affine(channels: channels, prefix: prefix, in: &blueprint) : nil
    runningMean = blueprint.parameter("\(prefix).running_mean", [channels], .statistic)
    runningVariance = blueprint.parameter("\(prefix).running_var", [channels], .statistic)
    running = blueprint.vector(2 * channels)
    statistics = blueprint.statistics(channels: channels)
  }

  // MARK: Parameters

  func initialize<S: Scalar>(_ values: ParameterValues<S>) {
    if let affine { values[affine.scale].update(repeating: 1, count: channels) }
    values[runningVariance].update(repeating: 1, count: channels)
  }

  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    if let affine {
      weights[affine.folded].update(from: values[affine.scale], count: channels)
      (weights[affine.folded] + channels).update(from: values[affine.shift], count: channels)
    }
    let running = weights[running]
    for channel in 0..<channels {
      running[channel] = values[runningMean][channel]
      running[channels + channel] = S(
        1 / (Double(values[runningVariance][channel]) + BatchNormalization.epsilon).squareRoot())
    }
  }

  func foldBackward<S: Scalar>(gradient: Weights<S>, into gradients: ParameterValues<S>) {
    guard let affine else { return }
    for channel in 0..<channels {
      gradients[affine.scale][channel] += gradient[affine.folded][channel]
      gradients[affine.shift][channel] += gradient[affine.folded][channels + channel]
    }
  }

  /// Appends the mean and the unbiased variance of the batch, [channels] each: what the entries that are kept follow, in
  /// their order.
  func append(_ memory: StatisticsMemory, to values: inout [Double]) {
    let n = Double(memory.positions)
    let (mean, variance) = (memory.mean(statistics), memory.variance(statistics))
    for channel in 0..<channels { values.append(mean[channel]) }
    for channel in 0..<channels { values.append(variance[channel] * n / max(1, n - 1)) }
  }

  // MARK: Forward

  /// Adds a tile's rows to the statistics of the batch.
  func add<S: Scalar>(_ rows: Matrix<S>, _ site: Site<S>) {
    let memory = site.statistics!
    if memory.normalization == .running { return }
    let sums = memory.tileSums(statistics)
    addMoments(rows, sums, sums + channels)
  }

  /// At the stage at which the tiles meet: what the rows are to be normalized with.
  func settle<S: Scalar>(_ site: Site<S>) {
    let memory = site.statistics!
    let (mean, variance, inverse) = (
      memory.mean(statistics), memory.variance(statistics), memory.inverseDeviation(statistics)
    )
    guard memory.normalization == .batch else {
      for channel in 0..<channels {
        mean[channel] = Double(site.weights[running][channel])
        inverse[channel] = Double(site.weights[running][channels + channel])
      }
      return
    }
    let total = memory.total(statistics)
    let n = Double(memory.positions)
    for channel in 0..<channels {
      mean[channel] = total[channel] / n
      variance[channel] = max(0, total[channels + channel] / n - mean[channel] * mean[channel])
      inverse[channel] = 1 / (variance[channel] + BatchNormalization.epsilon).squareRoot()
    }
  }

  /// target ← γ·(x − μ)/√(v + ε) + β, and max(0, target) if it `rectifies`.
  func normalize<S: Scalar>(_ x: Matrix<S>, into target: Matrix<S>, rectifies: Bool, _ site: Site<S>) {
    withCoefficients(site) { coefficients in
      mapRows(x, into: target) { x, _, channel, vector in
        let y = (x - vector(coefficients.mean)) * vector(coefficients.factor) + vector(coefficients.shift)
        return rectifies ? S.positivePart(y) : y
      }
    }
  }

  // MARK: Backward

  /// Adds the gradients of γ and β, given that at the normalized rows, and to the sums from which the gradient through the
  /// statistics follows.
  ///
  /// With x̂ = (x − μ)/√(v + ε): dγ = Σ g·x̂ and dβ = Σ g.
  func addBackward<S: Scalar>(_ gradient: Matrix<S>, _ x: Matrix<S>, _ site: Site<S>) {
    let memory = site.statistics!
    let sums = memory.tileSums(statistics)
    let (mean, inverse) = (memory.mean(statistics), memory.inverseDeviation(statistics))
    addProducts(gradient, x, mean, (sums, sums + channels))
    for channel in 0..<channels { sums[channels + channel] *= inverse[channel] }
    guard let affine = affine.map({ site.weightGradient![$0.folded] }) else { return }
    for channel in 0..<channels {
      affine[channel] += S(sums[channels + channel])
      affine[channels + channel] += S(sums[channel])
    }
  }

  /// At the stage at which the tiles meet in backward.
  ///
  /// - Parameter logDeterminantGradient: of a map of the flow, the mean over the pictures of that of their log-determinants.
  func settleBackward<S: Scalar>(_ site: Site<S>, logDeterminantGradient: Double = 0) {
    let memory = site.statistics!
    let (meanGradient, meanProduct) = (memory.meanGradient(statistics), memory.meanProduct(statistics))
    guard memory.normalization == .batch else {
      for channel in 0..<channels { (meanGradient[channel], meanProduct[channel]) = (0, 0) }
      return
    }
    let total = memory.total(statistics)
    let n = Double(memory.positions)
    for channel in 0..<channels {
      meanGradient[channel] = total[channel] / n
      meanProduct[channel] = total[channels + channel] / n + logDeterminantGradient
    }
  }

  /// From the gradient g at the normalized rows that at x, in place: γ/√(v + ε)·(g − mean(g) − x̂·mean(g·x̂)), where the
  /// means are over the batch, and 0 with running statistics.
  func backward<S: Scalar>(_ gradient: Matrix<S>, _ x: Matrix<S>, _ site: Site<S>) {
    withCoefficients(site) { coefficients in
      mapRows(gradient, into: gradient, beside: x) { g, x, channel, vector in
        let centered = x - vector(coefficients.mean)
        return (g - vector(coefficients.meanGradient) - centered * vector(coefficients.product))
          * vector(coefficients.factor)
      }
    }
  }

  // MARK: As a map of the flow, without γ and β

  /// ln |det| at one position: −½·Σ ln(v + ε) over the channels.
  func logDeterminant<S: Scalar>(_ site: Site<S>) -> Double {
    let inverse = site.statistics!.inverseDeviation(statistics)
    return (0..<channels).reduce(0) { $0 + Elementary.log(inverse[$1]) }
  }

  /// The inverse of `normalize`: target ← y·√(v + ε) + μ.
  func denormalize<S: Scalar>(_ y: Matrix<S>, into target: Matrix<S>, _ site: Site<S>) {
    withCoefficients(site) { coefficients in
      mapRows(y, into: target) { y, _, channel, vector in
        y / vector(coefficients.factor) + vector(coefficients.mean)
      }
    }
  }

  // MARK: Coefficients

  private struct Coefficients<S: Scalar> {
    let mean: UnsafeMutablePointer<S>
    /// γ/√(v + ε)
    let factor: UnsafeMutablePointer<S>
    let shift: UnsafeMutablePointer<S>
    let meanGradient: UnsafeMutablePointer<S>
    /// mean(g·x̂)/√(v + ε)
    let product: UnsafeMutablePointer<S>
  }

  @inline(__always)
  private func withCoefficients<S: Scalar>(_ site: Site<S>, _ body: (Coefficients<S>) -> Void) {
    let memory = site.statistics!
    withUnsafeTemporaryAllocation(of: S.self, capacity: 5 * channels) { room in
      let base = room.baseAddress!
      let coefficients = Coefficients(
        mean: base, factor: base + channels, shift: base + 2 * channels, meanGradient: base + 3 * channels,
        product: base + 4 * channels)
      let (mean, inverse) = (memory.mean(statistics), memory.inverseDeviation(statistics))
      let (meanGradient, meanProduct) = (memory.meanGradient(statistics), memory.meanProduct(statistics))
      let affine = affine.map { site.weights[$0.folded] }
      for channel in 0..<channels {
        coefficients.mean[channel] = S(mean[channel])
        coefficients.factor[channel] = S(Double(affine?[channel] ?? 1) * inverse[channel])
        coefficients.shift[channel] = affine?[channels + channel] ?? 0
        coefficients.meanGradient[channel] = S(meanGradient[channel])
        coefficients.product[channel] = S(meanProduct[channel] * inverse[channel])
      }
      body(coefficients)
    }
  }
}

/// Writes what `body` makes of every value of `source`, and of that at the same place of `other`, eight channels at a time;
/// with the last argument it reads the same channels of a row of coefficients.
@inline(__always)
private func mapRows<S: Scalar>(
  _ source: Matrix<S>, into target: Matrix<S>, beside other: Matrix<S>? = nil,
  _ body: (SIMD8<S>, SIMD8<S>, Int, (UnsafeMutablePointer<S>) -> SIMD8<S>) -> SIMD8<S>
) {
  let other = other ?? source
  let whole = source.columns / 8 * 8
  for row in 0..<source.rows {
    let (x, z, y) = (source[row], other[row], target[row])
    var channel = 0
    while channel < whole {
      y.store(body(x.vector(channel), z.vector(channel), channel) { $0.vector(channel) }, channel)
      channel += 8
    }
    while channel < source.columns {
      y[channel] =
        body(SIMD8(repeating: x[channel]), SIMD8(repeating: z[channel]), channel) {
          SIMD8(repeating: $0[channel])
        }[0]
      channel += 1
    }
  }
}

/// sums ← Σ x and squares ← Σ x² of each column.
@specialized(where S == Float)
@specialized(where S == Double)
private func addMoments<S: Scalar>(
  _ rows: Matrix<S>, _ sums: UnsafeMutablePointer<Double>, _ squares: UnsafeMutablePointer<Double>
) {
  let whole = rows.columns / 8 * 8
  for channel in stride(from: 0, to: whole, by: 8) {
    var (sum, square) = (SIMD8<Double>(), SIMD8<Double>())
    for row in 0..<rows.rows {
      let x = SIMD8<Double>(rows[row].vector(channel))
      sum += x
      square += x * x
    }
    sums.store(sum, channel)
    squares.store(square, channel)
  }
  for channel in whole..<rows.columns {
    var (sum, square) = (0.0, 0.0)
    for row in 0..<rows.rows {
      let x = Double(rows[row][channel])
      sum += x
      square += x * x
    }
    (sums[channel], squares[channel]) = (sum, square)
  }
}

/// sums.0 ← Σ g and sums.1 ← Σ g·(x − mean) of each column.
@specialized(where S == Float)
@specialized(where S == Double)
private func addProducts<S: Scalar>(
  _ gradient: Matrix<S>, _ x: Matrix<S>, _ mean: UnsafePointer<Double>,
  _ sums: (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>)
) {
  let whole = x.columns / 8 * 8
  for channel in stride(from: 0, to: whole, by: 8) {
    var (sum, product) = (SIMD8<Double>(), SIMD8<Double>())
    let mean = mean.vector(channel)
    for row in 0..<x.rows {
      let g = SIMD8<Double>(gradient[row].vector(channel))
      sum += g
      product += g * (SIMD8<Double>(x[row].vector(channel)) - mean)
    }
    sums.0.store(sum, channel)
    sums.1.store(product, channel)
  }
  for channel in whole..<x.columns {
    var (sum, product) = (0.0, 0.0)
    for row in 0..<x.rows {
      let g = Double(gradient[row][channel])
      sum += g
      product += g * (Double(x[row][channel]) - mean[channel])
    }
    (sums.0[channel], sums.1[channel]) = (sum, product)
  }
}
