import Foundation

/// Gauss–Jordan elimination with partial pivoting: deliberately not the package's own factorization.
package struct Elimination {
  /// ln |det A|, and whether det A < 0.
  package private(set) var logAbsoluteDeterminant = 0.0
  package private(set) var isNegative = false
  /// A⁻¹, row-major.
  package private(set) var inverse: [Double]

  /// - Parameter matrix: [n, n], row-major and not singular.
  package init(_ matrix: [Double], size n: Int) {
    var a = matrix
    inverse = (0..<n * n).map { $0 / n == $0 % n ? 1 : 0 }
    for k in 0..<n {
      let pivot = (k..<n).max { abs(a[$0 * n + k]) < abs(a[$1 * n + k]) }!
      if pivot != k {
        for j in 0..<n {
          a.swapAt(k * n + j, pivot * n + j)
          inverse.swapAt(k * n + j, pivot * n + j)
        }
        isNegative.toggle()
      }
      let value = a[k * n + k]
      logAbsoluteDeterminant += log(abs(value))
      if value < 0 { isNegative.toggle() }
      for j in 0..<n {
        a[k * n + j] /= value
        inverse[k * n + j] /= value
      }
      for i in 0..<n where i != k {
        let factor = a[i * n + k]
        for j in 0..<n {
          a[i * n + j] -= factor * a[k * n + j]
          inverse[i * n + j] -= factor * inverse[k * n + j]
        }
      }
    }
  }
}
