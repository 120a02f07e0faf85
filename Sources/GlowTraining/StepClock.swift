import Foundation

/// Measures how fast a run trains, without the pauses for evaluation and samples.
final class StepClock {
  private let batch: Int
  private let start = ContinuousClock.now
  private var resumed = ContinuousClock.now
  /// Durations of the latest steps, in seconds.
  private var recent: [Double] = []
  private static let window = 50
  /// Seconds of all steps, and of the work in them that is not the flow's.
  private var stepSeconds = 0.0
  private var outsideSeconds = 0.0

  init(batch: Int) { self.batch = batch }

  /// One step has been done.
  func tick() {
    let now = ContinuousClock.now
    recent.append(seconds(from: resumed, to: now))
    stepSeconds += recent.last!
    if recent.count > StepClock.window { recent.removeFirst() }
    resumed = now
  }

  func pausing(_ body: () throws -> Void) rethrows {
    defer { resumed = ContinuousClock.now }
    try body()
  }

  /// Counts `body`, a part of a step, as work outside the flow.
  func outside<Result>(_ body: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    defer { outsideSeconds += seconds(from: start, to: .now) }
    return try body()
  }

  /// The share of the time of all steps that images, dequantisation and log lines took.
  var outsideShare: Double { stepSeconds > 0 ? outsideSeconds / stepSeconds : 0 }

  /// Over the latest steps.
  var imagesPerSecond: Double { Double(batch * recent.count) / max(1e-9, recent.reduce(0, +)) }

  /// Since the run, or its continuation, started.
  var seconds: Double { seconds(from: start, to: .now) }

  private func seconds(from: ContinuousClock.Instant, to: ContinuousClock.Instant) -> Double {
    let duration = from.duration(to: to)
    return Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }
}
