import Foundation

/// How often values occur in one or several samples, in bins that they share.
public struct Histogram: Chart {
  /// Values that are counted together.
  public struct Sample: Sendable {
    /// For the legend.
    public var name: String
    /// In any order.
    public var values: [Double]
    /// Of its bars; nil takes the palette's next.
    public var color: Color?

    /// A sample of these values.
    ///
    /// - Parameter color: nil takes the palette's next.
    public init(_ name: String, _ values: [Double], color: Color? = nil) {
      self.name = name
      self.values = values
      self.color = color
    }
  }

  /// Above the chart.
  public var title: String?
  /// Of the axis of values.
  public var horizontalTitle: String
  /// Of the axis of frequencies.
  public var verticalTitle = "share of the sample per bin"
  /// What is drawn, in the order of the legend.
  public var samples: [Sample]
  /// Number of bins; nil takes widths of 2 · IQR / n^⅓ of the narrowest sample (Freedman & Diaconis 1981), 100 bins at most.
  public var binCount: Int?

  /// A histogram of samples.
  public init(horizontalTitle: String, samples: [Sample]) {
    self.horizontalTitle = horizontalTitle
    self.samples = samples
  }

  public func draw(on canvas: Canvas, in rectangle: Rectangle) throws {
    try check()
    guard
      let horizontal = AxisScale(
        samples.lazy.flatMap(\.values), room: 0.02, maximumTicks: max(2, Int(rectangle.width / 70)))
    else { throw DrawingError("\(title ?? horizontalTitle): there is no value to draw") }
    let (edges, shares) = bins()
    let highest = shares.joined().max() ?? 1
    guard
      let vertical = AxisScale(
        [], fixed: 0...highest * 1.05, maximumTicks: max(2, Int(rectangle.height / 35)))
    else { throw DrawingError("\(title ?? horizontalTitle): there is no value to draw") }
    let frame = ChartFrame(
      on: canvas, in: rectangle, horizontal: horizontal, vertical: vertical, title: title,
      horizontalTitle: horizontalTitle, verticalTitle: verticalTitle,
      keys: samples.indices.map { ChartFrame.Key(name: samples[$0].name, color: color($0)) })
    canvas.clipped(to: frame.area) {
      for index in samples.indices {
        for outline in outlines(edges, shares[index]) {
          let places = outline.map { frame.place($0.x, $0.y) }
          canvas.fill(places, color(index), opacity: 0.3)
          canvas.line(places, color(index), thickness: 1.25)
        }
      }
    }
  }

  private func color(_ index: Int) -> Color { samples[index].color ?? .ofPart(index) }

  /// - Throws: `DrawingError` naming the sample that cannot be drawn.
  private func check() throws {
    if samples.isEmpty { throw DrawingError("a histogram needs a sample") }
    if let binCount, !(1...10_000).contains(binCount) {
      throw DrawingError("a histogram has 1 to 10000 bins, not \(binCount)")
    }
    for sample in samples {
      if sample.values.isEmpty { throw DrawingError("the sample \(sample.name) is empty") }
      if let bad = sample.values.first(where: { !AxisScale.canDraw($0) }) {
        throw DrawingError("the sample \(sample.name) holds \(bad), which cannot be drawn")
      }
    }
  }

  /// The edges of the bins, one more than there are bins, and each sample's share in each bin.
  ///
  /// The values were checked.
  func bins() -> (edges: [Double], shares: [[Double]]) {
    let sorted = samples.map { $0.values.sorted() }
    var lower = sorted.map { $0[0] }.min()!
    var upper = sorted.map { $0[$0.count - 1] }.max()!
    if upper - lower <= max(abs(lower), abs(upper)) * 1e-9 {
      let half = max(abs(upper) * 0.05, 0.5)
      (lower, upper) = (lower - half, upper + half)
    }
    let count = binCount ?? Histogram.binCount(sorted, span: upper - lower)
    let width = (upper - lower) / Double(count)
    let shares = sorted.map { values in
      var shares = [Double](repeating: 0, count: count)
      for value in values {
        // The largest value belongs to the last bin.
        shares[min(count - 1, Int((value - lower) / width))] += 1 / Double(values.count)
      }
      return shares
    }
    return ((0...count).map { lower + Double($0) * width }, shares)
  }

  private static func binCount(_ sorted: [[Double]], span: Double) -> Int {
    let widths = sorted.map { values in
      let range = values[values.count * 3 / 4] - values[values.count / 4]
      return 2 * range / cbrt(Double(values.count))
    }
    let narrowest = widths.filter { $0 > 0 }.min() ?? span
    return Int(max(1, min(100, (span / narrowest).rounded(.up))))
  }

  /// The steps along the tops of neighboring bins that are not empty, from the axis to the axis.
  private func outlines(_ edges: [Double], _ shares: [Double]) -> [[Point]] {
    shares.indices.split { shares[$0] == 0 }.map { bins in
      let tops = bins.flatMap { [Point(edges[$0], shares[$0]), Point(edges[$0 + 1], shares[$0])] }
      return [Point(tops[0].x, 0)] + tops + [Point(tops[tops.count - 1].x, 0)]
    }
  }
}
