import GlowKernels
import Testing

@Suite("Orthogonalization")
struct OrthogonalizationTests {
  private static let shapes = [
    (1, 1), (1, 9), (9, 1), (64, 32), (32, 64), (300, 17), (17, 300), (1161, 12), (63, 128), (300, 150),
  ]

  private func orthogonalized<S: Scalar>(_ matrix: [S], _ rows: Int, _ columns: Int) -> [S] {
    var result = matrix
    result.withUnsafeMutableBufferPointer {
      orthogonalize(Matrix($0.baseAddress!, rows: rows, columns: columns), .best)
    }
    return result
  }

  /// Whether a symmetric matrix has no eigenvalue below zero: all pivots are positive.
  private func isPositive(_ matrix: [Double], _ size: Int) -> Bool {
    var a = matrix
    for k in 0..<size {
      if !(a[k * size + k] > 0) { return false }
      for i in k + 1..<size {
        let factor = a[i * size + k] / a[k * size + k]
        for j in k..<size { a[i * size + j] -= factor * a[k * size + j] }
      }
    }
    return true
  }

  /// Expects singular values of 0.73 to 1.27, which is what the polynomials make of those above 0.01, and the singular
  /// vectors of the matrix: the product of its transpose and the result is symmetric and positive.
  private func check<S: Scalar>(
    _ matrix: [S], _ result: [S], _ rows: Int, _ columns: Int, within error: Double
  ) {
    let isWide = columns > rows
    let size = min(rows, columns)
    let (x, y) = (matrix.map { Double($0) }, result.map { Double($0) })
    func inner(_ a: [Double], _ b: [Double]) -> [Double] {
      isWide
        ? product(a, b, rows: rows, inner: columns, columns: rows, transposeSecond: true)
        : product(a, b, rows: columns, inner: rows, columns: columns, transposeFirst: true)
    }
    var (above, below) = (inner(y, y), inner(y, y).map { -$0 })
    for index in 0..<size {
      above[index * size + index] -= 0.73 * 0.73
      below[index * size + index] += 1.27 * 1.27
    }
    #expect(isPositive(above, size) && isPositive(below, size), "\(rows)×\(columns)")
    let polar = inner(x, y)
    let largest = polar.map(abs).max()!
    for i in 0..<size {
      for j in 0..<i {
        #expect(abs(polar[i * size + j] - polar[j * size + i]) < error * largest, "\(rows)×\(columns)")
      }
    }
    #expect(isPositive(polar, size), "\(rows)×\(columns)")
  }

  @Test(
    "of tall and wide matrices of any size, the singular vectors stay and the singular values are about 1")
  func shapes() {
    for (rows, columns) in Self.shapes {
      let double: [Double] = random(rows * columns, 1)
      check(double, orthogonalized(double, rows, columns), rows, columns, within: 1e-12)
      let float: [Float] = random(rows * columns, 1)
      check(float, orthogonalized(float, rows, columns), rows, columns, within: 1e-4)
      for factor: Float in [1e-20, 1e15] {
        let other = orthogonalized(float.map { factor * $0 }, rows, columns)
        check(float, other, rows, columns, within: 1e-4)
      }
    }
  }

  @Test("a transpose has the transpose, and zeros stay zeros")
  func symmetry() {
    let (rows, columns) = (21, 40)
    let matrix: [Float] = random(rows * columns, 2)
    let turned = (0..<rows * columns).map { matrix[$0 % rows * columns + $0 / rows] }
    let (one, other) = (orthogonalized(matrix, rows, columns), orthogonalized(turned, columns, rows))
    for row in 0..<rows {
      for column in 0..<columns {
        #expect(abs(one[row * columns + column] - other[column * rows + row]) < 1e-5)
      }
    }
    #expect(orthogonalized([Float](repeating: 0, count: 60), 6, 10).allSatisfy { $0 == 0 })
  }
}
