import GlowImages

/// Rows of images with a label before each row and, if wanted, one above each column.
public struct LabelledSheet: Sendable {
  public struct Row: Sendable {
    public var label: String
    public var images: [ByteImage]

    public init(_ label: String, _ images: [ByteImage]) {
      self.label = label
      self.images = images
    }
  }

  public var title: String?
  public var columnLabels: [String] = []
  /// All images have one shape; rows may differ in length.
  public var rows: [Row]
  /// Height and width on the sheet of a pixel of the images.
  public var scale = 2
  /// Pixels between neighbouring images.
  public var spacing = 2
  public var textSize = 13.0

  public init(rows: [Row]) { self.rows = rows }

  private static let margin = 10.0
  private var label: TextStyle { TextStyle(size: textSize) }
  private var heading: TextStyle { TextStyle(size: textSize + 2, isBold: true) }

  /// The sheet in RGB. Pixels of the images keep their values and are never smoothed.
  ///
  /// - Throws: `DrawingError` if there is no image, shapes differ, or the sheet would be too large.
  public func image() throws -> ByteImage {
    let shape = try commonShape()
    guard (1...64).contains(scale), (0...1024).contains(spacing) else {
      throw DrawingError("images of a sheet are enlarged 1 to 64 times and 0 to 1024 pixels apart")
    }
    let columns = max(columnLabels.count, rows.map(\.images.count).max()!)
    let cell = (width: shape.width * scale + spacing, height: shape.height * scale + spacing)
    let ruler = try Canvas(width: 1, height: 1)
    let margin = LabelledSheet.margin
    let labelWidth = rows.map { ruler.textWidth($0.label, style: label) }.max()!
    let left = Int((labelWidth > 0 ? margin + labelWidth + 8 : margin).rounded(.up))
    let columnWidths = columnLabels.map { ruler.textWidth($0, style: label) }
    let widest = columnWidths.max() ?? 0
    // Labels that are wider than their column are read from below.
    let isUpward = widest > Double(cell.width)
    let columnHeight = columnLabels.isEmpty ? 0 : (isUpward ? widest : label.lineHeight) + 6
    let titleHeight = title == nil ? 0 : heading.lineHeight + 8
    let top = Int((margin + titleHeight + columnHeight).rounded(.up))

    let gridWidth = columns * cell.width - spacing
    let titleWidth = title.map { Int(ruler.textWidth($0, style: heading).rounded(.up)) } ?? 0
    let canvas = try Canvas(
      width: max(left + gridWidth, Int(margin) + titleWidth) + Int(margin),
      height: top + rows.count * cell.height - spacing + Int(margin))
    if let title {
      canvas.text(title, at: Point(margin, margin + heading.lineHeight / 2), style: heading)
    }
    for (column, text) in columnLabels.enumerated() {
      let x = Double(left + column * cell.width) + Double(shape.width * scale) / 2
      canvas.text(
        text, at: Point(x, Double(top) - 6 - (isUpward ? 0 : label.lineHeight / 2)),
        anchor: isUpward ? .start : .middle, style: label, isUpward: isUpward)
    }
    for (index, row) in rows.enumerated() {
      let y = top + index * cell.height
      let middle = Double(y) + Double(shape.height * scale) / 2
      canvas.text(row.label, at: Point(Double(left) - 8, middle), anchor: .end, style: label)
      for (column, image) in row.images.enumerated() {
        canvas.draw(image, x: left + column * cell.width, y: y, enlargement: scale)
      }
    }
    return try canvas.image()
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
      throw DrawingError("images of a sheet are grey or RGB, not \(shape)")
    }
    return shape
  }
}
