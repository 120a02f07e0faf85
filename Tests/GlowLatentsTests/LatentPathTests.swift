import Foundation
import GlowKernels
import GlowLatents
import Testing

/// Standard normal numbers that depend on `stream`.
func normal(_ count: Int, stream: UInt64) -> [Float] {
  [Float](unsafeUninitializedCapacity: count) { buffer, written in
    Philox(seed: 9, purpose: .latents, stream: stream).fillNormal(buffer)
    written = count
  }
}

func length(_ vector: [Float]) -> Double {
  vector.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
}

func distance(_ first: [Float], _ second: [Float]) -> Double { length(zip(first, second).map { $0 - $1 }) }

@Suite("Ways through the latent space")
struct LatentPathTests {
  private let a = normal(300, stream: 1)
  private let b = normal(300, stream: 2).map { 1.5 * $0 }

  @Test("both methods begin and end at the ends", arguments: InterpolationMethod.allCases)
  func ends(method: InterpolationMethod) {
    let points = LatentPath.points(from: a, to: b, steps: 5, method: method)
    #expect(points.count == 5)
    #expect(distance(points[0], a) < 1e-5 && distance(points[4], b) < 1e-5)
  }

  @Test("the line's middle is the mean")
  func line() {
    let middle = LatentPath.point(from: a, to: b, at: 0.5, method: .linear)
    #expect(distance(middle, zip(a, b).map { ($0 + $1) / 2 }) < 1e-5)
  }

  @Test("on the arc length and angle change evenly")
  func arc() {
    let points = LatentPath.points(from: a, to: b, steps: 7, method: .spherical)
    func angle(_ first: [Float], _ second: [Float]) -> Double {
      acos(zip(first, second).reduce(0) { $0 + Double($1.0) * Double($1.1) } / length(first) / length(second))
    }
    let step = angle(a, b) / 6
    for index in 0..<6 {
      #expect(abs(angle(points[index], points[index + 1]) - step) < 1e-5)
      let expected = length(a) + (length(b) - length(a)) * Double(index) / 6
      #expect(abs(length(points[index]) - expected) < 1e-4)
    }
  }

  @Test("parallel, opposite and empty vectors take the line")
  func degenerate() {
    let almost = a.enumerated().map { $0.offset == 0 ? $0.element.nextUp : $0.element }
    for end in [a, almost, a.map { 2 * $0 }, a.map { -$0 }, a.map { _ in 0 }] {
      let arc = LatentPath.point(from: a, to: end, at: 0.25, method: .spherical)
      let line = LatentPath.point(from: a, to: end, at: 0.25, method: .linear)
      #expect(arc.allSatisfy { $0.isFinite })
      #expect(distance(arc, line) < 1e-4)
    }
  }

  @Test("the grid is bilinear and has its corners in the corners")
  func grid() {
    let corners = (1...4).map { normal(50, stream: $0) }
    let grid = LatentPath.grid(corners: corners, steps: 3, method: .linear)
    #expect(grid.count == 9)
    for (place, corner) in zip([0, 2, 6, 8], corners) { #expect(distance(grid[place], corner) < 1e-5) }
    let mean = (0..<50).map { index in corners.reduce(0) { $0 + $1[index] } / 4 }
    #expect(distance(grid[4], mean) < 1e-5)
    #expect(distance(grid[1], zip(corners[0], corners[1]).map { ($0 + $1) / 2 }) < 1e-5)
    #expect(distance(grid[3], zip(corners[0], corners[2]).map { ($0 + $1) / 2 }) < 1e-5)
  }
}
