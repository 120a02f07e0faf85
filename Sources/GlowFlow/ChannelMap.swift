import GlowKernels

/// Actnorm and the channel mixing after it as one map of each position: y = x·A + c.
///
/// Both are linear and act on each position alone, so they are folded into A = diag(s)·M and c = (b·s)·M
/// once after each update of the parameters, instead of being applied one after the other at every position.
/// The log-determinant of a picture is H·W·ln |det A|. In a slab of folded weights the map stands as
/// A [channels, channels] and c [channels]; its gradient has the same layout.
struct ChannelMap: Sendable {
  let actNorm: ActNorm
  let mixing: any ChannelMixing
  let channels: Int
  /// Offset of A in the folded weights.
  let matrix: Int
  /// Offset of c in the folded weights.
  let bias: Int

  init(
    _ kind: PermutationKind, channels: Int, prefix: String, in list: inout ParameterList,
    folded: inout Reservation
  ) {
    self.channels = channels
    actNorm = ActNorm(channels: channels, prefix: "\(prefix).actnorm", in: &list)
    mixing = makeChannelMixing(kind, channels: channels, prefix: prefix, in: &list)
    matrix = folded.reserve(channels * channels)
    bias = folded.reserve(channels)
  }

  /// Writes A and c, and returns the factorization of A as rounded, which log-determinant, gradient and
  /// inverse share.
  ///
  /// - Throws: `LinearAlgebraError` if A is singular or not finite.
  func fold<S: Scalar>(
    _ values: UnsafePointer<S>, into folded: UnsafeMutablePointer<S>
  ) throws -> Factorization {
    let (b, s) = actNorm.biasAndScale(values)
    let m = mixing.matrix(values)
    let c = product(zip(b, s).map { $0 * $1 }, m, rows: 1, inner: channels, columns: channels)
    for i in 0..<channels {
      for j in 0..<channels { folded[matrix + i * channels + j] = S(s[i] * m[i * channels + j]) }
      folded[bias + i] = S(c[i])
    }
    return try Factorization(
      (0..<channels * channels).map { Double(folded[matrix + $0]) }, size: channels)
  }

  /// The inverse map x = y·A⁻¹ − c·A⁻¹ as (matrix, bias).
  func inverse<S: Scalar>(
    _ folded: UnsafePointer<S>, _ factorization: Factorization
  ) throws -> (matrix: [Double], bias: [Double]) {
    let matrix = try factorization.inverse()
    let c = (0..<channels).map { -Double(folded[bias + $0]) }
    return (matrix, product(c, matrix, rows: 1, inner: channels, columns: channels))
  }

  /// Adds the parameters' gradients, given dA and dc in the folded layout and the gradient of the objective
  /// with respect to ln |det A| (H·W times the sum over the batch of that of each log-determinant).
  ///
  /// dA gains A⁻ᵀ times that. Then dM = diag(s)·dA + (b·s)ᵀ·dc and, with e = dc·Mᵀ,
  /// ds = rowsum(dA·M) + b·e and db = s·e.
  func foldBackward<S: Scalar>(
    foldedGradient: UnsafePointer<S>, logDeterminantGradient: Double, inverse: [Double],
    values: UnsafePointer<S>, into gradients: UnsafeMutablePointer<S>
  ) {
    let n = channels
    let (b, s) = actNorm.biasAndScale(values)
    let m = mixing.matrix(values)
    var dA = (0..<n * n).map { Double(foldedGradient[matrix + $0]) }
    for i in 0..<n { for j in 0..<n { dA[i * n + j] += logDeterminantGradient * inverse[j * n + i] } }
    let dc = (0..<n).map { Double(foldedGradient[bias + $0]) }
    let e = product(dc, m, rows: 1, inner: n, columns: n, transposeSecond: true)
    var dM = dA
    var ds = [Double](repeating: 0, count: n)
    for i in 0..<n {
      for j in 0..<n {
        ds[i] += dA[i * n + j] * m[i * n + j]
        dM[i * n + j] = s[i] * dA[i * n + j] + b[i] * s[i] * dc[j]
      }
      ds[i] += b[i] * e[i]
    }
    mixing.backward(matrixGradient: dM, values: values, into: gradients)
    actNorm.backward(
      biasGradient: zip(s, e).map { $0 * $1 }, scaleGradient: ds, scale: s, into: gradients)
  }
}
