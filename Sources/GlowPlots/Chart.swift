import GlowImages

/// Something with axes.
public protocol Chart {
  /// Draws into a part of a canvas.
  ///
  /// - Throws: `DrawingError` if there is nothing to draw.
  func draw(on canvas: Canvas, in rectangle: Rectangle) throws
}

extension Chart {
  /// The chart alone on a picture, in RGB.
  ///
  /// - Parameters:
  ///   - width: in points, as is `height`; text is 11 points high.
  ///   - scale: pixels a point.
  /// - Throws: `DrawingError`.
  public func image(width: Int = 560, height: Int = 340, scale: Int = 2) throws -> ByteImage {
    let canvas = try Canvas(width: width, height: height, scale: scale)
    try draw(on: canvas, in: Rectangle(x: 0, y: 0, width: Double(width), height: Double(height)))
    return try canvas.image()
  }
}

/// Charts beside each other, all of one width.
public struct ChartRow: Chart {
  /// From left to right.
  public var charts: [any Chart]

  /// A row of charts.
  public init(_ charts: [any Chart]) { self.charts = charts }

  public func draw(on canvas: Canvas, in rectangle: Rectangle) throws {
    if charts.isEmpty { throw DrawingError("a row needs a chart") }
    var part = rectangle
    part.width = rectangle.width / Double(charts.count)
    for chart in charts {
      try chart.draw(on: canvas, in: part)
      part.x = part.right
    }
  }
}

/// Charts below each other; their axes stand in line.
public struct ChartColumn: Chart {
  /// From top to bottom.
  public var charts: [any Chart]
  /// Of each chart, in proportion to the others.
  public var heights: [Double]

  /// A column of charts.
  ///
  /// - Parameter heights: nil gives all charts the same.
  public init(_ charts: [any Chart], heights: [Double]? = nil) {
    precondition(heights?.count ?? charts.count == charts.count, "every chart has a height")
    self.charts = charts
    self.heights = heights ?? charts.map { _ in 1 }
  }

  public func draw(on canvas: Canvas, in rectangle: Rectangle) throws {
    if charts.isEmpty { throw DrawingError("a column needs a chart") }
    let unit = rectangle.height / heights.reduce(0, +)
    var part = rectangle
    for (chart, height) in zip(charts, heights) {
      part.height = height * unit
      try chart.draw(on: canvas, in: part)
      part.y = part.bottom
    }
  }
}
