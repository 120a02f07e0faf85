import Glibc
import Synchronization
import Testing

@testable import GlowKernels

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

  @Test("threads go to cores of their own before any is shared")
  func cores() {
    let cores = [0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3", 4: "4,6", 6: "4,6"]
    #expect(ThreadTeam.coresFirst([0, 1, 2, 3, 4, 6]) { cores[Int($0)] } == [0, 2, 4, 1, 3, 6])
    #expect(ThreadTeam.coresFirst([1, 3, 5]) { cores[Int($0)] } == [1, 3, 5])
    #expect(ThreadTeam.coresFirst([7, 5]) { _ in nil } == [7, 5])
  }

  @Test("a team that is pinned is not taken for a crowd")
  func pinned() async {
    await #expect(processExitsWith: .success) {
      let team = ThreadTeam(count: ThreadTeam.grantedCount)
      // Without a run before, so that its threads have not asked yet.
      _ = team.pin()
      for _ in 0..<100 { team.run(100) { _, _ in } }
      if isCrowded() { exit(1) }
    }
  }

  @Test("a team has at least one thread and at most as many as the kernels serve")
  func counts() {
    #expect(ThreadTeam(count: 0).count == 1 && ThreadTeam(count: 3).count == 3)
    #expect((1...ProductKernels.standard.mostThreads).contains(ThreadTeam().count))
  }
}

@Suite("Wavefronts")
struct WavefrontTests {
  /// Lines of 50 pieces in turns, each of which needs the one before it on its line.
  private func wavefront(lines: Int, _ milestones: Milestones) -> Wavefront {
    Wavefront(
      (0..<lines * 50).map { .init(rank: $0 / lines, line: $0 % lines) }, lines: lines,
      isReady: { milestones.has($0 % lines, reached: $0 / lines) })
  }

  @Test(
    "a piece comes once, and sees what those have written that it needs", arguments: [1, 2, 4, 9], [1, 2, 7])
  func order(threads: Int, lines: Int) throws {
    let milestones = Milestones(count: lines)
    let wavefront = wavefront(lines: lines, milestones)
    let team = ThreadTeam(count: threads)
    let seen = try Slab<Double>(count: lines * 50)
    // It is used again for every batch.
    for turn in 1...3 {
      milestones.reset()
      team.run(wavefront, as: WorkPlan("lines")) { piece, _ in
        let (line, place) = (piece % lines, piece / lines)
        if place % 25 == 0 { usleep(200) }
        let values = seen.base + 50 * line
        values[place] += place == 0 ? 1 : 1 + values[place - 1]
        milestones.advance(line)
      }
      var expected = [Double](repeating: 0, count: 50)
      for _ in 0..<turn {
        for place in expected.indices { expected[place] += 1 + (place == 0 ? 0 : expected[place - 1]) }
      }
      #expect(Array(seen.values) == (0..<lines).flatMap { _ in expected })
    }
  }

  @Test("of those that are ready the lowest rank comes first, and in it the thread's own")
  func choice() {
    let milestones = Milestones(count: 4)
    let wavefront = wavefront(lines: 4, milestones)
    wavefront.reset()
    // Of two threads the first has lines 0 and 1, the second 2 and 3.
    #expect(wavefront.take(thread: 1, of: 2) == 2)
    #expect(wavefront.take(thread: 0, of: 2) == 0)
    milestones.advance(2)
    // Line 2 could go on; but 3 lags behind.
    #expect(wavefront.take(thread: 1, of: 2) == 3)
    // There is one of rank 0 left, which thread 1 takes although it is the other's.
    #expect(wavefront.take(thread: 1, of: 2) == 1)
    // Now only line 2 can, whose it is or not; nobody waits for line 0.
    #expect(wavefront.take(thread: 0, of: 2) == 6)
    for line in [0, 1] { milestones.advance(line) }
    #expect(wavefront.take(thread: 1, of: 2) == 4)
  }

  @Test("a line that is slow does not hold up those that need nothing of it")
  func slowLine() {
    let milestones = Milestones(count: 3)
    let wavefront = wavefront(lines: 3, milestones)
    wavefront.reset()
    #expect(wavefront.take(thread: 0, of: 3) == 0)
    for place in 0..<50 {
      for line in [1, 2] {
        #expect(wavefront.take(thread: line, of: 3) == place * 3 + line)
        milestones.advance(line)
      }
    }
    milestones.advance(0)
    for place in 1..<50 {
      #expect(wavefront.take(thread: place % 3, of: 3) == place * 3)
      milestones.advance(0)
    }
    #expect(wavefront.take(thread: 0, of: 3) == nil && wavefront.take(thread: 2, of: 3) == nil)
  }

  @Test("sums between the lines, more of them than lines and fewer", arguments: [2, 3, 8], [1, 40])
  func sums(threads: Int, sums: Int) throws {
    // Of each layer a piece a line and then the sums over them, which the layer after the next waits for.
    let (layers, lines) = (12, 3)
    let size = lines + sums
    let (lineDone, layerDone, sumDone) = (
      Milestones(count: lines), Milestones(count: layers), Milestones(count: layers)
    )
    var order: [(layer: Int, line: Int?)] = []
    for layer in 0...layers {
      if layer < layers { order += (0..<lines).map { (layer, $0) } }
      if layer > 0 { order += (0..<sums).map { _ in (layer - 1, nil) } }
    }
    func isReady(_ piece: Int) -> Bool {
      let (layer, line) = order[piece]
      guard let line else { return layerDone.has(layer, reached: lines) }
      return lineDone.has(line, reached: layer) && (layer < 2 || sumDone.has(layer - 2, reached: sums))
    }
    let wavefront = Wavefront(
      order.map { .init(rank: $0.line == nil ? 2 * $0.layer + 3 : 2 * $0.layer, line: $0.line ?? 0) },
      lines: lines,
      isReady: isReady)
    let (done, wrong) = (Counter(), Counter())
    ThreadTeam(count: threads).run(wavefront, as: WorkPlan("layers and sums")) { piece, _ in
      if !isReady(piece) { wrong.add(1) }
      if piece % 7 == 0 { usleep(100) }
      let (layer, line) = order[piece]
      if let line {
        lineDone.advance(line)
        layerDone.advance(layer)
      } else {
        sumDone.advance(layer)
      }
      done.add(1)
    }
    #expect(done.value == layers * size && wrong.value == 0)
  }
}
