import GlowKernels

/// The invertible 1×1 convolution in factored form (equation 10 of Kingma & Dhariwal 2018):
/// M = P·L·(U + diag(sign·exp(logS))).
///
/// P is a fixed permutation matrix, L unit lower triangular, U strictly upper triangular; the log-determinant
/// of a picture is H·W·Σ logS. The stored triangles are full matrices of which only the free part is read and
/// has a gradient. The factors start as those of a random rotation.
///
/// Backward, with D = U + diag(sign·exp(logS)): dL = Pᵀ·dM·Dᵀ below the diagonal, dD = Lᵀ·Pᵀ·dM;
/// dU is dD above the diagonal and d logS = diag(dD)·sign·exp(logS).
struct FactoredConvolution: ChannelMixing {
  static let name = "invconv-lu"

  let channels: Int
  /// [channels]: entry i is the column of the one in row i of P.
  let permutation: Parameter
  /// [channels, channels]
  let lower: Parameter
  /// [channels, channels]
  let upper: Parameter
  /// [channels]: ±1.
  let sign: Parameter
  /// [channels]
  let logScale: Parameter

  init(channels: Int, prefix: String, in blueprint: inout Blueprint) {
    self.channels = channels
    permutation = blueprint.parameter("\(prefix).invconv.permutation", [channels], .fixed)
    lower = blueprint.parameter("\(prefix).invconv.lower", [channels, channels])
    upper = blueprint.parameter("\(prefix).invconv.upper", [channels, channels])
    sign = blueprint.parameter("\(prefix).invconv.sign", [channels], .fixed)
    logScale = blueprint.parameter("\(prefix).invconv.log_scale", [channels])
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func matrix<S: Scalar>(_ values: ParameterValues<S>) -> [Double] {
    product(
      permuted(lowerTriangle(values), values), upperTriangle(values),
      rows: channels, inner: channels, columns: channels)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(
    matrixGradient: [Double], values: ParameterValues<S>, into gradients: ParameterValues<S>
  ) {
    let n = channels
    // Row permutation[i] of Pᵀ·dM is row i of dM.
    var rowGradient = [Double](repeating: 0, count: n * n)
    for i in 0..<n {
      let row = Int(values[permutation][i])
      for j in 0..<n { rowGradient[row * n + j] = matrixGradient[i * n + j] }
    }
    let lowerGradient = product(
      rowGradient, upperTriangle(values), rows: n, inner: n, columns: n, transposeSecond: true)
    let upperGradient = product(
      lowerTriangle(values), rowGradient, rows: n, inner: n, columns: n, transposeFirst: true)
    for i in 0..<n {
      for j in 0..<i { gradients[lower][i * n + j] += S(lowerGradient[i * n + j]) }
      for j in (i + 1)..<max(n, i + 1) { gradients[upper][i * n + j] += S(upperGradient[i * n + j]) }
      gradients[logScale][i] +=
        S(upperGradient[i * n + i] * Double(values[sign][i]) * Elementary.exp(Double(values[logScale][i])))
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, generator: Philox) throws {
    let rotation = try Factorization.randomRotation(size: channels, generator: generator)
    try set(values, to: rotation)
  }

  /// Writes the factors of `matrix`, [channels, channels] row-major.
  func set<S: Scalar>(_ values: ParameterValues<S>, to matrix: [Double]) throws {
    let n = channels
    let factors = try Factorization.permutedTriangles(matrix, size: n)
    for i in 0..<n {
      values[permutation][i] = S(factors.permutation[i])
      let diagonal = factors.upper[i * n + i]
      values[sign][i] = diagonal < 0 ? -1 : 1
      values[logScale][i] = S(Elementary.log(abs(diagonal)))
      for j in 0..<n {
        values[lower][i * n + j] = j < i ? S(factors.lower[i * n + j]) : 0
        values[upper][i * n + j] = j > i ? S(factors.upper[i * n + j]) : 0
      }
    }
  }

  private func lowerTriangle<S: Scalar>(_ values: ParameterValues<S>) -> [Double] {
    triangle { i, j in i == j ? 1 : (i > j ? Double(values[lower][i * channels + j]) : 0) }
  }

  private func upperTriangle<S: Scalar>(_ values: ParameterValues<S>) -> [Double] {
    triangle { i, j in
      i == j
        ? Double(values[sign][i]) * Elementary.exp(Double(values[logScale][i]))
        : (i < j ? Double(values[upper][i * channels + j]) : 0)
    }
  }

  private func triangle(_ element: (Int, Int) -> Double) -> [Double] {
    (0..<channels * channels).map { element($0 / channels, $0 % channels) }
  }

  /// P·L: row i is row permutation[i] of L.
  private func permuted<S: Scalar>(_ matrix: [Double], _ values: ParameterValues<S>) -> [Double] {
    triangle { i, j in matrix[Int(values[permutation][i]) * channels + j] }
  }
}

extension PermutationKind {
  /// An invertible 1×1 convolution with W = P·L·(U + diag(sign·exp(log s))).
  public static let factoredConvolution = PermutationKind(name: FactoredConvolution.name)
}
