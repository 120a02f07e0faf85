import GlowLatents

/// What a model makes of an image, and an image of: as many numbers as the image has values. Those of the images that a
/// model was trained on are distributed about as independent normal ones.
public struct Latents: Sendable, Hashable {
  /// How a way from one to another is laid.
  public typealias Path = InterpolationMethod

  /// ε of split 0, split 1, …, top, each in (row, column, channel) order.
  public var values: [Float]

  /// Latents of these values.
  public init(_ values: [Float]) { self.values = values }

  /// The point at `position` of the way from here (0) to `other` (1).
  ///
  /// - Precondition: both have as many values; latents of two models of other shapes end the program.
  public func interpolated(to other: Latents, at position: Double, along path: Path = .linear) -> Latents {
    Latents(LatentPath.point(from: values, to: other.values, at: position, method: path))
  }

  /// These and `strength` times a direction, such as `GlowModel.direction` finds.
  ///
  /// - Precondition: both have as many values; a direction of a model of another shape ends the program.
  public func moved(along direction: Latents, by strength: Double) -> Latents {
    precondition(direction.values.count == values.count, "a direction has as many values as the latents")
    return Latents(LatentPath.shifted(values, by: [direction.values], strength: strength))
  }
}
