/// What a matrix routine can refuse.
public enum LinearAlgebraError: Error, CustomStringConvertible, Equatable {
  /// A pivot is exactly zero: the matrix has no inverse.
  case singular(pivot: Int, size: Int)
  /// A value is not finite, or its factors are not.
  case notFinite(size: Int)

  public var description: String {
    switch self {
    case .singular(let pivot, let size): "the \(size)×\(size) matrix is singular (pivot \(pivot) is zero)"
    case .notFinite(let size): "the \(size)×\(size) matrix or its inverse has values that are not finite"
    }
  }
}

/// The factorization W = P·L·U of a square row-major matrix with partial pivoting, in Double.
///
/// The matrices of channel maps are small. They are factored here and not by LAPACK, whose last bits are those of the
/// processor's kernels: models and scores are to be the same on all. Every operation works at whole rows, one after the
/// other.
public struct Factorization {
  public let size: Int
  private let original: [Double]
  /// L below the diagonal, U on and above it.
  private var factors: [Double]
  /// Row i of L·U is row order[i] of W.
  private var order: [Int]
  private var isOrderOdd = false

  /// - Parameter matrix: [size, size], row-major.
  /// - Throws: `LinearAlgebraError`.
  public init(_ matrix: [Double], size: Int) throws {
    precondition(matrix.count == size * size)
    self.size = size
    original = matrix
    factors = matrix
    order = Array(0..<size)
    if !matrix.allSatisfy(\.isFinite) { throw LinearAlgebraError.notFinite(size: size) }
    try factorize()
    if !factors.allSatisfy(\.isFinite) { throw LinearAlgebraError.notFinite(size: size) }
  }

  private mutating func factorize() throws {
    let n = size
    var (order, isOdd) = (order, false)
    try factors.withUnsafeMutableBufferPointer { factors in
      let a = factors.baseAddress!
      for k in 0..<n {
        var pivot = k
        for i in k..<n where abs(a[i * n + k]) > abs(a[pivot * n + k]) { pivot = i }
        if a[pivot * n + k] == 0 { throw LinearAlgebraError.singular(pivot: k + 1, size: n) }
        if pivot != k {
          for j in 0..<n { swap(&a[k * n + j], &a[pivot * n + j]) }
          order.swapAt(k, pivot)
          isOdd.toggle()
        }
        for i in k + 1..<n {
          let factor = a[i * n + k] / a[k * n + k]
          a[i * n + k] = factor
          subtract(factor, a + k * n, from: a + i * n, columns: k + 1..<n)
        }
      }
    }
    (self.order, isOrderOdd) = (order, isOdd)
  }

  private func diagonal(_ index: Int) -> Double { factors[index * size + index] }

  /// ln |det W|.
  public var logAbsoluteDeterminant: Double {
    (0..<size).reduce(0) { $0 + Elementary.log(abs(diagonal($1))) }
  }

  /// Whether det W < 0.
  public var isDeterminantNegative: Bool {
    (0..<size).count { diagonal($0) < 0 } % 2 == 1 ? !isOrderOdd : isOrderOdd
  }

  /// W⁻¹, row-major: U⁻¹·L⁻¹·Pᵀ.
  ///
  /// - Throws: `LinearAlgebraError` if it is not finite.
  public func inverse() throws -> [Double] {
    let n = size
    var result = [Double](repeating: 0, count: n * n)
    for (row, column) in order.enumerated() { result[row * n + column] = 1 }
    result.withUnsafeMutableBufferPointer { result in
      factors.withUnsafeBufferPointer { factors in
        let (x, a) = (result.baseAddress!, factors.baseAddress!)
        for k in 0..<n {
          for i in k + 1..<n {
            subtract(a[i * n + k], x + k * n, from: x + i * n, columns: 0..<n)
          }
        }
        for k in (0..<n).reversed() {
          for j in 0..<n { x[k * n + j] /= a[k * n + k] }
          for i in 0..<k { subtract(a[i * n + k], x + k * n, from: x + i * n, columns: 0..<n) }
        }
      }
    }
    if !result.allSatisfy(\.isFinite) { throw LinearAlgebraError.notFinite(size: n) }
    return result
  }

