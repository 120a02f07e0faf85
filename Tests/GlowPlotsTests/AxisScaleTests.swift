import Testing

@testable import GlowPlots

@Suite("Axes")
struct AxisScaleTests {
  private func labels(_ lower: Double, _ upper: Double, _ maximum: Int = 6, log: Bool = false) -> [String] {
    AxisScale([], fixed: lower...upper, isLogarithmic: log, maximumTicks: maximum)!.ticks.map(\.label)
  }

  @Test("ticks are round numbers with as many decimals as they need")
  func linear() {
    #expect(labels(0, 1) == ["0", "0.2", "0.4", "0.6", "0.8", "1.0"])
    #expect(labels(3.9, 6.6) == ["4.0", "4.5", "5.0", "5.5", "6.0", "6.5"])
    #expect(labels(-3, 3, 7) == ["−3", "−2", "−1", "0", "1", "2", "3"])
    #expect(labels(0, 200_000) == ["0", "50k", "100k", "150k", "200k"])
    #expect(labels(0, 2_400_000) == ["0", "0.5M", "1.0M", "1.5M", "2.0M"])
    #expect(labels(0, 1e-3) == ["0", "2×10⁻⁴", "4×10⁻⁴", "6×10⁻⁴", "8×10⁻⁴", "10⁻³"])
    #expect(labels(0, 1.6e-4) == ["0", "5×10⁻⁵", "10⁻⁴", "1.5×10⁻⁴"])
    #expect(labels(90, 113) == ["90", "95", "100", "105", "110"])
    #expect(labels(-1e18, 1e18) == ["−10¹⁸", "−5×10¹⁷", "0", "5×10¹⁷", "10¹⁸"])
  }

  @Test("ticks are the exact multiples, none is lost at the ends")
  func exact() {
    let ticks = AxisScale([], fixed: 0...0.3, maximumTicks: 5)!.ticks
    #expect(ticks.map(\.value) == [0, 0.1, 0.2, 0.3])
  }

  @Test("logarithmic ticks")
  func logarithmic() {
    #expect(labels(1e-5, 1e-2, log: true) == ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²"])
    #expect(labels(1, 100, 7, log: true) == ["1", "2", "5", "10", "20", "50", "100"])
    #expect(
      labels(0.03, 4, 7, log: true) == ["0.05", "0.1", "0.2", "0.5", "1", "2"])
    #expect(labels(1e-3, 1e3, log: true) == ["0.001", "0.01", "0.1", "1", "10", "100", "1000"])
    #expect(labels(1e-20, 1e20, 6, log: true).count <= 7)
    #expect(labels(2.2, 2.9, log: true).count >= 2)
    let scale = AxisScale([1, 100], isLogarithmic: true, room: 0, maximumTicks: 5)!
    #expect(scale.position(1) == 0 && abs(scale.position(10) - 0.5) < 1e-12 && scale.position(100) == 1)
  }

  @Test("whatever the numbers, there are ticks within the axis and not too many")
  func hostile() throws {
    let values = [
      0, -0.0, Double.leastNonzeroMagnitude, Double.leastNormalMagnitude, 1e-200, 1, 1 + 1e-15, 3.14, -7,
      1e16, 1e16 + 2, 9.9e299, -9.9e299,
    ]
    for first in values {
      for second in values {
        for maximum in [2, 7] {
          let scale = try #require(AxisScale([first, second], maximumTicks: maximum))
          #expect(scale.range.lowerBound < scale.range.upperBound)
          #expect((0...1).contains(scale.position(first)) && (0...1).contains(scale.position(second)))
          #expect(scale.ticks.count <= maximum, "\(first) \(second)")
          #expect(scale.ticks.allSatisfy { (-1e-6...1 + 1e-6).contains(scale.position($0.value)) })
          #expect(Set(scale.ticks.map(\.label)).count == scale.ticks.count, "\(scale.ticks)")
          guard first > 1e-150, first < 1e150, second > 1e-150, second < 1e150 else { continue }
          let log = try #require(AxisScale([first, second], isLogarithmic: true, maximumTicks: maximum))
          #expect((0...1).contains(log.position(first)) && log.ticks.count <= maximum + 1)
        }
      }
    }
  }

  @Test("values that cannot be drawn are passed over; without any there is no axis")
  func undrawable() {
    #expect(AxisScale([.nan, 2, .infinity, 3], room: 0, maximumTicks: 5)?.range == 2...3)
    #expect(AxisScale([.nan, -.infinity], maximumTicks: 5) == nil)
    #expect(AxisScale([0, -1], isLogarithmic: true, maximumTicks: 5) == nil)
    #expect(AxisScale([], maximumTicks: 5) == nil)
  }
}
