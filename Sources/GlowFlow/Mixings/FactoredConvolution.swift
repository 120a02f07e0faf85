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
  func write<S: Scalar>(_ values: ParameterValues<S>, into matrix: Matrix<Double>) {
    withScratch { scratch in
      let n = channels
      let (l, permuted, u) = (scratch.matrix(n, n), scratch.matrix(n, n), scratch.matrix(n, n))
      writeTriangles(values, l, u)
      // Row i of P·L is row permutation[i] of L.
      for i in 0..<n { permuted[i].update(from: l[Int(values[permutation][i])], count: n) }
      product(permuted, u, into: matrix)
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(
    matrixGradient: Matrix<Double>, values: ParameterValues<S>, into gradients: ParameterValues<S>
  ) {
    withScratch { scratch in
      let n = channels
      let (l, u, rowGradient) = (scratch.matrix(n, n), scratch.matrix(n, n), scratch.matrix(n, n))
      let (lowerGradient, upperGradient) = (scratch.matrix(n, n), scratch.matrix(n, n))
      writeTriangles(values, l, u)
      // Row permutation[i] of Pᵀ·dM is row i of dM.
      for i in 0..<n { rowGradient[Int(values[permutation][i])].update(from: matrixGradient[i], count: n) }
      product(rowGradient, u.transposed, into: lowerGradient)
      product(l.transposed, rowGradient, into: upperGradient)
      for i in 0..<n {
        for j in 0..<i { gradients[lower][i * n + j] += S(lowerGradient[i][j]) }
        for j in (i + 1)..<max(n, i + 1) { gradients[upper][i * n + j] += S(upperGradient[i][j]) }
        gradients[logScale][i] += S(
          upperGradient[i][i] * Double(values[sign][i]) * Elementary.exp(Double(values[logScale][i])))
      }
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

  /// L, and U + diag(sign·exp(logS)).
  private func writeTriangles<S: Scalar>(
    _ values: ParameterValues<S>, _ l: Matrix<Double>, _ u: Matrix<Double>
  ) {
    let n = channels
    for i in 0..<n {
      for j in 0..<n {
        l[i][j] = i > j ? Double(values[lower][i * n + j]) : i == j ? 1 : 0
        u[i][j] = i < j ? Double(values[upper][i * n + j]) : 0
      }
      u[i][i] = Double(values[sign][i]) * Elementary.exp(Double(values[logScale][i]))
    }
  }
}

extension PermutationKind {
  /// An invertible 1×1 convolution with W = P·L·(U + diag(sign·exp(log s))).
  public static let factoredConvolution = PermutationKind(name: FactoredConvolution.name)
}
