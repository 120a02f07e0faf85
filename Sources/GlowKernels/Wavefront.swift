import CGlowKernels
import Synchronization

/// The pieces of a run that need each other's results, and which of them a thread takes: of those that are ready the ones of
/// the lowest rank, and among these one of the thread's own lines of work.
///
/// So no thread waits while a piece is ready, work that lags behind comes first, and what a line keeps in memory stays near
/// one thread, in this run and in all others over as many lines, as long as no other thread runs out of work. Threads that
/// are more than the lines have none of their own.
package final class Wavefront: @unchecked Sendable {
  /// A piece, in an order in which one thread could do them all.
  package struct Piece {
    /// Does not fall from piece to piece.
    let rank: Int
    /// The line of work that it belongs to.
    let line: Int

    package init(rank: Int, line: Int) { (self.rank, self.line) = (rank, line) }
  }

  private let pieces: [Piece]
  private let lines: Int
  private let isReady: (Int) -> Bool
  /// The pieces of the rank that has most.
  let widest: Int
  private let taken: UnsafeMutablePointer<Atomic<Bool>>
  private let counters = Counters(count: 1)
  /// A piece before which all are taken.
  private var first: UnsafeMutablePointer<Atomic<Int>> { counters[0] }

  /// - Parameters:
  ///   - pieces: in an order in which each needs only those before it. If no piece of two ranks in a row has what it needs,
  ///     neither has one of those that follow.
  ///   - lines: the number of lines of work.
  ///   - isReady: whether what a piece needs is done. What was written by then is visible to whom it answers.
  package init(_ pieces: [Piece], lines: Int, isReady: @escaping (_ piece: Int) -> Bool) {
    (self.pieces, self.lines, self.isReady) = (pieces, lines, isReady)
    var sizes: [Int: Int] = [:]
    for piece in pieces { sizes[piece.rank, default: 0] += 1 }
    widest = sizes.values.max() ?? 0
    taken = .allocate(capacity: max(1, pieces.count))
    for index in pieces.indices { (taken + index).initialize(to: Atomic(false)) }
  }

  deinit { taken.deallocate() }

  package var count: Int { pieces.count }

  /// Before a run.
  func reset() {
    for index in pieces.indices { taken[index].store(false, ordering: .relaxed) }
    first.pointee.store(0, ordering: .relaxed)
  }

  /// The next piece for a thread, which waits for one if there must be more; nil if there is none.
  func take(thread: Int, of threads: Int) -> Int? {
    var piece: Int?
    watch {
      guard let start = firstLeft() else { return true }
      while let best = best(from: start, thread, threads) {
        if !taken[best].exchange(true, ordering: .acquiringAndReleasing) {
          piece = best
          return true
        }
      }
      // Those at work need the memory that is looked at here.
      for _ in 0..<8 { glow_pause() }
      return false
    }
    return piece
  }

  private func firstLeft() -> Int? {
    var start = first.pointee.load(ordering: .relaxed)
    if start < count && taken[start].load(ordering: .relaxed) {
      repeat { start += 1 } while start < count && taken[start].load(ordering: .relaxed)
      // Another thread may have come further, and put this back: it is where to begin to look, no more.
      first.pointee.store(start, ordering: .relaxed)
    }
    return start < count ? start : nil
  }

  private func best(from start: Int, _ thread: Int, _ threads: Int) -> Int? {
    var (best, unready) = (Int?.none, 0)
    let owners = min(threads, lines)
    for index in start..<count {
      if let best, pieces[index].rank > pieces[best].rank { break }
      if taken[index].load(ordering: .relaxed) {
        unready = 0
        continue
      }
      guard isReady(index) else {
        unready += 1
        // Two ranks in a row, wherever they begin.
        if unready > 3 * widest { break }
        continue
      }
      if pieces[index].line * owners / lines == thread { return index }
      if best == nil { best = index }
    }
    return best
  }
}
