import Foundation

/// Numbers as they stand at the ticks of an axis: few digits, the same number of decimals for all.
struct NumberLabels {
  let ticks: [AxisScale.Tick]

  /// - Parameter exponent: of the power of ten that all values are multiples of.
  init(_ values: [Double], exponent: Int) {
    let magnitude = values.map(abs).max() ?? 0
    // Ticks of rates such as 0.001 are read more easily as powers; images are counted in thousands.
    let isPower = magnitude < 2e-3 || magnitude >= 1e12
    let unit = NumberLabels.units.first { magnitude >= $0.from } ?? NumberLabels.units.last!
    ticks = values.map { value in
      let label =
        if value == 0 {
          "0"
        } else if isPower {
          NumberLabels.power(value, exponent: exponent)
        } else {
          NumberLabels.plain(value / unit.size, decimals: max(0, unit.exponent - exponent)) + unit.name
        }
      return AxisScale.Tick(value: value, label: label)
    }
  }

  private static let units: [(from: Double, size: Double, exponent: Int, name: String)] = [
    (1e9, 1e9, 9, "G"), (1e6, 1e6, 6, "M"), (1e4, 1e3, 3, "k"), (0, 1, 0, ""),
  ]

  /// A number with a fixed count of decimals: "−0.25".
  static func plain(_ value: Double, decimals: Int) -> String {
    String(format: "%.\(decimals)f", value).replacingOccurrences(of: "-", with: "−")
  }

  /// A number of one digit with the decimals that it needs: "0.05".
  static func plain(_ value: Double) -> String {
    // A logarithm just below a whole number belongs to that number.
    plain(value, decimals: max(0, -Int((log10(abs(value)) + 1e-9).rounded(.down))))
  }

  /// A number as a power of ten: "10⁻³", "2×10⁻⁴", "1.5×10⁶".
  ///
  /// - Parameter exponent: of the last decimal to show.
  static func power(_ value: Double, exponent: Int = .max) -> String {
    var order = Int(log10(abs(value)).rounded(.down))
    // A logarithm just below a whole number belongs to that number.
    if abs(value) / pow(10, Double(order)) >= 10 - 1e-9 { order += 1 }
    let superscript = String(String(order).map { superscripts[$0] ?? $0 })
    let mantissa = value / pow(10, Double(order))
    if abs(mantissa) == 1 { return (mantissa < 0 ? "−10" : "10") + superscript }
    return plain(mantissa, decimals: max(0, order - min(exponent, order))) + "×10" + superscript
  }

  private static let superscripts: [Character: Character] = [
    "-": "⁻", "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴", "5": "⁵", "6": "⁶", "7": "⁷", "8": "⁸",
    "9": "⁹",
  ]
}
