import Foundation

/// How the values of an axis lie along it, and where its ticks are.
struct AxisScale {
  struct Tick: Equatable {
    let value: Double
    let label: String
  }

  /// First and last value of the axis.
  let range: ClosedRange<Double>
  let isLogarithmic: Bool
  let ticks: [Tick]

  /// An axis for some values, with a little room on both sides.
  ///
  /// - Parameters:
  ///   - values: those that cannot be drawn are passed over.
  ///   - fixed: the range to show, whatever the values.
  ///   - room: on each side, as a share of the axis.
  ///   - maximumTicks: at least 2.
  /// - Returns: nil if there is no range and no value that can be drawn.
  init?(
    _ values: some Sequence<Double>, fixed: ClosedRange<Double>? = nil, isLogarithmic: Bool = false,
    room: Double = 0.04, maximumTicks: Int
  ) {
    let drawn = values.filter { AxisScale.canDraw($0, isLogarithmic: isLogarithmic) }
    let ends = fixed.map { [$0.lowerBound, $0.upperBound] } ?? [drawn.min(), drawn.max()].compactMap { $0 }
    guard ends.count == 2, ends.allSatisfy({ AxisScale.canDraw($0, isLogarithmic: isLogarithmic) }) else {
      return nil
    }
    let (lower, upper) = AxisScale.widened(ends[0], ends[1], isLogarithmic: isLogarithmic)
    let margin = fixed == nil ? room : 0
    if isLogarithmic {
      let factor = pow(upper / lower, margin)
      range = lower / factor...upper * factor
    } else {
      let extra = (upper - lower) * margin
      range = lower - extra...upper + extra
    }
    self.isLogarithmic = isLogarithmic
    ticks =
      isLogarithmic
      ? AxisScale.logarithmicTicks(range, maximum: maximumTicks)
      : AxisScale.linearTicks(range, maximum: maximumTicks)
  }

  /// Numbers whose differences and ratios are finite, so that no sum on the way overflows.
  static func canDraw(_ value: Double, isLogarithmic: Bool = false) -> Bool {
    isLogarithmic ? value > 1e-150 && value < 1e150 : abs(value) < 1e300
  }

  /// Place on the axis, 0 at its lower and 1 at its upper end.
  func position(_ value: Double) -> Double {
    let (lower, upper) = (range.lowerBound, range.upperBound)
    return isLogarithmic ? log(value / lower) / log(upper / lower) : (value - lower) / (upper - lower)
  }

  /// Ends that are equal, or nearly so, are moved apart.
  private static func widened(_ lower: Double, _ upper: Double, isLogarithmic: Bool) -> (Double, Double) {
    let magnitude = max(abs(lower), abs(upper))
    if upper - lower > magnitude * 1e-9 && upper - lower > 1e-290 { return (lower, upper) }
    if isLogarithmic { return (lower / 2, upper * 2) }
    let half = magnitude > 1e-280 ? magnitude * 0.1 : 1
    return (lower - half, upper + half)
  }

  /// Multiples of 1, 2 or 5 times a power of ten: the finest that are not too many.
  static func linearTicks(_ range: ClosedRange<Double>, maximum: Int) -> [Tick] {
    let span = range.upperBound - range.lowerBound
    var exponent = Int(log10(span / Double(maximum)).rounded(.down))
    var steps = [1, 2, 5]
    while true {
      for digit in steps {
        // Divided by a whole power where it is negative: 3 · 0.1 is not 0.3, 3 / 10 is.
        let value = { (count: Double) in
          exponent < 0
            ? count * Double(digit) / pow(10, Double(-exponent))
            : count * Double(digit) * pow(10, Double(exponent))
        }
        let tolerance = 1e-9
        let first = (range.lowerBound / value(1) - tolerance).rounded(.up)
        let last = (range.upperBound / value(1) + tolerance).rounded(.down)
        if last - first + 1 <= Double(maximum) {
          let values = stride(from: first, through: last, by: 1).map { value($0) }
          return NumberLabels(values, exponent: exponent).ticks
        }
      }
      exponent += 1
      steps = [1, 2, 5]
    }
  }

  /// Powers of ten, with the digits between them where there are few; linear ticks within less than that.
  static func logarithmicTicks(_ range: ClosedRange<Double>, maximum: Int) -> [Tick] {
    let first = Int(log10(range.lowerBound).rounded(.down))
    let last = Int(log10(range.upperBound).rounded(.up))
    for digits in [[1.0], [1, 3], [1, 2, 5]].reversed() {
      let values = (first...last).flatMap { exponent in digits.map { $0 * pow(10, Double(exponent)) } }
        .filter { range.contains($0) }
      if (2...maximum).contains(values.count) {
        return factorTicks(values)
      }
    }
    if last - first <= 2 { return linearTicks(range, maximum: maximum) }
    let step = (last - first + maximum - 1) / maximum
    return factorTicks(
      stride(from: first, through: last, by: step).map { pow(10, Double($0)) }.filter { range.contains($0) })
  }

  private static func factorTicks(_ values: [Double]) -> [Tick] {
    let arePlain = values.allSatisfy { $0 > 9e-4 && $0 < 1e4 }
    return values.map { Tick(value: $0, label: arePlain ? NumberLabels.plain($0) : NumberLabels.power($0)) }
  }
}
