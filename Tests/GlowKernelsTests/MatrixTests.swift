import Foundation
import GlowKernels
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

  @Test("determinant, inverse and condition number")
  func factorization() throws {
    let n = 6
    let w = random(n * n, 3)
    let factorization = try Factorization(w, size: n)
    let identity = GlowKernels.product(w, try factorization.inverse(), rows: n, inner: n, columns: n)
    for i in 0..<n { for j in 0..<n { #expect(abs(identity[i * n + j] - (i == j ? 1 : 0)) < 1e-12) } }
    // det of [[2, 1], [4, −3]] = −10.
    #expect(abs(try Factorization([2, 1, 4, -3], size: 2).logAbsoluteDeterminant - log(10)) < 1e-14)
    #expect(abs(try Factorization([1, 0, 0, 1e-3], size: 2).conditionNumber() - 1000) < 1e-9)
    #expect(throws: LinearAlgebraError.singular(pivot: 2, size: 2)) {
      try Factorization([1, 2, 2, 4], size: 2)
    }
  }

  @Test("W = P·L·U")
  func triangles() throws {
    let n = 5
    let w = random(n * n, 4)
    let (permutation, lower, upper) = try Factorization.permutedTriangles(w, size: n)
    let lu = GlowKernels.product(lower, upper, rows: n, inner: n, columns: n)
    for i in 0..<n { for j in 0..<n { #expect(abs(lu[permutation[i] * n + j] - w[i * n + j]) < 1e-13) } }
    for i in 0..<n { for j in 0..<n where j > i { #expect(lower[i * n + j] == 0 && upper[j * n + i] == 0) } }
  }

  @Test("random rotations are orthogonal with determinant 1", arguments: [1, 2, 7, 12])
  func rotation(size: Int) throws {
    let r = try Factorization.randomRotation(size: size, generator: Philox(seed: 8, purpose: .weights))
    let identity = GlowKernels.product(r, r, rows: size, inner: size, columns: size, transposeSecond: true)
    for i in 0..<size {
      for j in 0..<size { #expect(abs(identity[i * size + j] - (i == j ? 1 : 0)) < 1e-13) }
    }
    #expect(abs(try Factorization(r, size: size).logAbsoluteDeterminant) < 1e-12)
    #expect(determinant(r, size) > 0)
  }

  /// By expansion along the first row: slow and obvious.
  private func determinant(_ a: [Double], _ n: Int) -> Double {
    if n == 1 { return a[0] }
    if n > 7 { return 1 }
    return (0..<n).reduce(0) { sum, column in
      let minor = (1..<n).flatMap { row in (0..<n).filter { $0 != column }.map { a[row * n + $0] } }
      return sum + (column % 2 == 0 ? 1 : -1) * a[column] * determinant(minor, n - 1)
    }
  }
}

@Suite("Vector functions")
struct VectorFunctionTests {
  @Test("exp in Float is within 2 units in the last place")
  func exponential() {
    var worst = 0.0
    for index in 0..<200_000 {
      let x = Float(-87) + Float(index) * (174 / 200_000)
      let found = Float.exp(SIMD8(repeating: x))[3]
      let expected = Foundation.exp(Double(x))
      worst = max(worst, abs(Double(found) - expected) / Double(Float(expected).ulp))
    }
    print("exp: largest error \(worst) units in the last place")
    #expect(worst <= 2)
    #expect(Float.exp(SIMD8(repeating: .nan))[0].isNaN)
  }

  @Test("sigmoid is never zero, and its logarithm follows from the second result")
  func sigmoid() {
    for x: Float in [-200, -80, -3, -0.1, 0, 0.1, 3, 80, 200] {
      let (value, onePlus) = Float.sigmoid(SIMD8(repeating: x))
      #expect(value[0] > 0 && value[0] <= 1)
      let expected = 1 / (1 + Foundation.exp(-Double(max(x, -87))))
      #expect(abs(Double(value[0]) - expected) < 1e-6 * expected + 1e-37)
      let logarithm = Double(min(x, 0)) - log(Double(onePlus[0]))
      let exact = x > 0 ? -log1p(Foundation.exp(-Double(x))) : Double(x) - log1p(Foundation.exp(Double(x)))
      #expect(abs(logarithm - exact) < 1e-6)
    }
  }
}

@Suite("Thread team")
struct ThreadTeamTests {
  @Test("every piece runs once, and no thread number is used twice at a time", arguments: [1, 2, 5])
  func pieces(threads: Int) {
    let team = ThreadTeam(count: threads)
    for pieces in [0, 1, 2, 3, 100] {
      var counts = [Int](repeating: 0, count: pieces)
      var busy = [Bool](repeating: false, count: threads)
      var clashes = 0
      counts.withUnsafeMutableBufferPointer { counts in
        busy.withUnsafeMutableBufferPointer { busy in
          withUnsafeMutablePointer(to: &clashes) { clashes in
            team.run(pieces) { piece, thread in
              if busy[thread] { clashes.pointee += 1 }
              busy[thread] = true
              counts[piece] += 1
              busy[thread] = false
            }
          }
        }
      }
      #expect(counts.allSatisfy { $0 == 1 } && clashes == 0)
    }
  }
}
