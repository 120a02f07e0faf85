import Foundation
import GlowKernels
import GlowTestSupport
import Testing

@Suite("Matrices")
struct MatrixTests {
  private func random(_ count: Int, _ stream: UInt64 = 0) -> [Double] {
    var values = [Double](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer {
      Philox(seed: 6, purpose: .latents, stream: stream).fillNormal($0)
    }
    return values
  }

  @Test("product, transposed or not, against three loops", arguments: [false, true], [false, true])
  func product(first: Bool, second: Bool) {
    let (m, k, n) = (5, 7, 3)
    let a = random(m * k, 1)
    let b = random(k * n, 2)
    let found = GlowKernels.product(
      a, b, rows: m, inner: k, columns: n, transposeFirst: first, transposeSecond: second)
    for i in 0..<m {
      for j in 0..<n {
        let expected = (0..<k).reduce(0.0) {
          $0 + a[first ? $1 * m + i : i * k + $1] * b[second ? j * k + $1 : $1 * n + j]
        }
        #expect(abs(found[i * n + j] - expected) < 1e-13)
      }
    }
  }

  /// Matrices with the determinant's two signs, and with zeros where elimination would begin.
  private func matrices(_ n: Int) -> [[Double]] {
    let any = random(n * n, 3)
    var turned = any
    for j in 0..<n { turned[j] = -turned[j] }
    var zeros = any
    for i in 0..<n - 1 { zeros[i * n + i] = 0 }
    return [any, turned, zeros, any.map { 1e200 * $0 }, any.map { 1e-200 * $0 }]
  }

  @Test("determinant and inverse, against elimination", arguments: [1, 2, 3, 5, 8, 12, 16, 33, 64, 96])
  func factorization(n: Int) throws {
    for w in matrices(n) {
      let factorization = try Factorization(w, size: n)
      let expected = Elimination(w, size: n)
      let logarithm = factorization.logAbsoluteDeterminant
      #expect(
        abs(logarithm - expected.logAbsoluteDeterminant) <= 1e-12 * max(1, abs(logarithm)),
        "\(logarithm) and \(expected.logAbsoluteDeterminant)")
      #expect(factorization.isDeterminantNegative == expected.isNegative)
      let largest = expected.inverse.map(abs).max()!
      let error = zip(try factorization.inverse(), expected.inverse).map { abs($0 - $1) }.max()! / largest
      #expect(error < 1e-11)
    }
  }

  @Test("condition number in the norm of row sums, against the inverse", arguments: [1, 2, 3, 8, 12, 33, 96])
  func conditionNumber(n: Int) throws {
    func norm(_ a: [Double]) -> Double {
      (0..<n).map { i in (0..<n).reduce(0) { $0 + abs(a[i * n + $1]) } }.max()!
    }
    for w in matrices(n) {
      let exact = norm(w) * norm(Elimination(w, size: n).inverse)
      let found = try Factorization(w, size: n).conditionNumber()
      #expect(abs(found - exact) <= 1e-9 * exact, "\(found) of \(exact)")
    }
  }

  @Test("small ones by hand, and what is refused")
  func byHand() throws {
    #expect(abs(try Factorization([2, 1, 4, -3], size: 2).logAbsoluteDeterminant - log(10)) < 1e-14)
    #expect(abs(try Factorization([1, 0, 0, 1e-3], size: 2).conditionNumber() - 1000) < 1e-9)
    // The row sums of W and W⁻¹ are 21, their column sums 11.
    #expect(abs(try Factorization([1, 10, 10, 0, 1, 0, 0, 0, 1], size: 3).conditionNumber() - 441) < 1e-9)
    #expect(throws: LinearAlgebraError.singular(pivot: 2, size: 2)) {
      try Factorization([1, 2, 2, 4], size: 2)
    }
    #expect(throws: LinearAlgebraError.singular(pivot: 2, size: 2)) {
      try Factorization.permutedTriangles([1, 2, 2, 4], size: 2)
    }
    #expect(throws: LinearAlgebraError.notFinite(size: 2)) {
      try Factorization([1, .nan, 2, 4], size: 2)
    }
    for infinite in [[.infinity, 1, 0, 1], [1, 0, -Double.infinity, 1]] {
      #expect(throws: LinearAlgebraError.notFinite(size: 2)) {
        try Factorization(infinite, size: 2)
      }
      #expect(throws: LinearAlgebraError.notFinite(size: 2)) {
        try Factorization.permutedTriangles(infinite, size: 2)
      }
    }
  }

  @Test("W = P·L·U with pivots that are the largest of their column", arguments: [1, 2, 5, 12, 48])
  func triangles(n: Int) throws {
    for w in matrices(n).prefix(3) {
      let (permutation, lower, upper) = try Factorization.permutedTriangles(w, size: n)
      let lu = GlowKernels.product(lower, upper, rows: n, inner: n, columns: n)
      #expect(permutation.sorted() == Array(0..<n))
      var error = 0.0
      for i in 0..<n {
        for j in 0..<n { error = max(error, abs(lu[permutation[i] * n + j] - w[i * n + j])) }
      }
      #expect(error < 1e-12)
      let isTriangular = (0..<n).allSatisfy { i in
        (0..<n).allSatisfy { j in j <= i || (lower[i * n + j] == 0 && upper[j * n + i] == 0) }
      }
      #expect(isTriangular && (0..<n).allSatisfy { lower[$0 * n + $0] == 1 })
      #expect(lower.allSatisfy { abs($0) <= 1 })
    }
  }

  @Test("random rotations are orthogonal with determinant 1", arguments: [1, 2, 3, 4, 7, 12, 24, 48])
  func rotation(size: Int) throws {
    for seed: UInt64 in 8..<12 {
      let r = try Factorization.randomRotation(size: size, generator: Philox(seed: seed, purpose: .weights))
      let identity = GlowKernels.product(
        r, r, rows: size, inner: size, columns: size, transposeSecond: true)
      for i in 0..<size {
        for j in 0..<size { #expect(abs(identity[i * size + j] - (i == j ? 1 : 0)) < 1e-13) }
      }
      let determinant = Elimination(r, size: size)
      #expect(abs(determinant.logAbsoluteDeterminant) < 1e-12 && !determinant.isNegative)
    }
  }

  @Test("random rotations favor no direction")
  func rotationsFavorNothing() throws {
    let (size, count) = (4, 1000)
    var sums = [Double](repeating: 0, count: size * size)
    var squares = sums
    for seed in 0..<count {
      let generator = Philox(seed: UInt64(seed), purpose: .weights)
      for (index, value) in try Factorization.randomRotation(size: size, generator: generator).enumerated() {
        sums[index] += value / Double(count)
        squares[index] += value * value / Double(count)
      }
    }
    // Of a uniformly distributed one an entry has mean 0 and variance 1/4: its mean over 1000 deviates by 0.016.
    #expect(sums.allSatisfy { abs($0) < 0.06 } && squares.allSatisfy { abs($0 - 0.25) < 0.04 })
  }
}
