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
package struct Factorization {
  package let size: Int
  private var original: [Double]
  /// L below the diagonal, U on and above it.
  private var factors: [Double]
  /// Row i of L·U is row order[i] of W.
  private var order: [Int]
  private var isOrderOdd = false

  /// - Parameter matrix: [size, size], row-major.
  /// - Throws: `LinearAlgebraError`.
  package init(_ matrix: [Double], size: Int) throws {
    precondition(matrix.count == size * size)
    self.init(size: size)
    try matrix.withUnsafeBufferPointer { try factorize($0.baseAddress!) }
  }

  /// Room for the factors of a matrix of this size, now those of the identity.
  package init(size: Int) {
    self.size = size
    original = [Double](repeating: 0, count: size * size)
    for index in 0..<size { original[index * size + index] = 1 }
    factors = original
    order = Array(0..<size)
  }

  /// Becomes the factorization of another matrix, in the same memory.
  ///
  /// - Parameter matrix: [size, size], row-major.
  /// - Throws: `LinearAlgebraError`; then the factors are of no use.
  package mutating func factorize(_ matrix: UnsafePointer<Double>) throws {
    let n = size
    for index in 0..<n * n { (original[index], factors[index]) = (matrix[index], matrix[index]) }
    for index in 0..<n { order[index] = index }
    isOrderOdd = false
    if !original.allSatisfy(\.isFinite) { throw LinearAlgebraError.notFinite(size: n) }
    try eliminate()
    if !factors.allSatisfy(\.isFinite) { throw LinearAlgebraError.notFinite(size: n) }
  }

  private mutating func eliminate() throws {
    let n = size
    for k in 0..<n {
      var pivot = k
      for i in k..<n where abs(factors[i * n + k]) > abs(factors[pivot * n + k]) { pivot = i }
      if factors[pivot * n + k] == 0 { throw LinearAlgebraError.singular(pivot: k + 1, size: n) }
      if pivot != k {
        for j in 0..<n { factors.swapAt(k * n + j, pivot * n + j) }
        order.swapAt(k, pivot)
        isOrderOdd.toggle()
      }
      factors.withUnsafeMutableBufferPointer { factors in
        let a = factors.baseAddress!
        for i in k + 1..<n {
          let factor = a[i * n + k] / a[k * n + k]
          a[i * n + k] = factor
          subtract(factor, a + k * n, from: a + i * n, columns: k + 1..<n)
        }
      }
    }
  }

  private func diagonal(_ index: Int) -> Double { factors[index * size + index] }

  /// ln |det W|.
  package var logAbsoluteDeterminant: Double {
    (0..<size).reduce(0) { $0 + Elementary.log(abs(diagonal($1))) }
  }

  /// Whether det W < 0.
  package var isDeterminantNegative: Bool {
    (0..<size).count { diagonal($0) < 0 } % 2 == 1 ? !isOrderOdd : isOrderOdd
  }

  /// W⁻¹, row-major: U⁻¹·L⁻¹·Pᵀ.
  ///
  /// - Throws: `LinearAlgebraError` if it is not finite.
  package func inverse() throws -> [Double] {
    try [Double](unsafeUninitializedCapacity: size * size) { result, count in
      try inverse(into: result.baseAddress!)
      count = size * size
    }
  }

  /// Writes W⁻¹, [size, size], row-major.
  ///
  /// - Throws: `LinearAlgebraError` if it is not finite.
  package func inverse(into x: UnsafeMutablePointer<Double>) throws {
    let n = size
    x.update(repeating: 0, count: n * n)
    for row in 0..<n { x[row * n + order[row]] = 1 }
    factors.withUnsafeBufferPointer { factors in
      let a = factors.baseAddress!
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
    if !(0..<n * n).allSatisfy({ x[$0].isFinite }) { throw LinearAlgebraError.notFinite(size: n) }
  }

  /// ‖W‖·‖W⁻¹‖ in the norm of row sums; infinite if the inverse is not finite.
  package func conditionNumber() -> Double {
    guard let inverse = try? inverse() else { return .infinity }
    return norm(original) * norm(inverse)
  }

  private func norm(_ matrix: [Double]) -> Double {
    (0..<size).map { row in (0..<size).reduce(0) { $0 + abs(matrix[row * size + $1]) } }.max() ?? 0
  }

  /// W = P·L·U with P a permutation matrix, L unit lower triangular, U upper triangular, all row-major.
  ///
  /// `permutation[i]` is the column of the one in row i of P.
  package static func permutedTriangles(
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
  package static func randomRotation(size n: Int, generator: Philox) throws -> [Double] {
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

/// C ← A·B of small matrices in Double, [M × K]·[K × N] → [M × N]; A and B may be transposed views. Each value is the sum
/// over K in order.
package func product(_ a: Matrix<Double>, _ b: Matrix<Double>, into c: Matrix<Double>) {
  precondition(
    a.columns == b.rows && c.rows == a.rows && c.columns == b.columns && !c.isTransposed,
    "matrix shapes do not fit")
  // Along the stored rows of B, or of A and B: the same sums either way.
  for i in 0..<c.rows {
    c[i].update(repeating: 0, count: c.columns)
    for k in 0..<a.columns {
      let factor = a.value(i, k)
      if b.isTransposed {
        for j in 0..<c.columns { c[i][j] += factor * b.value(k, j) }
      } else {
        subtract(-factor, b[k], from: c[i], columns: 0..<c.columns)
      }
    }
  }
}

/// A·B of small row-major matrices, [m × k]·[k × n] → [m × n]; either may be stored transposed.
package func product(
  _ a: [Double], _ b: [Double], rows m: Int, inner k: Int, columns n: Int, transposeFirst: Bool = false,
  transposeSecond: Bool = false
) -> [Double] {
  precondition(a.count == m * k && b.count == k * n)
  return withScratch { scratch in
    let (first, second) = (
      transposeFirst ? scratch.matrix(k, m) : scratch.matrix(m, k),
      transposeSecond ? scratch.matrix(n, k) : scratch.matrix(k, n)
    )
    let result = scratch.matrix(m, n)
    for (index, value) in a.enumerated() { first.base[index] = value }
    for (index, value) in b.enumerated() { second.base[index] = value }
    product(
      transposeFirst ? first.transposed : first, transposeSecond ? second.transposed : second, into: result)
    return Array(UnsafeBufferPointer(start: result.base, count: m * n))
  }
}
