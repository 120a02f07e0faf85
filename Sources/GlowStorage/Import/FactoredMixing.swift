import Foundation
import GlowKernels

/// W = P·L·(U + diag(sign·exp(log s))) of another implementation, with the full matrices that it stores.
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
    self.lower = (0..<size * size).map { index in
      let (i, j) = (index / size, index % size)
      return i == j ? 1 : (i > j ? lower[index] : 0)
    }
    self.upper = (0..<size * size).map { index in
      let (i, j) = (index / size, index % size)
      return i == j ? sign[i] * exp(logScale[i]) : (i < j ? upper[index] : 0)
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
    var dLower = times(rows, upper, second: true)
    var dUpper = times(lower, rows, first: true)
    let dLogScale = (0..<size).map { dUpper[$0 * size + $0] * upper[$0 * size + $0] }
    for i in 0..<size {
      for j in 0..<size {
        if j >= i { dLower[i * size + j] = 0 }
        if j <= i { dUpper[i * size + j] = 0 }
      }
    }
    return (dLower, dUpper, dLogScale)
  }
}

/// Elements of an n×n matrix by row and column.
func squareMatrix(_ n: Int, _ element: (_ row: Int, _ column: Int) -> Double) -> [Double] {
  (0..<n * n).map { element($0 / n, $0 % n) }
}
