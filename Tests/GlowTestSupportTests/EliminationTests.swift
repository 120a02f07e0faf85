import Foundation
import GlowTestSupport
import Testing

@Suite("Elimination, against the definitions")
struct EliminationTests {
  @Test("determinants of both signs by expansion along the first row, and A·A⁻¹ = 1", arguments: 1...6)
  func definitions(n: Int) {
    for seed: UInt64 in 0..<10 {
      var generator = SplitMix(state: seed)
      let a = (0..<n * n).map { _ in Double.random(in: -1...1, using: &generator) }
      let expected = determinant(a, n)
      let found = Elimination(a, size: n)
      #expect(found.isNegative == (expected < 0))
      #expect(abs(exp(found.logAbsoluteDeterminant) / abs(expected) - 1) < 1e-10)
      for i in 0..<n {
        for j in 0..<n {
          let sum = (0..<n).reduce(0) { $0 + a[i * n + $1] * found.inverse[$1 * n + j] }
          #expect(abs(sum - (i == j ? 1 : 0)) < 1e-10)
        }
      }
    }
  }

  private func determinant(_ a: [Double], _ n: Int) -> Double {
    if n == 1 { return a[0] }
    return (0..<n).reduce(0) { sum, column in
      let minor = (1..<n).flatMap { row in (0..<n).filter { $0 != column }.map { a[row * n + $0] } }
      return sum + (column % 2 == 0 ? 1 : -1) * a[column] * determinant(minor, n - 1)
    }
  }
}
