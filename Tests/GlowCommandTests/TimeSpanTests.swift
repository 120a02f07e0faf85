import Testing

@testable import GlowCommand

@Suite("Lengths of time")
struct TimeSpanTests {
  @Test(
    "are read",
    arguments: [
      ("90s", 90), ("3h50m", 13_800), ("2:30:00", 9000), ("1d12h", 129_600), ("1-12:00:00", 129_600),
      ("45m", 2700),
      ("0:00:05", 5), ("1h0m1s", 3601), ("30min", 1800), ("1h30min5s", 5405),
    ])
  func read(text: String, seconds: Int) { #expect(TimeSpan(argument: text)?.seconds == seconds) }

  @Test(
    "what could be two, or none, is refused",
    arguments: [
      "", "90", "2:30", "0s", "-5s", "1h1h", "1m1h", "1:60:00", "1:00:61", "3h50", "h", "1.5h", "9999999s",
      "1-2h", "min", "5mins", "1min1m",
      "1-1-1:00:00",
    ])
  func refused(text: String) { #expect(TimeSpan(argument: text) == nil) }
}
