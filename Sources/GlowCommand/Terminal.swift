import Foundation
import Glibc
import GlowTraining

/// Says on stderr, every few seconds of work that takes long, how far it has come.
final class Countdown {
  let things: String
  private var lastSaid = ContinuousClock.now
  private static let interval = Duration.seconds(5)

  /// - Parameter things: what is counted, in the plural.
  init(_ things: String) { self.things = things }

  /// Whether it is time for a line.
  var isDue: Bool { lastSaid.duration(to: .now) >= Self.interval }

  func reached(_ done: Int, of count: Int) {
    if done >= count || !isDue { return }
    lastSaid = .now
    Log.say(.progress, "\(done) of \(count) \(things)", Log.Progress(done: done, count: count))
  }
}

/// TrainingProgress on stderr: a bar that moves on a terminal, plain lines elsewhere.
final class Terminal: ProgressReport {
  private let hasTerminal = isatty(STDERR_FILENO) == 1 && Log.format == .text
  private var hasBar = false
  private var lastDrawn = ContinuousClock.now
  private var countdown = Countdown("")

  func work(_ done: Int, of count: Int, _ things: String) {
    if countdown.things != things || done == 0 { countdown = Countdown(things) }
    if countdown.isDue { end() }
    countdown.reached(done, of: count)
  }

  func note(_ message: String) {
    end()
    let warning = "warning: "
    if message.hasPrefix(warning) {
      warn(String(message.dropFirst(warning.count)))
    } else {
      remark(message)
    }
  }

  func step(_ progress: TrainingProgress) {
    if !Log.says(.progress) { return }
    if hasTerminal {
      // A few pictures a second are enough for the eye.
      if progress.step < progress.steps && lastDrawn.duration(to: .now) < .milliseconds(200) { return }
      lastDrawn = .now
      writeError("\r\u{1B}[K" + bar(progress) + line(progress))
      hasBar = true
    } else if progress.isLogged {
      Log.say(
        .progress, line(progress),
        Log.Progress(
          done: progress.step, count: progress.steps, loss: finite(progress.loss),
          bitsPerDim: progress.bitsPerDimension.flatMap(finite),
          imagesPerSecond: finite(progress.imagesPerSecond), secondsLeft: finite(progress.secondsLeft)))
    }
  }

  /// Leaves the bar as it is and goes to the next line.
  func end() {
    if hasBar { writeError("\n") }
    hasBar = false
  }

  private func bar(_ progress: TrainingProgress) -> String {
    let width = 24
    let done = width * progress.step / max(1, progress.steps)
    return "[" + String(repeating: "█", count: done) + String(repeating: " ", count: width - done) + "] "
  }

  /// JSON has no other numbers.
  private func finite(_ value: Double) -> Double? { value.isFinite ? value : nil }

  private func line(_ progress: TrainingProgress) -> String {
    let quality =
      progress.bitsPerDimension.map { String(format: "%.3f bits/dim", $0) }
      ?? String(format: "loss %.3f (statistics of the batch)", progress.loss)
    return String(
      format: "step %d/%d  %@  %.1f images/s  %@ left", progress.step, progress.steps, quality,
      progress.imagesPerSecond, Self.time(progress.secondsLeft))
  }

  /// "5:07" or "3 h 50 min".
  static func time(_ seconds: Double) -> String {
    let whole = Int(min(seconds, 1e9).rounded())
    if whole < 3600 { return String(format: "%d:%02d", whole / 60, whole % 60) }
    return String(format: "%d h %02d min", whole / 3600, whole / 60 % 60)
  }
}
