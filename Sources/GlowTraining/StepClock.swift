import Foundation

/// Measures how fast a run trains, without the pauses for evaluation and samples.
final class StepClock {
  private let batch: Int
  private let start = ContinuousClock.now
  private var resumed = ContinuousClock.now
  /// Durations of the latest steps, in seconds.
  private var recent: [Double] = []
  private static let window = 50

  init(batch: Int) { self.batch = batch }

  /// One step has been done.
  func tick() {
    let now = ContinuousClock.now
    recent.append(seconds(from: resumed, to: now))
    if recent.count > StepClock.window { recent.removeFirst() }
    resumed = now
  }

  func pausing(_ body: () throws -> Void) rethrows {
    defer { resumed = ContinuousClock.now }
    try body()
  }

  /// Over the latest steps.
  var imagesPerSecond: Double { Double(batch * recent.count) / max(1e-9, recent.reduce(0, +)) }

  /// Since the run, or its continuation, started.
  var seconds: Double { seconds(from: start, to: .now) }

  private func seconds(from: ContinuousClock.Instant, to: ContinuousClock.Instant) -> Double {
    let duration = from.duration(to: to)
    return Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }
}
