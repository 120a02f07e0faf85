import CLAPACKE
import Glibc

/// What a matrix routine can refuse.
public enum LinearAlgebraError: Error, CustomStringConvertible, Equatable {
  /// A pivot is exactly zero: the matrix has no inverse.
  case singular(pivot: Int, size: Int)
  /// LAPACK rejected an argument, for instance a value that is not finite.
  case rejected(routine: String, info: Int)

  public var description: String {
    switch self {
    case .singular(let pivot, let size): "the \(size)×\(size) matrix is singular (pivot \(pivot) is zero)"
    case .rejected(let routine, let info): "LAPACK's \(routine) rejected its argument \(-info)"
    }
  }
}

/// The LU factorization of a square row-major matrix, in Double.
///
/// LAPACK reads the same bytes by columns and so factors Wᵀ: the determinant is the same, and the inverse
/// comes back transposed twice, which is W⁻¹ by rows. Calls `dgetrf`, `dgetri` and `dgecon`.
public struct Factorization {
  public let size: Int
  private let original: [Double]
  private var factors: [Double]
  private var pivots: [Int32]

  /// - Parameter matrix: [size, size], row-major.
  /// - Throws: `LinearAlgebraError`.
  public init(_ matrix: [Double], size: Int) throws {
    precondition(matrix.count == size * size)
    self.size = size
    original = matrix
    factors = matrix
    pivots = [Int32](repeating: 0, count: size)
    try Self.factorize(&factors, size: size, &pivots)
  }

  /// Calls `dgetrf` on a matrix by columns. LAPACKE looks for NaN alone; infinite values are refused alike.
  private static func factorize(_ matrix: inout [Double], size: Int, _ pivots: inout [Int32]) throws {
    let n = Int32(size)
    if !matrix.allSatisfy(\.isFinite) { throw LinearAlgebraError.rejected(routine: "dgetrf", info: -4) }
    let info = LAPACKE_dgetrf(LAPACK_COL_MAJOR, n, n, &matrix, n, &pivots)
    if info < 0 { throw LinearAlgebraError.rejected(routine: "dgetrf", info: Int(info)) }
    if info > 0 { throw LinearAlgebraError.singular(pivot: Int(info), size: size) }
    if !matrix.allSatisfy(\.isFinite) { throw LinearAlgebraError.rejected(routine: "dgetrf", info: -4) }
  }

  /// ln |det W|.
  public var logAbsoluteDeterminant: Double {
    (0..<size).reduce(0) { $0 + log(abs(factors[$1 * size + $1])) }
  }

  /// W⁻¹, row-major.
  public func inverse() throws -> [Double] {
    var result = factors
    let n = Int32(size)
    let info = LAPACKE_dgetri(LAPACK_COL_MAJOR, n, &result, n, pivots)
    if info < 0 { throw LinearAlgebraError.rejected(routine: "dgetri", info: Int(info)) }
    if info > 0 { throw LinearAlgebraError.singular(pivot: Int(info), size: size) }
    return result
  }

  /// An estimate of ‖W‖·‖W⁻¹‖ (in the 1-norm of Wᵀ).
  public func conditionNumber() throws -> Double {
    let norm =
      (0..<size).map { column in
        (0..<size).reduce(0) { $0 + abs(original[column * size + $1]) }
      }.max() ?? 0
    var reciprocal = 0.0
    let n = Int32(size)
    let info = LAPACKE_dgecon(LAPACK_COL_MAJOR, CChar(UInt8(ascii: "1")), n, factors, n, norm, &reciprocal)
    if info != 0 { throw LinearAlgebraError.rejected(routine: "dgecon", info: Int(info)) }
    return reciprocal == 0 ? .infinity : 1 / reciprocal
  }

  /// W = P·L·U with P a permutation matrix, L unit lower triangular, U upper triangular, all row-major.
  ///
  /// `permutation[i]` is the column of the one in row i of P.
  public static func permutedTriangles(
    _ matrix: [Double], size: Int
  ) throws -> (permutation: [Int], lower: [Double], upper: [Double]) {
    // Here W itself must be factored, so its bytes are handed over by columns.
    var factors = matrix
    for i in 0..<size { for j in 0..<size { factors[j * size + i] = matrix[i * size + j] } }
    var pivots = [Int32](repeating: 0, count: size)
    try factorize(&factors, size: size, &pivots)
    // Row swaps in order: row i of L·U is row order[i] of W, so P has a one at (order[i], i).
    var order = Array(0..<size)
    for i in 0..<size { order.swapAt(i, Int(pivots[i]) - 1) }
    var permutation = [Int](repeating: 0, count: size)
    for i in 0..<size { permutation[order[i]] = i }
    var lower = [Double](repeating: 0, count: size * size)
    var upper = lower
    for i in 0..<size {
      for j in 0..<size {
        let value = factors[j * size + i]
        if i > j { lower[i * size + j] = value } else { upper[i * size + j] = value }
      }
      lower[i * size + i] = 1
    }
    return (permutation, lower, upper)
  }

  /// A random rotation: the orthogonal factor of a matrix of standard normal numbers, with the signs that
  /// make it uniformly distributed and its determinant 1. Calls `dgeqrf` and `dorgqr`.
  public static func randomRotation(size: Int, generator: Philox) throws -> [Double] {
    var matrix = [Double](repeating: 0, count: size * size)
    matrix.withUnsafeMutableBufferPointer { generator.fillNormal($0) }
    var reflectors = [Double](repeating: 0, count: size)
    let n = Int32(size)
    var info = LAPACKE_dgeqrf(LAPACK_COL_MAJOR, n, n, &matrix, n, &reflectors)
    if info != 0 { throw LinearAlgebraError.rejected(routine: "dgeqrf", info: Int(info)) }
    let signs = (0..<size).map { matrix[$0 * size + $0] < 0 ? -1.0 : 1.0 }
    info = LAPACKE_dorgqr(LAPACK_COL_MAJOR, n, n, n, &matrix, n, reflectors)
    if info != 0 { throw LinearAlgebraError.rejected(routine: "dorgqr", info: Int(info)) }
    for i in 0..<size { for j in 0..<size { matrix[i * size + j] *= signs[i] } }
    // Each reflector that is not the identity turns the orientation over once.
    let turns = reflectors.count { $0 != 0 } + signs.count { $0 < 0 }
    if turns % 2 == 1 { for j in 0..<size { matrix[j] = -matrix[j] } }
    return matrix
  }
}

/// A·B of small row-major matrices in Double, [m × k]·[k × n] → [m × n]; either may be stored transposed.
public func product(
  _ a: [Double], _ b: [Double], rows m: Int, inner k: Int, columns n: Int, transposeFirst: Bool = false,
  transposeSecond: Bool = false
) -> [Double] {
  precondition(a.count == m * k && b.count == k * n)
  return [Double](unsafeUninitializedCapacity: m * n) { c, count in
    Double.gemm(
      transposeFirst, transposeSecond, m, n, k, a, transposeFirst ? m : k, b, transposeSecond ? k : n, 0,
      c.baseAddress!, n)
    count = m * n
  }
}
