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

  /// Writes A and c, and factorizes A as rounded: log-determinant, gradient and inverse share the factors.
  ///
  /// - Throws: `LinearAlgebraError` if A is singular or not finite.
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {
    let n = channels
    try withScratch { scratch in
      let (m, rounded) = (scratch.matrix(n, n), scratch.matrix(n, n))
      let (shift, c) = (scratch.matrix(1, n), scratch.matrix(1, n))
      mixing.write(values, into: m)
      let a = weights[matrix]
      for i in 0..<n {
        let scale = actNorm.scale(values, i)
        shift.base[i] = Double(values[actNorm.bias][i]) * scale
        for j in 0..<n {
          a[i][j] = S(scale * m[i][j])
          rounded[i][j] = Double(a[i][j])
        }
      }
      product(shift, m, into: c)
      for i in 0..<n { weights[bias][i] = S(c.base[i]) }
      if map == nil { map = Factorization(size: n) }
      try map!.factorize(rounded.base)
    }
  }

  /// Writes the inverse map x = y·A⁻¹ − c·A⁻¹.
  func foldInverse<S: Scalar>(_ folded: Folded<S>, into inverse: Weights<S>) throws {
    let n = channels
    try withScratch { scratch in
      let matrix = scratch.matrix(n, n)
      let (c, shift) = (scratch.matrix(1, n), scratch.matrix(1, n))
      try folded.map!.inverse(into: matrix.base)
      for i in 0..<n { c.base[i] = -Double(folded.weights[bias][i]) }
      product(c, matrix, into: shift)
      for index in 0..<n * n { inverse[inverseMatrix].base[index] = S(matrix.base[index]) }
      for i in 0..<n { inverse[inverseBias][i] = S(shift.base[i]) }
    }
  }

  /// Adds the parameters' gradients, given dA, dc and the gradient of the objective with respect to ln |det A| (H·W
  /// times the sum over the batch of that of each log-determinant).
  ///
  /// dA gains A⁻ᵀ times that. Then dM = diag(s)·dA + (b·s)ᵀ·dc and, with e = dc·Mᵀ,
  /// ds = rowsum(dA·M) + b·e, db = s·e and d logs = 3·s·ds.
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {
    let n = channels
    try withScratch { scratch in
      let (inverse, m) = (scratch.matrix(n, n), scratch.matrix(n, n))
      let (dA, dM) = (scratch.matrix(n, n), scratch.matrix(n, n))
      let (dc, e) = (scratch.matrix(1, n), scratch.matrix(1, n))
      try folded.map!.inverse(into: inverse.base)
      mixing.write(folded.values, into: m)
      for i in 0..<n {
        dc.base[i] = Double(gradient[bias][i])
        for j in 0..<n {
          dA[i][j] = Double(gradient[matrix][i][j]) + logDeterminantGradient * inverse[j][i]
        }
      }
      product(dc, m.transposed, into: e)
      for i in 0..<n {
        let (b, s) = (Double(folded.values[actNorm.bias][i]), actNorm.scale(folded.values, i))
        var ds = 0.0
        for j in 0..<n {
          ds += dA[i][j] * m[i][j]
          dM[i][j] = s * dA[i][j] + b * s * dc.base[j]
        }
        ds += b * e.base[i]
        gradients[actNorm.bias][i] += S(s * e.base[i])
        gradients[actNorm.logs][i] += S(ActNorm.logsFactor * s * ds)
      }
      mixing.backward(matrixGradient: dM, values: folded.values, into: gradients)
    }
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
    multiplyPositions(source, matrix, into: target, .bias(bias))
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
    var mixing: Factorization? = Factorization(size: channels)
    withScratch { scratch in
      let matrix = scratch.matrix(channels, channels)
      self.mixing.write(folded.values, into: matrix)
      do { try mixing!.factorize(matrix.base) } catch { mixing = nil }
    }
    let map = folded.map!
    return MapCondition(
      step: step, mixingLogDeterminant: mixing?.logAbsoluteDeterminant ?? -.infinity,
      mixingCondition: mixing?.conditionNumber() ?? .infinity,
      logDeterminant: map.logAbsoluteDeterminant,
      condition: map.conditionNumber())
  }
}
