import GlowImages
import Testing

@testable import GlowPlots

@Suite("Charts")
struct ChartTests {
  /// Pixels that show a color of the palette unmixed.
  private func count(_ color: Color, in image: ByteImage) -> Int {
    let bytes = [color.red, color.green, color.blue].map { UInt8(($0 * 255).rounded()) }
    return stride(from: 0, to: image.pixels.count, by: 3).count { Array(image.pixels[$0..<$0 + 3]) == bytes }
  }

  private func lines(_ points: [Point]...) -> LineChart {
    LineChart(
      horizontalTitle: "images", verticalTitle: "bits/dim",
      series: points.enumerated().map { .init("series \($0)", $1) })
  }

  @Test("a rising line goes from the lower left to the upper right of its frame")
  func line() throws {
    var chart = lines([Point(0, 0), Point(1, 1)])
    (chart.horizontalRange, chart.verticalRange) = (0...1, 0...1)
    let image = try chart.image(width: 300, height: 200, scale: 1)
    let color = Color.palette[0]
    func isBlue(_ x: Int, _ y: Int) -> Bool {
      let start = (y * image.shape.width + x) * 3
      return image.pixels[start] < 100 && Double(image.pixels[start + 2]) > color.blue * 200
    }
    // The frame is 80 from the left, 22 from the right, 10 from the top, 44 from the bottom.
    for share in [0.1, 0.5, 0.9] {
      let (x, y) = (Int(80 + share * 198), Int(156 - share * 146))
      #expect((y - 1...y + 1).contains { isBlue(x, $0) }, "\(share)")
      #expect(!isBlue(x, y + 10) && !isBlue(x, y - 10))
    }
  }

  @Test("one point is a dot; gaps and values that are not finite break the line; nothing at all is an error")
  func sparse() throws {
    #expect(count(.palette[0], in: try lines([Point(3, 4)]).image()) > 20)
    let whole = try lines([Point(0, 0), Point(1, 0), Point(2, 0), Point(3, 0)]).image()
    let broken = try lines([Point(0, 0), Point(1, 0), Point(1.5, .nan), Point(2, 0), Point(3, 0)]).image()
    let (all, some) = (count(.palette[0], in: whole), count(.palette[0], in: broken))
    #expect(some > all / 2 && some < all * 3 / 4)
    #expect(throws: DrawingError("bits/dim: there is no value to draw")) { try lines([]).image() }
    #expect(throws: DrawingError.self) { try lines([Point(.nan, 1), Point(1, .infinity)]).image() }
    var negative = lines([Point(1, -1)])
    negative.hasLogarithmicVerticalAxis = true
    #expect(throws: DrawingError.self) { try negative.image() }
  }

  @Test("every series has its color, in the chart and in the legend")
  func series() throws {
    let one = try lines([Point(0, 0), Point(1, 1)]).image()
    #expect(count(.palette[0], in: one) > 0 && count(.palette[1], in: one) == 0)
    let two = try lines([Point(0, 0), Point(1, 0)], [Point(0, 1), Point(1, 1)]).image()
    #expect(count(.palette[0], in: two) > 500 && count(.palette[1], in: two) > 500)
  }

  @Test("shares of a bin are exact; the largest value is in the last bin")
  func bins() {
    var chart = Histogram(
      horizontalTitle: "x",
      samples: [.init("a", [0, 0.5, 1.5, 4]), .init("b", [2, 2, 2.5, 3, 3.9, 0.9, 1, 1])])
    chart.binCount = 4
    let (edges, shares) = chart.bins()
    #expect(edges == [0, 1, 2, 3, 4])
    #expect(shares == [[0.5, 0.25, 0, 0.25], [0.125, 0.25, 0.375, 0.25]])
  }

  @Test("the number of bins follows Freedman and Diaconis")
  func binCount() {
    // 1000 even values: IQR 1/2, width 2 · 0.5 / 10.
    let chart = Histogram(horizontalTitle: "x", samples: [.init("a", (0..<1000).map { Double($0) / 1000 })])
    #expect(chart.bins().edges.count == 11)
    let constant = Histogram(horizontalTitle: "x", samples: [.init("a", [5, 5, 5])])
    #expect(constant.bins().shares.map { $0.reduce(0, +) } == [1])
  }

  @Test("samples that cannot be drawn are named")
  func badSamples() throws {
    func draw(_ values: [Double]) throws {
      _ = try Histogram(horizontalTitle: "x", samples: [.init("s", values)]).image()
    }
    #expect(throws: DrawingError("the sample s is empty")) { try draw([]) }
    #expect(throws: DrawingError("the sample s holds nan, which cannot be drawn")) { try draw([1, .nan]) }
    #expect(throws: DrawingError.self) { try Histogram(horizontalTitle: "x", samples: []).image() }
    try draw([1])
    try draw([-9e299, 9e299])
  }

  @Test("charts of a column stand below each other, their axes in line")
  func column() throws {
    let column = try ChartColumn([lines([Point(0, 0), Point(1, 1)]), lines([Point(0, 5), Point(1, 5)])])
      .image(width: 200, height: 240, scale: 1)
    #expect(column.shape == ImageShape(height: 240, width: 200, channels: 3))
    for top in [0, 120] {
      let dark = (top..<top + 120).count { y in column.pixels[(y * 200 + 80) * 3] < 160 }
      #expect(dark > 50, "the vertical axis begins 80 from the left")
    }
    #expect(throws: DrawingError("a column needs a chart")) { try ChartColumn([]).image() }
  }

  @Test("charts of a row are those that each is by itself, side by side")
  func row() throws {
    let charts = [lines([Point(0, 0), Point(1, 1)]), lines([Point(0, 5), Point(1, 5)])]
    let row = try ChartRow(charts).image(width: 400, height: 120, scale: 1)
    #expect(row.shape == ImageShape(height: 120, width: 400, channels: 3))
    for (place, chart) in charts.enumerated() {
      let alone = try chart.image(width: 200, height: 120, scale: 1)
      for y in 0..<120 {
        let start = (y * 400 + place * 200) * 3
        #expect(row.pixels[start..<start + 600].elementsEqual(alone.pixels[y * 600..<(y + 1) * 600]))
      }
    }
    #expect(throws: DrawingError("a row needs a chart")) { try ChartRow([]).image() }
  }
}
