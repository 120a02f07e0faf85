import GlowKernels

/// W = P·L·(U + diag(sign·exp(log s))), with the full matrices that other implementations store.
struct StoredFactors {
  let size: Int
  let permutation: [Double]
  let lower: [Double]
  let upper: [Double]

  /// - Parameters: `lower` and `upper` are full matrices of which the strict triangles count.
  init(
    size: Int, permutation: [Double], lower: [Double], upper: [Double], logScale: [Double], sign: [Double]
  ) {
    self.size = size
    self.permutation = permutation
    self.lower = squareMatrix(size) { i, j in i == j ? 1 : (i > j ? lower[i * size + j] : 0) }
    self.upper = squareMatrix(size) { i, j in
      i == j ? sign[i] * Elementary.exp(logScale[i]) : (i < j ? upper[i * size + j] : 0)
    }
  }

  private func times(_ a: [Double], _ b: [Double], first: Bool = false, second: Bool = false) -> [Double] {
    product(
      a, b, rows: size, inner: size, columns: size, transposeFirst: first, transposeSecond: second)
  }

  var matrix: [Double] { times(permutation, times(lower, upper)) }

  /// Gradients of L below its diagonal, of U above its, and of log s, given that of W:
  /// dL = Pᵀ·dW·Dᵀ, dD = Lᵀ·Pᵀ·dW with D = U + diag(sign·exp(log s)).
  func pullBack(_ gradient: [Double]) -> (lower: [Double], upper: [Double], logScale: [Double]) {
    let rows = times(permutation, gradient, first: true)
    let dLower = times(rows, upper, second: true)
    let dUpper = times(lower, rows, first: true)
    return (
      strictLower(dLower, size), strictUpper(dUpper, size),
      (0..<size).map { dUpper[$0 * size + $0] * upper[$0 * size + $0] }
    )
  }
}

/// The tensors in which an implementation keeps the factors of a 1×1 convolution: P, L and U are [C, C], log s and
/// sign are [C].
struct FactorTensors: Sendable {
  let size: Int
  /// P, L, U, log s, sign.
  let all: [StoredTensor]

  /// - Parameter names: of P, L, U, log s and sign, as they follow `prefix`.
  init(_ prefix: String, size: Int, names: [String]) {
    precondition(names.count == 5)
    self.size = size
    all = names.enumerated().map { place, name in
      StoredTensor(name: prefix + name, shape: place < 3 ? [size, size] : [size])
    }
  }

  /// - Parameter stored: in the order of `all`.
  func factors(_ stored: [[Double]]) -> StoredFactors {
    StoredFactors(
      size: size, permutation: stored[0], lower: stored[1], upper: stored[2], logScale: stored[3],
      sign: stored[4])
  }

  /// The column of the one in each row of P.
  ///
  /// - Throws: `RelationError` if P is no permutation matrix or a sign is neither 1 nor −1: then log s would not tell
  ///   the determinant.
  func permutation(_ stored: [[Double]]) throws -> [Int] {
    let ones = stored[0].indices.filter { stored[0][$0] == 1 }
    let isPermutation =
      ones.map { $0 / size } == Array(0..<size) && Set(ones.map { $0 % size }).count == size
      && stored[0].count { $0 == 0 } == size * (size - 1)
    if !isPermutation { throw RelationError(name: all[0].name, reason: "is not a permutation matrix") }
    if let index = stored[4].firstIndex(where: { abs($0) != 1 }) {
      throw RelationError(
        name: all[4].name, reason: "value \(index) is \(stored[4][index]), expected 1 or -1")
    }
    return ones.map { $0 % size }
  }

  /// The factors of a matrix, in the order of `all`.
  ///
  /// - Throws: `LinearAlgebraError` if it is singular.
  func split(_ matrix: [Double]) throws -> [[Double]] {
    let factors = try Factorization.permutedTriangles(matrix, size: size)
    let diagonal = (0..<size).map { factors.upper[$0 * size + $0] }
    return [
      squareMatrix(size) { row, column in factors.permutation[row] == column ? 1 : 0 }, factors.lower,
      strictUpper(factors.upper, size), diagonal.map { Elementary.log(abs($0)) },
      diagonal.map { $0 < 0 ? -1 : 1 },
    ]
  }
}

extension Relation {
  /// A 1×1 convolution in factors, as our free matrix.
  ///
  /// - Parameter isTransposed: whether theirs multiplies columns of channels; ours multiplies rows.
  static func factors(_ tensors: FactorTensors, _ ours: String, isTransposed: Bool) -> Relation {
    let n = tensors.size
    let turned = { @Sendable (matrix: [Double]) in
      isTransposed ? squareMatrix(n) { row, column in matrix[column * n + row] } : matrix
    }
    return Relation(
      stored: tensors.all, ours: [ours], counts: [n * n],
      read: { stored in
        _ = try tensors.permutation(stored)
        return [turned(tensors.factors(stored).matrix)]
      },
      pullBack: { stored, gradients in
        let d = tensors.factors(stored).pullBack(turned(gradients[0]))
        return [
          [Double](repeating: 0, count: n * n), d.lower, d.upper, d.logScale,
          [Double](repeating: 0, count: n),
        ]
      },
      write: { try tensors.split(turned($0[0])) })
  }

  /// The factors of a 1×1 convolution that multiplies rows of channels, as the same factors of ours.
  static func sameFactors(_ tensors: FactorTensors, _ ours: String) -> Relation {
    let n = tensors.size
    return Relation(
      stored: tensors.all,
      ours: ["permutation", "lower", "upper", "log_scale", "sign"].map { "\(ours).invconv.\($0)" },
      counts: tensors.all.map(\.count),
      read: { stored in
        [
          try tensors.permutation(stored).map { Double($0) }, strictLower(stored[1], n),
          strictUpper(stored[2], n), stored[3], stored[4],
        ]
      },
      pullBack: { _, gradients in gradients },
      write: { _ in preconditionFailure("factors are written as a matrix") })
  }
}

/// Elements of an n×n matrix by row and column.
func squareMatrix(_ n: Int, _ element: (_ row: Int, _ column: Int) -> Double) -> [Double] {
  (0..<n * n).map { element($0 / n, $0 % n) }
}

private func strictLower(_ matrix: [Double], _ n: Int) -> [Double] {
  squareMatrix(n) { row, column in row > column ? matrix[row * n + column] : 0 }
}

private func strictUpper(_ matrix: [Double], _ n: Int) -> [Double] {
  squareMatrix(n) { row, column in row < column ? matrix[row * n + column] : 0 }
}
