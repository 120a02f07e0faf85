/// Signed distances in pixels from a point to an outline, negative inside.
enum FaceOutline {
  /// An axis-parallel ellipse, to first order near the outline.
  static func ellipse(_ point: SIMD2<Float>, radii: SIMD2<Float>) -> Float {
    let scaled = point / radii
    let gradient = scaled / radii
    let length = norm(scaled)
    return length * (length - 1) / max(norm(gradient), 1e-6)
  }

  /// An axis-parallel rectangle with rounded corners.
  static func box(_ point: SIMD2<Float>, radii: SIMD2<Float>, corner: Float) -> Float {
    let outside = magnitude(point) - radii + corner
    return norm(pointwiseMax(outside, .zero)) + min(outside.max(), 0) - corner
  }

  /// A line with round ends.
  static func line(
    _ point: SIMD2<Float>, from start: SIMD2<Float>, to end: SIMD2<Float>, halfThickness: Float
  ) -> Float {
    let along = end - start
    let position = min(max(dot(point - start, along) / dot(along, along), 0), 1)
    return norm(point - start - along * position) - halfThickness
  }

  /// The share of a pixel's area inside an outline at this distance from the pixel's center.
  static func coverage(_ distance: Float) -> Float { min(max(0.5 - distance, 0), 1) }

  /// The union of two outlines with a rounded seam of this width.
  static func smoothUnion(_ first: Float, _ second: Float, width: Float) -> Float {
    let overlap = max(width - (first - second).magnitude, 0) / width
    return min(first, second) - overlap * overlap * width / 4
  }

  static func magnitude(_ vector: SIMD2<Float>) -> SIMD2<Float> {
    [vector.x.magnitude, vector.y.magnitude]
  }

  static func norm(_ vector: SIMD2<Float>) -> Float { dot(vector, vector).squareRoot() }

  static func dot(_ first: SIMD2<Float>, _ second: SIMD2<Float>) -> Float {
    first.x * second.x + first.y * second.y
  }
}
