import Glibc
import GlowKernels
import Synchronization
import Testing

private final class Counter: Sendable {
  private let count = Atomic(0)

  var value: Int { count.load(ordering: .sequentiallyConsistent) }

  /// Returns what it was.
  @discardableResult
  func add(_ number: Int) -> Int { count.wrappingAdd(number, ordering: .sequentiallyConsistent).oldValue }
}

@Suite("Thread team")
struct ThreadTeamTests {
  @Test("every piece runs once, and no two under the same thread number at a time", arguments: [1, 2, 5])
  func pieces(threads: Int) {
    let team = ThreadTeam(count: threads)
    for pieces in [0, 1, 2, 3, 100] {
      let runs = (0..<pieces).map { _ in Counter() }
      let busy = (0..<threads).map { _ in Counter() }
      let clashes = Counter()
      team.run(pieces) { piece, thread in
        if busy[thread].add(1) != 0 { clashes.add(1) }
        // Long enough that every other thread takes a piece meanwhile.
        usleep(500)
        runs[piece].add(1)
        busy[thread].add(-1)
      }
      #expect(runs.allSatisfy { $0.value == 1 } && clashes.value == 0)
    }
  }

  @Test("as many pieces run at the same time as there are threads", arguments: [2, 5])
  func together(threads: Int) {
    let running = Counter()
    let seen = Counter()
    ThreadTeam(count: threads).run(threads) { _, thread in
      running.add(1)
      // Each waits for all, ten seconds at most.
      for _ in 0..<100_000 where running.value < threads { usleep(100) }
      if running.value == threads { seen.add(1 << thread) }
    }
    #expect(seen.value == 1 << threads - 1)
  }

  @Test("pinned threads have a processor each, the caller and the threads that it starts have all")
  func pinned() throws {
    let allowed = try #require(ThreadTeam.allowedCount)
    #expect(!ThreadTeam(count: allowed + 1).pin() || allowed >= ProductKernels.standard.mostThreads)
    let team = ThreadTeam(count: min(allowed, 4))
    #expect(team.pin())
    let arrived = Counter()
    let alone = Counter()
    team.run(team.count) { _, thread in
      arrived.add(1)
      // Each waits for all, so that none has two pieces.
      for _ in 0..<100_000 where arrived.value < team.count { usleep(100) }
      if ThreadTeam.allowedCount == (thread == 0 ? allowed : 1) { alone.add(1) }
    }
    #expect(alone.value == team.count)
    #expect(ThreadTeam(count: 1).count == 1 && ThreadTeam.allowedCount == allowed)
  }

  @Test("run follows run, at once or after the threads have fallen asleep")
  func manyRuns() {
    let team = ThreadTeam(count: 3)
    let sum = Counter()
    for run in 0..<3000 {
      if run % 100 == 0 { usleep(3000) }
      team.run(4) { piece, _ in sum.add(piece) }
      // Nothing is left over when a run returns.
      if sum.value != 6 * (run + 1) {
        Issue.record("run \(run) returned before its pieces were done")
        break
      }
    }
  }

  @Test("a team has at least one thread and at most as many as the kernels serve")
  func counts() {
    #expect(ThreadTeam(count: 0).count == 1 && ThreadTeam(count: 3).count == 3)
    #expect((1...ProductKernels.standard.mostThreads).contains(ThreadTeam().count))
  }
}

@Suite("Milestones")
struct MilestonesTests {
  @Test("a piece that waits sees what those have written that it waited for", arguments: [1, 2, 4])
  func order(threads: Int) throws {
    // Two lines of 50 pieces in turns; each piece needs the one before it on its line.
    let milestones = Milestones(count: 2)
    let seen = try Slab<Double>(count: 2 * 50)
    ThreadTeam(count: threads).run(100) { piece, _ in
      let (line, place) = (piece % 2, piece / 2)
      milestones.wait(for: line, toReach: place)
      if place % 5 == 0 { usleep(200) }
      let values = seen.base + 50 * line
      values[place] = place == 0 ? 1 : values[place - 1] + 1
      milestones.advance(line)
    }
    #expect(Array(seen.values) == (0..<2).flatMap { _ in (1...50).map(Double.init) })
  }
}
