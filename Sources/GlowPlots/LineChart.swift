/// Values against values: lines through points.
public struct LineChart: Chart {
  /// Points that belong together.
  public struct Series: Sendable {
    /// How they are drawn.
    public enum Look: Sendable {
      /// Joined by a line.
      case line
      /// Thin and light, for values that jump.
      case faintLine
      /// Joined by a line with a dot at each.
      case markedLine
    }

    /// For the legend.
    public var name: String
    /// From left to right. Points that are not finite, or not positive on a logarithmic axis, interrupt the line.
    public var points: [Point]
    /// Nil takes the palette's next.
    public var color: Color?
    /// How the points are drawn.
    public var look: Look

    /// A series of these points.
    ///
    /// - Parameter color: nil takes the palette's next.
    public init(_ name: String, _ points: [Point], color: Color? = nil, look: Look = .line) {
      self.name = name
      self.points = points
      self.color = color
      self.look = look
    }
  }

  /// Above the chart.
  public var title: String?
  /// Of the horizontal axis.
  public var horizontalTitle: String
  /// Of the vertical axis.
  public var verticalTitle: String
  /// What is drawn, in the order of the legend.
  public var series: [Series]
  /// Whether equal distances to the right are equal factors.
  public var hasLogarithmicHorizontalAxis = false
  /// Whether equal distances upwards are equal factors.
  public var hasLogarithmicVerticalAxis = false
  /// What the horizontal axis shows; nil shows all points.
  public var horizontalRange: ClosedRange<Double>?
  /// What the vertical axis shows; nil shows all points.
  public var verticalRange: ClosedRange<Double>?

  /// A chart of series with linear axes.
  public init(horizontalTitle: String, verticalTitle: String, series: [Series]) {
    self.horizontalTitle = horizontalTitle
    self.verticalTitle = verticalTitle
    self.series = series
  }

  public func draw(on canvas: Canvas, in rectangle: Rectangle) throws {
    let points = series.flatMap(\.points).filter(canDraw)
    guard
      let horizontal = AxisScale(
        points.lazy.map(\.x), fixed: horizontalRange, isLogarithmic: hasLogarithmicHorizontalAxis, room: 0.02,
        maximumTicks: max(2, Int(rectangle.width / 70))),
      let vertical = AxisScale(
        points.lazy.map(\.y), fixed: verticalRange, isLogarithmic: hasLogarithmicVerticalAxis,
        maximumTicks: max(2, Int(rectangle.height / 35)))
    else { throw DrawingError("\(title ?? verticalTitle): there is no value to draw") }
    let keys = series.indices.map { ChartFrame.Key(name: series[$0].name, color: color($0)) }
    let frame = ChartFrame(
      on: canvas, in: rectangle, horizontal: horizontal, vertical: vertical, title: title,
      horizontalTitle: horizontalTitle, verticalTitle: verticalTitle, keys: keys.filter { !$0.name.isEmpty })
    canvas.clipped(to: frame.area) {
      for index in series.indices { draw(series[index], color(index), on: canvas, in: frame) }
    }
  }

  private func color(_ index: Int) -> Color { series[index].color ?? .ofPart(index) }

  private func canDraw(_ point: Point) -> Bool {
    AxisScale.canDraw(point.x, isLogarithmic: hasLogarithmicHorizontalAxis)
      && AxisScale.canDraw(point.y, isLogarithmic: hasLogarithmicVerticalAxis)
  }

  private func draw(_ series: Series, _ color: Color, on canvas: Canvas, in frame: ChartFrame) {
    for piece in series.points.split(whereSeparator: { !canDraw($0) }) {
      let places = piece.map { frame.place($0.x, $0.y) }
      canvas.line(
        places, color, thickness: series.look == .faintLine ? 1 : 1.75,
        opacity: series.look == .faintLine ? 0.45 : 1)
      if series.look == .markedLine || places.count == 1 {
        for place in places { canvas.dot(place, radius: 2.75, color) }
      }
    }
  }
}
