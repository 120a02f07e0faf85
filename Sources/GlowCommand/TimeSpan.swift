import ArgumentParser

/// A length of time: 3h50m, 90s, 30min, 1d12h, 2:30:00 or, as Slurm writes it, 1-12:00:00.
struct TimeSpan: ExpressibleByArgument {
  let seconds: Int
  var duration: Duration { .seconds(seconds) }

  init?(argument: String) {
    guard let seconds = TimeSpan.units(argument) ?? TimeSpan.clock(argument), seconds > 0 else { return nil }
    self.seconds = seconds
  }

  static let help = "such as 90s, 3h50m or 2:30:00"

  /// Of each unit at most one number, the larger units first.
  private static func units(_ text: String) -> Int? {
    let text = text.replacing("min", with: "m")
    var rest = text[...]
    var total = 0
    for (unit, seconds) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] as [(Character, Int)] {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      guard let number = number(digits), rest.dropFirst(digits.count).first == unit else { continue }
      total += number * seconds
      rest = rest.dropFirst(digits.count + 1)
    }
    return rest.isEmpty ? total : nil
  }

  /// [days-]hours:minutes:seconds.
  private static func clock(_ text: String) -> Int? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    let fields = parts.last!.split(separator: ":", omittingEmptySubsequences: false).map(number)
    guard parts.count <= 2, fields.count == 3, let days = parts.count == 2 ? number(parts[0]) : 0,
      let hours = fields[0], let minutes = fields[1], let seconds = fields[2], minutes < 60, seconds < 60
    else { return nil }
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
  }

  private static func number(_ digits: Substring) -> Int? {
    digits.count <= 6 && digits.allSatisfy { $0.isASCII && $0.isNumber } ? Int(digits) : nil
  }
}
