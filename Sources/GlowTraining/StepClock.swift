import Foundation

/// Measures how fast a run trains, without the pauses for evaluation and samples.
final class StepClock {
  private let batch: Int
  /// Of the parts of the run before this one.
  private let secondsBefore: Double
  private let start = ContinuousClock.now
  private var resumed = ContinuousClock.now
  /// Durations of the latest steps, in seconds.
  private var recent: [Double] = []
  private static let window = 50
  /// Seconds of all steps, of the work in them that is not the flow's, and of waiting for other processes; what
  /// belongs to a step that has not been counted yet is apart.
  private var stepSeconds = 0.0
  private var outsideSeconds = 0.0
  private var waitingSeconds = 0.0
  private var uncounted = (outside: 0.0, waiting: 0.0)

  /// - Parameter secondsBefore: that the run had taken when it was stopped, if it goes on.
  init(batch: Int, secondsBefore: Double = 0) { (self.batch, self.secondsBefore) = (batch, secondsBefore) }

  /// One step has been done.
  func tick() {
    let now = ContinuousClock.now
    recent.append(seconds(from: resumed, to: now))
    stepSeconds += recent.last!
    outsideSeconds += uncounted.outside
    waitingSeconds += uncounted.waiting
    uncounted = (0, 0)
    if recent.count > StepClock.window { recent.removeFirst() }
    resumed = now
  }

  /// The time that `body` takes, in the middle of a step, is no part of the step, and what it does is not counted.
  func pausing(_ body: () throws -> Void) rethrows {
    let (start, before) = (ContinuousClock.now, uncounted)
    defer {
      resumed += start.duration(to: .now)
      uncounted = before
    }
    try body()
  }

  /// Counts `body`, a part of a step, as work outside the flow.
  func outside<Result>(_ body: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    defer { uncounted.outside += seconds(from: start, to: .now) }
    return try body()
  }

  /// Counts `body`, a part of a step, as waiting for what other processes send.
  func waiting<Result>(_ body: () throws -> Result) rethrows -> Result {
    let start = ContinuousClock.now
    defer { uncounted.waiting += seconds(from: start, to: .now) }
    return try body()
  }

  /// The share of the time of all steps that images, dequantization and log lines took.
  var outsideShare: Double { stepSeconds > 0 ? outsideSeconds / stepSeconds : 0 }

  /// The share that was spent waiting for other processes.
  var waitingShare: Double { stepSeconds > 0 ? waitingSeconds / stepSeconds : 0 }

  /// Over the latest steps.
  var imagesPerSecond: Double { Double(batch * recent.count) / max(1e-9, recent.reduce(0, +)) }

  /// Of the whole run, without the time in which it was stopped.
  var seconds: Double { secondsBefore + seconds(from: start, to: .now) }

  private func seconds(from: ContinuousClock.Instant, to: ContinuousClock.Instant) -> Double {
    let duration = from.duration(to: to)
    return Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }
}
