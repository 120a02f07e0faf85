import Glibc

/// The time that a job may take, the saving at its end included. When it is up the job is to end as SIGALRM would have it.
///
/// The job looks at it between two pieces of work; a piece that would not be done in time is not begun.
package final class TimeLimit {
  /// The signal that it stands for.
  package static let signal = SIGALRM

  private let end: ContinuousClock.Instant
  private var latestLook: ContinuousClock.Instant?
  /// The longest piece of work so far.
  private var longestWork = Duration.zero
  private var saving: Duration
  private var isOver = false

  /// - Parameter start: of the job, from which on the time counts.
  package init(_ limit: Duration, since start: ContinuousClock.Instant, saving: Duration = .zero) {
    end = start + limit
    self.saving = saving
  }

  /// Bytes to be saved at the end, at a speed that disks have which many share.
  func willSave(bytes: Int) { saving = .milliseconds(200) + .seconds(Double(bytes) / 50e6) }

  /// What a save took counts from then on.
  func saved(in time: Duration) { saving = time * 1.5 }

  /// Whether to end now. Once it is true it stays.
  package func isUp() -> Bool {
    let now = ContinuousClock.now
    if let latestLook { longestWork = max(longestWork, latestLook.duration(to: now)) }
    latestLook = now
    isOver = isOver || now + longestWork * 1.25 + saving >= end
    return isOver
  }
}
