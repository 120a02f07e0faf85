import Synchronization

/// How far each of several lines of work has come, for pieces of a run that need another's result (`Wavefront`).
package final class Milestones: @unchecked Sendable {
  private let counters: Counters
  private let count: Int

  /// `count` lines of work, all at 0.
  package init(count: Int) {
    self.count = count
    counters = Counters(count: count)
  }

  /// Puts all lines back to 0, between two runs.
  package func reset() { for index in 0..<count { counters[index].pointee.store(0, ordering: .relaxed) } }

  /// Says that a line has come one further; what was written before is visible to those who find it has.
  package func advance(_ line: Int) {
    counters[line].pointee.wrappingAdd(1, ordering: .acquiringAndReleasing)
  }

  /// Whether a line has come as far as `value`.
  package func has(_ line: Int, reached value: Int) -> Bool {
    counters[line].pointee.load(ordering: .acquiring) >= value
  }
}
