import Foundation
import Glibc
import GlowTraining

/// TrainingProgress on stderr: a bar that moves on a terminal, plain lines elsewhere.
final class Terminal: ProgressReport {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var hasBar = false
  private var lastDrawn = ContinuousClock.now

  func note(_ message: String) {
    end()
    write(message + "\n")
  }

  func step(_ progress: TrainingProgress) {
    if isTerminal {
      // A few pictures a second are enough for the eye.
      if progress.step < progress.steps && lastDrawn.duration(to: .now) < .milliseconds(200) { return }
      lastDrawn = .now
      write("\r\u{1B}[K" + bar(progress) + line(progress))
      hasBar = true
    } else if progress.isLogged {
      write(line(progress) + "\n")
    }
  }

  /// Leaves the bar as it is and goes to the next line.
  func end() {
    if hasBar { write("\n") }
    hasBar = false
  }

  private func bar(_ progress: TrainingProgress) -> String {
    let width = 24
    let done = width * progress.step / max(1, progress.steps)
    return "[" + String(repeating: "█", count: done) + String(repeating: " ", count: width - done) + "] "
  }

  private func line(_ progress: TrainingProgress) -> String {
    String(
      format: "step %d/%d  %.3f bits/dim  %.1f images/s  %@ left", progress.step, progress.steps,
      progress.bitsPerDimension, progress.imagesPerSecond, time(progress.secondsLeft))
  }

  private func time(_ seconds: Double) -> String {
    let whole = Int(min(seconds, 1e9).rounded())
    if whole < 3600 { return String(format: "%d:%02d", whole / 60, whole % 60) }
    return String(format: "%d h %02d min", whole / 3600, whole / 60 % 60)
  }

  /// What cannot be written, because the disk is full or nobody listens any more, must not end a run.
  private func write(_ text: String) {
    var text = text
    text.withUTF8 { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
