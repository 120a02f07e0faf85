import Glibc

/// What a trace is told of the pieces of a run (`ThreadTeam.run`).
package struct WorkPlan {
  /// Runs of one name are one part of the whole, for instance `forward, level 0`.
  package let part: String
  /// The pieces of smaller numbers that a piece waits for.
  package let waits: (_ piece: Int) -> [Range<Int>]
  /// Bytes that a piece moves between memory and the processor, about.
  package let bytes: (_ piece: Int) -> Int

  package init(
    _ part: String, waits: @escaping (_ piece: Int) -> [Range<Int>] = { _ in [] },
    bytes: @escaping (_ piece: Int) -> Int = { _ in 0 }
  ) {
    (self.part, self.waits, self.bytes) = (part, waits, bytes)
  }
}

/// A record of the runs of a team and of their pieces, which the caller does alone meanwhile: what a simulation of more
/// threads starts from.
package final class WorkTrace {
  package struct Piece: Sendable {
    package var seconds: Double
    /// The pieces of smaller numbers of the same run that have to be done before.
    package let waits: [Range<Int>]
    package let bytes: Int

    package init(seconds: Double, waits: [Range<Int>] = [], bytes: Int = 0) {
      (self.seconds, self.waits, self.bytes) = (seconds, waits, bytes)
    }
  }

  package struct Run: Sendable {
    package let part: String
    /// Seconds since the run before, in which the caller of the team worked alone.
    package var before: Double
    package var pieces: [Piece]

    package init(_ part: String, before: Double, _ pieces: [Piece]) {
      (self.part, self.before, self.pieces) = (part, before, pieces)
    }
  }

  /// What a trace has recorded: the runs, and the seconds after the last of them.
  package struct Pass: Sendable {
    package var runs: [Run]
    package var after: Double

    package init(_ runs: [Run], after: Double) { (self.runs, self.after) = (runs, after) }
  }

  private struct Record {
    let plan: WorkPlan
    /// Readings of the clock: at the end of the run before, and at the beginning of this one.
    let resumed, start: UInt64
    /// Where the readings at the ends of its pieces are.
    let pieces: Range<Int>
  }

  private var records: [Record] = []
  private var ends: [UInt64] = []
  private var (start, resumed): (UInt64, UInt64) = (0, 0)
  private var first = 0

  /// - Parameter pieces: that there is room for; more are recorded, too, but the first time their times include making room.
  package init(pieces: Int = 1 << 16) {
    records.reserveCapacity(1024)
    ends.reserveCapacity(pieces)
  }

  /// Begins a pass.
  package func begin() {
    records.removeAll(keepingCapacity: true)
    ends.removeAll(keepingCapacity: true)
    resumed = monotonicNanoseconds()
  }

  /// Ends it.
  package func end() -> Pass {
    let after = Double(monotonicNanoseconds() &- resumed) * 1e-9
    let runs = records.map { record in
      var before = record.start
      let pieces = record.pieces.enumerated().map { piece, place in
        defer { before = ends[place] }
        return Piece(
          seconds: Double(ends[place] &- before) * 1e-9, waits: record.plan.waits(piece),
          bytes: record.plan.bytes(piece))
      }
      return Run(record.plan.part, before: Double(record.start &- record.resumed) * 1e-9, pieces)
    }
    return Pass(runs, after: after)
  }

  func runBegins() {
    first = ends.count
    start = monotonicNanoseconds()
  }

  @inline(__always)
  func pieceEnds() { ends.append(monotonicNanoseconds()) }

  func runEnds(_ plan: WorkPlan) {
    records.append(Record(plan: plan, resumed: resumed, start: start, pieces: first..<ends.count))
    resumed = monotonicNanoseconds()
  }
}

/// Calls `clock_gettime`.
func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
