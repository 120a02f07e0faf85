import CRanks
import Foundation
import Glibc

/// What has ended a job of several processes. All of them know it.
package struct RankFailure: Error, CustomStringConvertible {
  package let description: String
  /// In the process whose error it is.
  package let cause: (any Error)?
}

/// The processes that do a job together, each with the same command line, of which this is one (MPI's ranks).
///
/// All that they tell each other goes through `exchange`, which every one of them calls at the same points of the job:
/// what fails in one is then known to all, which fail together. The first one alone writes files and speaks. A process
/// that was not started by `mpirun` is the only one; for it nothing here costs anything.
///
/// Of one thread, that of the command's `main`, which shares it with a `SumExchange` at work.
package final class Ranks: @unchecked Sendable {
  /// This process alone.
  package static let one = Ranks(rank: 0, count: 1)

  /// Of this process, from 0.
  package let rank: Int
  package let count: Int
  /// What a person is told of an error of this process, if it is not the first.
  package var describe: (any Error) -> String = { "\($0)" }
  /// Once a process has left: there is nobody to tell anything to.
  private var ending: RankFailure?
  /// Seconds that a process whose job has failed waits until the others hear of it. It then ends all.
  private static let patience = 20.0

  /// Whether `mpirun` has started this process, be it alone.
  package let wasLaunched: Bool
  /// Whether MPI has to be told of the end.
  private var isMember: Bool

  private init(rank: Int, count: Int, isMember: Bool = false) {
    (self.rank, self.count, self.wasLaunched, self.isMember) = (rank, count, isMember, isMember)
  }

  /// The one that writes files, speaks, and answers.
  package var isFirst: Bool { rank == 0 }

  /// Joins the processes that `mpirun` (or Slurm's `srun --mpi=pmix`) has started this one with, if it has. Once, before
  /// signals are caught.
  ///
  /// - Throws: `RankFailure` if Open MPI is not there.
  package static func join(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> Ranks {
    guard environment["OMPI_COMM_WORLD_SIZE"] ?? environment["PMIX_RANK"] != nil else { return .one }
    // What was built without can still be started by it, alone.
    if ranks_are_supported() == 0 && environment["OMPI_COMM_WORLD_SIZE"] == "1" { return .one }
    var (rank, count) = (Int32(0), Int32(1))
    var message = [CChar](repeating: 0, count: Int(RANKS_MESSAGE_SIZE))
    if ranks_join(&rank, &count, &message) != 0 {
      let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw RankFailure(description: text, cause: nil)
    }
    return Ranks(rank: Int(rank), count: Int(count), isMember: true)
  }

  /// Ends the membership, before the process ends: waits for the others.
  package func leave() {
    if isMember { ranks_leave() }
    isMember = false
  }

  // MARK: Telling each other

  /// What each process says with an exchange besides its bytes.
  private enum Status: Int64 {
    case fine
    /// Something has failed, and the process goes on with the others.
    case failed
    /// The process ends.
    case leaving
  }

  /// The bytes that `own` makes in each process, in the order of the processes.
  ///
  /// - Throws: what `own` throws, in any of them: the same `RankFailure` in all. Alone, what `own` throws.
  package func exchange(_ own: () throws -> [UInt8]) throws -> [[UInt8]] {
    if count == 1 { return [try own()] }
    return try exchange(Result(catching: own), failure: .failed)
  }

  private func exchange(_ own: Result<[UInt8], any Error>, failure: Status) throws -> [[UInt8]] {
    if let ending { throw ending }
    var (status, bytes, cause) = (Status.fine, [UInt8](), (any Error)?.none)
    switch own {
    case .success(let result): bytes = result
    case .failure(let error): (status, bytes, cause) = (failure, Array(describe(error).utf8), error)
    }
    let limit = status == .leaving ? Ranks.patience : -1
    let heads = try gather([status.rawValue, Int64(bytes.count)], limit: limit)
    let all = gather(bytes, heads.map { Int($0[1]) })
    guard let failing = heads.firstIndex(where: { $0[0] != Status.fine.rawValue }) else { return all }
    let reason = String(decoding: all[failing], as: UTF8.self)
    // The error of this process says it better, if it is the first's.
    let error = RankFailure(
      description: failing == 0 ? reason : "process \(failing) of \(count): \(reason)",
      cause: failing == rank ? cause : nil)
    if heads.contains(where: { $0[0] == Status.leaving.rawValue }) { ending = error }
    throw error
  }

  /// - Throws: `Unheard` if the others do not come in so many seconds; with a negative number it waits for ever.
  private func gather(_ words: [Int64], limit: Double) throws -> [[Int64]] {
    var all = [Int64](repeating: 0, count: words.count * count)
    if ranks_gather_words(words, Int32(words.count), &all, limit) != 0 { throw Unheard() }
    return (0..<count).map { Array(all[$0 * words.count..<($0 + 1) * words.count]) }
  }

  /// The others have not heard of a failure.
  private struct Unheard: Error {}

  /// The bytes of all processes.
  private func gather(_ bytes: [UInt8], _ counts: [Int]) -> [[UInt8]] {
    var all = counts.map { count in
      var bytes: [UInt8] = []
      bytes.reserveCapacity(count)
      return bytes
    }
    for pieces in Ranks.pieces(of: counts) {
      let offsets = starts(pieces)
      var together = [UInt8](repeating: 0, count: pieces.reduce(0) { $0 + Int($1) })
      bytes.withUnsafeBufferPointer { own in
        ranks_gather_bytes(
          own.baseAddress.map { $0 + all[rank].count }, &together, pieces, offsets, Int32(rank))
      }
      for (other, (offset, count)) in zip(offsets, pieces).enumerated() {
        all[other] += together[Int(offset)..<Int(offset + count)]
      }
    }
    return all
  }

  /// MPI counts in 32 bits what all send at a time.
  ///
  /// - Parameter counts: bytes of each process.
  /// - Returns: of each round those that each sends, together at most `limit`.
  static func pieces(of counts: [Int], limit: Int = Int(Int32.max)) -> [[Int32]] {
    let share = limit / counts.count
    return stride(from: 0, to: counts.max() ?? 0, by: share).map { start in
      counts.map { Int32(max(0, min(share, $0 - start))) }
    }
  }

  /// The whole of a job: what ends it in one process, ends it in all.
  ///
  /// - Parameter unheard: is told of an error that the others have not heard of in time; all processes then end.
  /// - Throws: a `RankFailure`; alone, what `body` throws.
  package func job(_ body: () throws -> Void, unheard: (any Error) -> Void) throws {
    if count == 1 { return try body() }
    let result = Result { try body() }
    if case .failure(let error as RankFailure) = result { throw error }
    do {
      _ = try exchange(result.map { _ in [] }, failure: .leaving)
    } catch is Unheard {
      if case .failure(let error) = result { unheard(error) }
      ranks_abort(1)
    }
  }

  // MARK: What follows

  /// Does something that may fail in some of the processes, and then fails in all.
  package func together<Value>(_ body: () throws -> Value) throws -> Value {
    var value: Value?
    _ = try exchange {
      value = try body()
      return []
    }
    return value!
  }

  /// Does what only the first process does, such as writing files.
  package func first(_ body: () throws -> Void) throws {
    try together { if isFirst { try body() } }
  }

  /// The values of all processes, those of the first one first.
  package func gather(_ own: () throws -> [Double]) throws -> [Double] {
    if count == 1 { return try own() }
    return try exchange { try own().withUnsafeBytes { Array($0) } }.flatMap { bytes in
      bytes.withUnsafeBytes { raw in
        (0..<raw.count / 8).map { raw.loadUnaligned(fromByteOffset: 8 * $0, as: Double.self) }
      }
    }
  }

  /// The largest of the processes' values.
  package func largest(_ own: Int) throws -> Int {
    if count == 1 { return own }
    let all = try exchange { withUnsafeBytes(of: own) { Array($0) } }
    return all.map { $0.withUnsafeBytes { $0.loadUnaligned(as: Int.self) } }.max()!
  }

  /// Sees to it that all processes have the same before they work on it together.
  ///
  /// - Parameter facts: in the same order everywhere; the name is what a person calls it.
  /// - Throws: `RankFailure` naming the first that is not the same.
  package func requireSame(_ facts: [(name: String, value: String)]) throws {
    if count == 1 { return }
    let all = try exchange { Array(facts.map(\.value).joined(separator: "\u{0}").utf8) }.map {
      $0.split(separator: 0, omittingEmptySubsequences: false)
    }
    for other in 1..<count {
      for (place, fact) in facts.enumerated() where all[other][place] != all[0][place] {
        throw RankFailure(
          description: "process \(other) of \(count) has other \(fact.name) than process 0", cause: nil)
      }
    }
  }
}

/// Where each of some blocks that follow each other starts.
func starts(_ counts: [Int32]) -> [Int32] {
  counts.reduce(into: ([], Int32(0))) { sums, count in
    sums.0.append(sums.1)
    sums.1 += count
  }.0
}