  /// ‖W‖·‖W⁻¹‖ in the norm of row sums; infinite if the inverse is not finite.
  public func conditionNumber() -> Double {
    guard let inverse = try? inverse() else { return .infinity }
    return norm(original) * norm(inverse)
  }

  private func norm(_ matrix: [Double]) -> Double {
    (0..<size).map { row in (0..<size).reduce(0) { $0 + abs(matrix[row * size + $1]) } }.max() ?? 0
  }

  /// W = P·L·U with P a permutation matrix, L unit lower triangular, U upper triangular, all row-major.
  ///
  /// `permutation[i]` is the column of the one in row i of P.
  public static func permutedTriangles(
    _ matrix: [Double], size: Int
  ) throws -> (permutation: [Int], lower: [Double], upper: [Double]) {
    let source = try Factorization(matrix, size: size)
    // P has a one at (order[i], i).
    var permutation = [Int](repeating: 0, count: size)
    for i in 0..<size { permutation[source.order[i]] = i }
    var lower = [Double](repeating: 0, count: size * size)
    var upper = lower
    for i in 0..<size {
      for j in 0..<size {
        let value = source.factors[i * size + j]
        if i > j { lower[i * size + j] = value } else { upper[i * size + j] = value }
      }
      lower[i * size + i] = 1
    }
    return (permutation, lower, upper)
  }

  /// A random rotation: rows of standard normal numbers made orthonormal one after the other (Gram–Schmidt, each twice,
  /// after which they are orthogonal to the last bits), which is uniformly distributed, turned over if its determinant
  /// is −1.
  public static func randomRotation(size n: Int, generator: Philox) throws -> [Double] {
    var matrix = [Double](repeating: 0, count: n * n)
    matrix.withUnsafeMutableBufferPointer { rows in
      generator.fillNormal(rows)
      let a = rows.baseAddress!
      for row in 0..<n {
        let own = a + row * n
        for _ in 0..<2 {
          for other in 0..<row {
            subtract(dot(own, a + other * n, n), a + other * n, from: own, columns: 0..<n)
          }
        }
        let length = dot(own, own, n).squareRoot()
        for column in 0..<n { own[column] /= length }
      }
    }
    if try Factorization(matrix, size: n).isDeterminantNegative {
      for column in 0..<n { matrix[column] = -matrix[column] }
    }
    return matrix
  }
}

/// target ← target − factor·row.
@inline(__always)
private func subtract(
  _ factor: Double, _ row: UnsafePointer<Double>, from target: UnsafeMutablePointer<Double>,
  columns: Range<Int>
) {
  for column in columns { target[column] -= factor * row[column] }
}

private func dot(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ count: Int) -> Double {
  (0..<count).reduce(0) { $0 + a[$1] * b[$1] }
}

/// A·B of small row-major matrices in Double, [m × k]·[k × n] → [m × n]; either may be stored transposed. Each value is
/// the sum over k in order.
public func product(
  _ a: [Double], _ b: [Double], rows m: Int, inner k: Int, columns n: Int, transposeFirst: Bool = false,
  transposeSecond: Bool = false
) -> [Double] {
  precondition(a.count == m * k && b.count == k * n)
  // Rows of B one after the other, so that the loops go along them.
  let rows = transposeSecond ? (0..<k * n).map { b[$0 % n * k + $0 / n] } : b
  var result = [Double](repeating: 0, count: m * n)
  result.withUnsafeMutableBufferPointer { result in
    rows.withUnsafeBufferPointer { rows in
      guard let c = result.baseAddress, let b = rows.baseAddress else { return }
      for i in 0..<m {
        for inner in 0..<k {
          subtract(
            -(transposeFirst ? a[inner * m + i] : a[i * k + inner]), b + inner * n, from: c + i * n,
            columns: 0..<n)
        }
      }
    }
  }
  return result
}
