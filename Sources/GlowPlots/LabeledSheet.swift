import GlowImages

/// Rows of images with a label before each row and, if wanted, labels above the columns.
public struct LabeledSheet: Sendable {
  /// Images side by side.
  public struct Row: Sendable {
    /// What stands before them.
    public var label: String
    /// From left to right.
    public var images: [ByteImage]
    /// A line above this row, a text an image.
    public var captions: [String] = []

    /// A row without captions.
    public init(_ label: String, _ images: [ByteImage]) {
      self.label = label
      self.images = images
    }
  }

  /// Above everything.
  public var title: String?
  /// Above the columns, from left to right.
  public var columnLabels: [String] = []
  /// All images have one shape; rows may differ in length.
  public var rows: [Row]
  /// Height and width on the sheet of a pixel of the images.
  public var scale = 2
  /// Pixels between neighboring images.
  public var spacing = 2
  /// Of the font, in points.
  public var textSize = 13.0

  /// A sheet of rows.
  public init(rows: [Row]) { self.rows = rows }

  private static let margin = 10.0
  private var labelStyle: TextStyle { TextStyle(size: textSize) }
  private var titleStyle: TextStyle { TextStyle(size: textSize + 2, isBold: true) }

  /// Checks that a sheet of rows with these labels can be drawn, before there are images for them.
  ///
  /// - Parameter columns: images of the longest row.
  /// - Throws: `DrawingError` if it would be too large.
  public func check(shape: ImageShape, columns: Int) throws {
    let layout = try layout(shape, columns: columns)
    try Canvas.checkSize(width: layout.width, height: layout.height)
  }

  /// The sheet in RGB. Pixels of the images keep their values and are never smoothed.
  ///
  /// - Throws: `DrawingError` if there is no image, shapes differ, or the sheet would be too large.
  public func image() throws -> ByteImage {
    let shape = try commonShape()
    let layout = try layout(shape, columns: rows.map(\.images.count).max()!)
    let canvas = try Canvas(width: layout.width, height: layout.height)
    if let title {
      let place = Point(Self.margin, Self.margin + titleStyle.lineHeight / 2)
      canvas.text(title, at: place, style: titleStyle)
    }
    func middle(_ column: Int) -> Double {
      Double(layout.left + column * layout.cellWidth) + Double(shape.width * scale) / 2
    }
    let half = labelStyle.lineHeight / 2
    for (column, text) in columnLabels.enumerated() {
      canvas.text(
        text, at: Point(middle(column), Double(layout.top) - 6 - (layout.isUpward ? 0 : half)),
        anchor: layout.isUpward ? .start : .middle, style: labelStyle, isUpward: layout.isUpward)
    }
    for (row, y) in zip(rows, layout.rowTops) {
      for (column, text) in row.captions.enumerated() {
        canvas.text(
          text, at: Point(middle(column), Double(y) - 4 - half), anchor: .middle, style: labelStyle)
      }
      canvas.text(
        row.label, at: Point(Double(layout.left) - 8, Double(y) + Double(shape.height * scale) / 2),
        anchor: .end, style: labelStyle)
      for (column, image) in row.images.enumerated() {
        canvas.draw(image, x: layout.left + column * layout.cellWidth, y: y, enlargement: scale)
      }
    }
    return try canvas.image()
  }

  /// Where things stand, in pixels.
  private struct Layout {
    var width = 0
    var height = 0
    /// Of the images.
    var (left, top) = (0, 0)
    var cellWidth = 0
    /// Upper edges of the images of each row.
    var rowTops: [Int] = []
    /// Labels that are wider than their column are read from below.
    var isUpward = false
  }

  private func layout(_ shape: ImageShape, columns: Int) throws -> Layout {
    guard (1...64).contains(scale), (0...1024).contains(spacing) else {
      throw DrawingError("images of a sheet are enlarged 1 to 64 times and 0 to 1024 pixels apart")
    }
    let ruler = try Canvas(width: 1, height: 1)
    func widest(_ texts: [String]) -> Double {
      texts.map { ruler.textWidth($0, style: labelStyle) }.max() ?? 0
    }
    var layout = Layout()
    layout.cellWidth = shape.width * scale + spacing
    let margin = LabeledSheet.margin
    let labelWidth = widest(rows.map(\.label))
    layout.left = Int((labelWidth > 0 ? margin + labelWidth + 8 : margin).rounded(.up))
    let columnWidth = widest(columnLabels)
    layout.isUpward = columnWidth > Double(layout.cellWidth)
    let columnHeight =
      columnLabels.isEmpty ? 0 : (layout.isUpward ? columnWidth : labelStyle.lineHeight) + 6
    let titleHeight = title == nil ? 0 : titleStyle.lineHeight + 8
    layout.top = Int((margin + titleHeight + columnHeight).rounded(.up))
    var y = layout.top
    for row in rows {
      if !row.captions.isEmpty { y += Int(labelStyle.lineHeight) + 6 }
      layout.rowTops.append(y)
      y += shape.height * scale + spacing
    }
    let columns = max(columns, columnLabels.count, rows.map(\.captions.count).max() ?? 0)
    let titleWidth = title.map { Int(ruler.textWidth($0, style: titleStyle).rounded(.up)) } ?? 0
    layout.width =
      max(layout.left + columns * layout.cellWidth - spacing, Int(margin) + titleWidth) + Int(margin)
    layout.height = y - spacing + Int(margin)
    return layout
  }

  private func commonShape() throws -> ImageShape {
    guard let shape = rows.lazy.flatMap(\.images).first?.shape else {
      throw DrawingError("a sheet needs an image")
    }
    for row in rows {
      for image in row.images where image.shape != shape {
        throw DrawingError(
          "images of a sheet have one shape: \(row.label) holds \(image.shape) beside \(shape)")
      }
    }
    guard shape.channels == 1 || shape.channels == 3 else {
      throw DrawingError("images of a sheet are gray or RGB, not \(shape)")
    }
    return shape
  }
}
