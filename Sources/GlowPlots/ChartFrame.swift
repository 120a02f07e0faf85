/// What all charts have around their data: axes with ticks and titles, guide lines, a title and a legend.
struct ChartFrame {
  struct Key {
    let name: String
    let color: Color
  }

  let area: Rectangle
  private let horizontal: AxisScale
  private let vertical: AxisScale

  private static let left = 80.0
  private static let right = 22.0
  private static let titled = 44.0
  private static let untitled = 24.0
  private static let label = TextStyle(size: 11)
  private static let axisTitle = TextStyle(size: 11.5)
  private static let heading = TextStyle(size: 13, isBold: true)
  private static let keyLength = 18.0
  private static let keyGap = 16.0

  /// Draws everything but the data.
  ///
  /// - Parameter keys: of the legend, in a line above the data or in several; none are drawn for a single part.
  init(
    on canvas: Canvas, in outer: Rectangle, horizontal: AxisScale, vertical: AxisScale, title: String?,
    horizontalTitle: String, verticalTitle: String, keys: [Key]
  ) {
    self.horizontal = horizontal
    self.vertical = vertical
    var top = outer.y + 10
    if let title {
      canvas.text(title, at: Point(outer.x + ChartFrame.left, top + 8), style: ChartFrame.heading)
      top += 24
    }
    if keys.count > 1 {
      top = ChartFrame.drawLegend(
        keys, on: canvas, from: outer.x + ChartFrame.left, to: outer.right, top: top)
    }
    let bottom = outer.bottom - (horizontalTitle.isEmpty ? ChartFrame.untitled : ChartFrame.titled)
    area = Rectangle(
      x: outer.x + ChartFrame.left, y: top, width: outer.width - ChartFrame.left - ChartFrame.right,
      height: max(1, bottom - top))
    drawAxes(on: canvas)
    let middle = Point(area.x + area.width / 2, outer.bottom - 12)
    canvas.text(horizontalTitle, at: middle, anchor: .middle, style: ChartFrame.axisTitle)
    canvas.text(
      verticalTitle, at: Point(outer.x + 13, area.y + area.height / 2), anchor: .middle,
      style: ChartFrame.axisTitle, isUpward: true)
  }

  /// Where a pair of values is drawn; it may lie outside of `area`.
  func place(_ x: Double, _ y: Double) -> Point {
    Point(
      area.x + area.width * horizontal.position(x), area.bottom - area.height * vertical.position(y))
  }

  /// Lines stand on whole points, where they are sharp.
  private func drawAxes(on canvas: Canvas) {
    let style = ChartFrame.label
    for tick in vertical.ticks {
      let y = (area.bottom - area.height * vertical.position(tick.value)).rounded()
      canvas.line([Point(area.x, y), Point(area.right, y)], .faint, thickness: 1)
      canvas.line([Point(area.x - 4, y), Point(area.x, y)], .ink, thickness: 1)
      canvas.text(tick.label, at: Point(area.x - 7, y), anchor: .end, style: style)
    }
    for tick in horizontal.ticks {
      let x = (area.x + area.width * horizontal.position(tick.value)).rounded()
      canvas.line([Point(x, area.bottom), Point(x, area.bottom + 4)], .ink, thickness: 1)
      canvas.text(tick.label, at: Point(x, area.bottom + 13), anchor: .middle, style: style)
    }
    let corner = Point(area.x, area.bottom)
    canvas.line([Point(area.x, area.y), corner, Point(area.right, area.bottom)], .ink, thickness: 1)
  }

  /// - Returns: where the next thing may begin.
  private static func drawLegend(
    _ keys: [Key], on canvas: Canvas, from left: Double, to right: Double, top: Double
  ) -> Double {
    var (x, y) = (left, top + 7)
    for key in keys {
      let width = keyLength + 6 + canvas.textWidth(key.name, style: label)
      if x > left && x + width > right {
        x = left
        y += 17
      }
      canvas.line([Point(x, y), Point(x + keyLength, y)], key.color, thickness: 3)
      canvas.text(key.name, at: Point(x + keyLength + 6, y), style: label)
      x += width + keyGap
    }
    return y + 15
  }
}
