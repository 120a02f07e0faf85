import GlowKernels
import Testing

@testable import GlowFlow

@Suite("Whether a picture's rows depend on its place, with OpenBLAS")
struct OpenBLASRowsTests {
  @Test("in Float", arguments: [2, 3, 4, 5, 6, 12], [1, 4, 16, 25])
  func float(pictures: Int, positions: Int) { check(pictures, positions, Float.self) }

  @Test("in Double", arguments: [2, 3, 4, 5, 6, 12], [1, 4, 16, 25])
  func double(pictures: Int, positions: Int) { check(pictures, positions, Double.self) }

  @Test("one picture always comes out like itself, and several products must all agree")
  func all() {
    let shapes = [(27, 64), (64, 64), (64, 54), (512, 512)].map { ProductShape(inner: $0.0, columns: $0.1) }
    for pictures in 1...12 {
      let each = shapes.map { rowsComeOutAlike(pictures: pictures, positions: 16, [$0], Float.self) }
      #expect(
        rowsComeOutAlike(pictures: pictures, positions: 16, shapes, Float.self) == each.allSatisfy { $0 })
      #expect(pictures > 1 || each.allSatisfy { $0 })
    }
  }

  /// Against other numbers: pictures that differ, and that are moved to every place among their neighbors.
  private func check<S: Scalar>(_ pictures: Int, _ positions: Int, _: S.Type) {
    for (k, n) in [(9, 16), (54, 32), (64, 64), (144, 96), (288, 54), (512, 128)] {
      let inputs = random(pictures * positions * k, 1, S.self)
      let b = random(k * n, 2, S.self)
      /// [pictures][positions · n], where picture p takes turn (p + shift) mod pictures.
      func results(shift: Int) -> [[S]] {
        let rows = positions * pictures
        var a = [S](repeating: 0, count: rows * k)
        func row(_ position: Int, _ picture: Int) -> Int {
          position * pictures + (picture + shift) % pictures
        }
        for picture in 0..<pictures {
          for position in 0..<positions {
            for index in 0..<k {
              a[row(position, picture) * k + index] = inputs[(picture * positions + position) * k + index]
            }
          }
        }
        var c = [S](repeating: .nan, count: rows * n)
        S.gemm(false, false, rows, n, k, a, k, b, n, 0, &c, n)
        return (0..<pictures).map { picture in
          (0..<positions).flatMap { c[row($0, picture) * n..<(row($0, picture) + 1) * n] }
        }
      }
      let first = results(shift: 0)
      let isAlike = (1..<pictures).allSatisfy { results(shift: $0) == first }
      let found = rowsComeOutAlike(
        pictures: pictures, positions: positions, [ProductShape(inner: k, columns: n)], S.self)
      #expect(found == isAlike, "\(pictures)×\(positions) rows, \(k)→\(n) in \(S.self)")
    }
  }

  private func random<S: Scalar>(_ count: Int, _ stream: UInt64, _: S.Type) -> [S] {
    var values = [S](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer {
      Philox(seed: 9, purpose: .latents, stream: stream).fillNormal($0)
    }
    return values
  }
}
