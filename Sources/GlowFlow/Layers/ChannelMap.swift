import GlowKernels

/// Actnorm and the channel mixing after it as one map of each position: y = x·A + c.
///
/// Both are linear and act on each position alone, so they are folded into A = diag(s)·M and c = (b·s)·M
/// once after each update of the parameters, instead of being applied one after the other at every position.
/// The log-determinant of a picture is H·W·ln |det A|.
struct ChannelMap: Sendable {
  let actNorm: ActNorm
  let mixing: any ChannelMixing
  let channels: Int
  /// A [channels, channels] and c [channels].
  let matrix: WeightMatrix
  let bias: WeightVector
  /// A⁻¹ and −c·A⁻¹.
  let inverseMatrix: WeightMatrix
  let inverseBias: WeightVector

  init(_ kind: PermutationKind, channels: Int, prefix: String, in blueprint: inout Blueprint) {
    self.channels = channels
    actNorm = ActNorm(channels: channels, prefix: "\(prefix).actnorm", in: &blueprint)
    mixing = kind.mixing.init(channels: channels, prefix: prefix, in: &blueprint)
    matrix = blueprint.matrix(channels, channels)
    bias = blueprint.vector(channels)
    inverseMatrix = blueprint.inverseMatrix(channels, channels)
    inverseBias = blueprint.inverseVector(channels)
  }

  /// Writes A and c, and returns the factorization of A as rounded, which log-determinant, gradient and
  /// inverse share.
  ///
  /// - Throws: `LinearAlgebraError` if A is singular or not finite.
  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) throws -> Factorization {
    let (b, s) = actNorm.biasAndScale(values)
    let m = mixing.matrix(values)
    let c = product(zip(b, s).map { $0 * $1 }, m, rows: 1, inner: channels, columns: channels)
    let a = weights[matrix].base
    for i in 0..<channels {
      for j in 0..<channels { a[i * channels + j] = S(s[i] * m[i * channels + j]) }
      weights[bias][i] = S(c[i])
    }
    return try Factorization((0..<channels * channels).map { Double(a[$0]) }, size: channels)
  }

  /// Writes the inverse map x = y·A⁻¹ − c·A⁻¹.
  func foldInverse<S: Scalar>(_ folded: Folded<S>, into inverse: Weights<S>) throws {
    let matrix = try folded.map!.inverse()
    let c = (0..<channels).map { -Double(folded.weights[bias][$0]) }
    let shift = product(c, matrix, rows: 1, inner: channels, columns: channels)
    for (index, value) in matrix.enumerated() { inverse[inverseMatrix].base[index] = S(value) }
    for (index, value) in shift.enumerated() { inverse[inverseBias][index] = S(value) }
  }

  /// Adds the parameters' gradients, given dA, dc and the gradient of the objective with respect to ln |det A| (H·W
  /// times the sum over the batch of that of each log-determinant).
  ///
  /// dA gains A⁻ᵀ times that. Then dM = diag(s)·dA + (b·s)ᵀ·dc and, with e = dc·Mᵀ,
  /// ds = rowsum(dA·M) + b·e and db = s·e.
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {
    let n = channels
    let inverse = try folded.map!.inverse()
    let (b, s) = actNorm.biasAndScale(folded.values)
    let m = mixing.matrix(folded.values)
    var dA = (0..<n * n).map { Double(gradient[matrix].base[$0]) }
    for i in 0..<n { for j in 0..<n { dA[i * n + j] += logDeterminantGradient * inverse[j * n + i] } }
    let dc = (0..<n).map { Double(gradient[bias][$0]) }
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
    mixing.backward(matrixGradient: dM, values: folded.values, into: gradients)
    actNorm.backward(
      biasGradient: zip(s, e).map { $0 * $1 }, scaleGradient: ds, scale: s, into: gradients)
  }

  // MARK: Tiles

  /// y ← x·A + c for the positions of a tile.
  func forward<S: Scalar>(_ x: Rows<S>, into y: Rows<S>, _ weights: Weights<S>) {
    apply(weights.operand(matrix), weights[bias], to: x, into: y)
  }

  /// x ← y·A⁻¹ − c·A⁻¹ for the positions of a tile.
  func inverse<S: Scalar>(_ y: Rows<S>, into x: Rows<S>, _ inverse: Weights<S>) {
    apply(inverse.operand(inverseMatrix), inverse[inverseBias], to: y, into: x)
  }

  private func apply<S: Scalar>(
    _ matrix: Operand<S>, _ bias: UnsafePointer<S>, to source: Rows<S>, into target: Rows<S>
  ) {
    // [rows × channels]·[channels × channels] → [rows × channels]
    if matrix.panels != nil {
      multiply(source.positions, matrix, into: target.positions, .bias(bias))
      return
    }
    // With OpenBLAS each picture by itself, so that its rows stand where they always stand.
    for image in 0..<source.tile.imageCount {
      multiply(source.part(image), matrix, into: target.part(image), .bias(bias))
    }
  }

  /// dA += xᵀ·dy, dc += Σ dy, and dx = dy·Aᵀ in place of dy.
  ///
  /// - Parameter room: [rows, channels] for dx.
  func backward<S: Scalar>(_ site: Site<S>, room: Buffer) {
    let dy = site.gradient!.own
    let gradient = site.weightGradient!
    // dA += [channels × rows]·[rows × channels]
    gradient.add(site.input.own, dy, to: matrix)
    addRows(dy.base, rows: dy.rows, width: channels, to: gradient[bias])
    // dx = [rows × channels]·[channels × channels]
    let dx = site[room].own
    multiply(dy, site.weights.transposed(matrix), into: dx)
    dy.base.update(from: dx.base, count: dy.rows * channels)
  }

  /// The condition of A, and of the mixing alone.
  func condition<S: Scalar>(_ folded: Folded<S>, step: String) -> MapCondition {
    let mixing = try? Factorization(mixing.matrix(folded.values), size: channels)
    let map = folded.map!
    return MapCondition(
      step: step, mixingLogDeterminant: mixing?.logAbsoluteDeterminant ?? -.infinity,
      mixingCondition: mixing?.conditionNumber() ?? .infinity,
      logDeterminant: map.logAbsoluteDeterminant,
      condition: map.conditionNumber())
  }
}
