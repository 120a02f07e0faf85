import CCairo
import GlowImages

/// A white picture to draw on.
///
/// Coordinates are points: x to the right, y downwards, `scale` pixels a point. Cairo remembers the first
/// error and draws nothing after it, so drawing does not throw; `image()` does. Calls cairo's image surface.
public final class Canvas {
  /// In points.
  public let width: Int
  /// In points.
  public let height: Int
  /// Pixels a point.
  public let scale: Int
  private let surface: OpaquePointer
  let context: OpaquePointer

  /// 2²⁶ pixels take 256 MiB.
  static let maximumPixels = 1 << 26

  /// An empty canvas; its sides and `scale` are at least 1.
  ///
  /// - Parameters:
  ///   - width: in points, as is `height`.
  ///   - scale: pixels a point.
  /// - Throws: `DrawingError` if the picture would be too large or memory runs out.
  public init(width: Int, height: Int, scale: Int = 1) throws {
    precondition(width >= 1 && height >= 1 && scale >= 1, "a canvas has a pixel at least")
    try Canvas.checkSize(width: width, height: height, scale: scale)
    self.width = width
    self.height = height
    self.scale = scale
    surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, Int32(width * scale), Int32(height * scale))
    context = cairo_create(surface)
    try check()
    cairo_scale(context, Double(scale), Double(scale))
    fill(Rectangle(x: 0, y: 0, width: Double(width), height: Double(height)), .white)
  }

  /// - Throws: `DrawingError` if a picture would be too large.
  static func checkSize(width: Int, height: Int, scale: Int = 1) throws {
    let limit = PNG.maximumSide / scale
    guard width <= limit, height <= limit, width * height * scale * scale <= maximumPixels else {
      throw DrawingError(
        "a picture of \(width)×\(height) points at \(scale) pixels a point is too large: "
          + "sides are at most \(PNG.maximumSide) pixels, and there are at most \(maximumPixels)")
    }
  }

  deinit {
    cairo_destroy(context)
    cairo_surface_destroy(surface)
  }

  /// - Throws: `DrawingError` with cairo's words for the first thing that went wrong.
  private func check() throws {
    let status = cairo_status(context)
    if status != CAIRO_STATUS_SUCCESS {
      throw DrawingError("cannot draw: \(String(cString: cairo_status_to_string(status)))")
    }
  }

  /// Fills a rectangle. Calls `cairo_fill`.
  ///
  /// - Parameter opacity: 0 (nothing) to 1.
  public func fill(_ rectangle: Rectangle, _ color: Color, opacity: Double = 1) {
    setColor(color, opacity)
    cairo_rectangle(context, rectangle.x, rectangle.y, rectangle.width, rectangle.height)
    cairo_fill(context)
  }

  /// Fills the area within a closed line. Calls `cairo_fill`.
  public func fill(_ corners: [Point], _ color: Color, opacity: Double = 1) {
    setColor(color, opacity)
    trace(corners)
    cairo_fill(context)
  }

  /// Fills a circle. Calls `cairo_arc`.
  public func dot(_ center: Point, radius: Double, _ color: Color) {
    setColor(color)
    cairo_new_path(context)
    cairo_arc(context, center.x, center.y, radius, 0, 2 * .pi)
    cairo_fill(context)
  }

  /// Draws a line through points. Calls `cairo_stroke`.
  ///
  /// - Parameter thickness: in points.
  public func line(_ points: [Point], _ color: Color, thickness: Double = 1, opacity: Double = 1) {
    setColor(color, opacity)
    cairo_set_line_width(context, thickness)
    cairo_set_line_join(context, CAIRO_LINE_JOIN_ROUND)
    trace(points)
    cairo_stroke(context)
  }

  /// Draws what `body` draws, as far as it lies within a rectangle. Calls `cairo_clip`.
  public func clipped(to rectangle: Rectangle, _ body: () throws -> Void) rethrows {
    cairo_save(context)
    cairo_rectangle(context, rectangle.x, rectangle.y, rectangle.width, rectangle.height)
    cairo_clip(context)
    defer { cairo_restore(context) }
    try body()
  }

  /// Copies an image, each of its pixels a square of `enlargement` points: nothing is smoothed.
  ///
  /// - Parameters:
  ///   - x: of the image's left side, in points, as `y` is of its top. The image must lie within the canvas.
  public func draw(_ image: ByteImage, x: Int, y: Int, enlargement: Int = 1) {
    let shape = image.shape
    let side = enlargement * scale
    precondition(shape.channels == 1 || shape.channels == 3, "images are gray or RGB")
    precondition(
      x >= 0 && y >= 0 && enlargement >= 1 && x + shape.width * enlargement <= width
        && y + shape.height * enlargement <= height, "the image must lie within the canvas")
    cairo_surface_flush(surface)
    guard let base = cairo_image_surface_get_data(surface) else { return }
    let stride = Int(cairo_image_surface_get_stride(surface))
    for row in 0..<shape.height * side {
      let target = UnsafeMutableRawPointer(base + (y * scale + row) * stride).assumingMemoryBound(
        to: UInt32.self)
      for column in 0..<shape.width * side {
        let source = (row / side * shape.width + column / side) * shape.channels
        let green = shape.channels == 3 ? 1 : 0
        target[x * scale + column] =
          UInt32(image.pixels[source]) << 16 | UInt32(image.pixels[source + green]) << 8
          | UInt32(image.pixels[source + 2 * green])
      }
    }
    cairo_surface_mark_dirty(surface)
  }

  /// The picture in RGB, `[height · scale, width · scale, 3]`.
  ///
  /// - Throws: `DrawingError` if anything went wrong since the canvas was made.
  public func image() throws -> ByteImage {
    try check()
    cairo_surface_flush(surface)
    guard let base = cairo_image_surface_get_data(surface) else {
      throw DrawingError("cannot draw: the picture has no pixels")
    }
    let stride = Int(cairo_image_surface_get_stride(surface))
    let shape = ImageShape(height: height * scale, width: width * scale, channels: 3)
    let pixels = [UInt8](unsafeUninitializedCapacity: shape.count) { buffer, count in
      for row in 0..<shape.height {
        let source = UnsafeRawPointer(base + row * stride).assumingMemoryBound(to: UInt32.self)
        for column in 0..<shape.width {
          let target = (row * shape.width + column) * 3
          buffer[target] = UInt8(truncatingIfNeeded: source[column] >> 16)
          buffer[target + 1] = UInt8(truncatingIfNeeded: source[column] >> 8)
          buffer[target + 2] = UInt8(truncatingIfNeeded: source[column])
        }
      }
      count = shape.count
    }
    return ByteImage(shape: shape, pixels: pixels)
  }

  func setColor(_ color: Color, _ opacity: Double = 1) {
    cairo_set_source_rgba(context, color.red, color.green, color.blue, opacity)
  }

  private func trace(_ points: [Point]) {
    cairo_new_path(context)
    for point in points { cairo_line_to(context, point.x, point.y) }
  }
}
