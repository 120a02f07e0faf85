import Foundation

/// How a way from one latent to another is laid.
public enum InterpolationMethod: String, Sendable, CaseIterable {
  /// Along the straight line, as in section 6 of Kingma & Dhariwal 2018. Between two latents that have nothing in
  /// common the middle is shorter than the ends by √½: it looks like a sample of temperature 0.7.
  case linear
  /// Along the arc, the length changing evenly (Shoemake 1985; White 2016, "Sampling generative networks").
  case spherical
}

/// Ways between latents. A latent is the whole vector ε of an image, as `Scorer.encode` gives it.
package enum LatentPath {
  /// The point at `position` of the way from `start` (0) to `end` (1).
  ///
  /// With the angle ω between the two, the arc's direction is (sin((1−t)ω)·a + sin(tω)·b)/sin ω for unit vectors
  /// a, b. Where sin ω is next to nothing (parallel or opposite vectors, or one of no length) the line is taken.
  package static func point(
    from start: [Float], to end: [Float], at position: Double, method: InterpolationMethod
  ) -> [Float] {
    precondition(start.count == end.count)
    var (first, second) = (1 - position, position)
    if method == .spherical {
      let lengths = (length(start), length(end))
      let cosine = zip(start, end).reduce(0) { $0 + Double($1.0) * Double($1.1) } / (lengths.0 * lengths.1)
      // A vector without length makes this a NaN, which takes the line too.
      let angle = acos(min(max(cosine, -1), 1))
      if sin(angle) > 1e-6 {
        let length = first * lengths.0 + second * lengths.1
        (first, second) = (
          sin(first * angle) / sin(angle) * length / lengths.0,
          sin(second * angle) / sin(angle) * length / lengths.1
        )
      }
    }
    return zip(start, end).map { Float(first * Double($0) + second * Double($1)) }
  }

  /// `steps` points from `start` to `end`, both among them.
  package static func points(
    from start: [Float], to end: [Float], steps: Int, method: InterpolationMethod
  ) -> [[Float]] {
    precondition(steps >= 2)
    return (0..<steps).map {
      point(from: start, to: end, at: Double($0) / Double(steps - 1), method: method)
    }
  }

  /// `steps`² points between four corners, row by row: along the upper and the lower edge, then from one to the
  /// other. With straight lines that is the bilinear interpolation.
  ///
  /// - Parameter corners: upper left, upper right, lower left, lower right.
  package static func grid(corners: [[Float]], steps: Int, method: InterpolationMethod) -> [[Float]] {
    precondition(corners.count == 4)
    let upper = points(from: corners[0], to: corners[1], steps: steps, method: method)
    let lower = points(from: corners[2], to: corners[3], steps: steps, method: method)
    let columns = zip(upper, lower).map { points(from: $0, to: $1, steps: steps, method: method) }
    return (0..<steps).flatMap { row in columns.map { $0[row] } }
  }

  /// ε + strength·(v₁ + v₂ + …).
  package static func shifted(_ latents: [Float], by vectors: [[Float]], strength: Double) -> [Float] {
    vectors.reduce(latents) { latents, vector in zip(latents, vector).map { $0 + Float(strength) * $1 } }
  }

  private static func length(_ vector: [Float]) -> Double {
    vector.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
  }
}
