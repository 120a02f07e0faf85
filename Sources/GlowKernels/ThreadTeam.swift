import CGlowKernels
import COpenBLAS
import Foundation
import Glibc
import Synchronization

/// A fixed team of threads that shares out numbered pieces of work.
///
/// The caller of `run` is thread 0 and works too. Pieces are handed out in order from one counter, so a
/// slow thread takes fewer; results must therefore not depend on which thread did which piece. Between two
/// runs the threads watch for a while before they sleep, because the next run is usually microseconds away.
///
/// A team does one run at a time: two at once, or one within another, end the process.
package final class ThreadTeam: @unchecked Sendable {
  package let count: Int
  /// What the models that it works at are multiplied with.
  package let kernels: ProductKernels

  /// The team's threads hold it, and not the team, which could else never end.
  private let crew = Crew()
  private let threads: [pthread_t]

  /// A team of `count` threads, the caller among them; by default as many as the machine grants.
  ///
  /// Fewer if the kernels serve no more (`ProductKernels.mostThreads`) or the system starts no more, which `count` then
  /// says. Sets OpenBLAS to one thread: the threads of this package are its own.
  package init(count: Int = ThreadTeam.availableCount, kernels: ProductKernels = .standard) {
    precondition(
      kernels != .packed || ProductKernels.best == .packed, "this processor has no packed products")
    self.kernels = kernels
    openblas_set_num_threads(1)
    // Asked for first by a thread that is pinned it would be one.
    _ = processors
    var threads: [pthread_t] = []
    for index in 1..<max(1, min(count, kernels.mostThreads)) {
      var thread = pthread_t()
      let start = Unmanaged.passRetained(Start(crew: crew, index: index))
      let status = pthread_create(
        &thread, nil,
        { argument in
          let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
          start.crew.work(start.index)
          return nil
        }, start.toOpaque())
      if status != 0 {
        start.release()
        break
      }
      threads.append(thread)
    }
    self.threads = threads
    self.count = threads.count + 1
    crew.count = self.count
    teamThreads.wrappingAdd(self.count, ordering: .relaxed)
  }

  /// What a new thread is handed.
  private final class Start {
    let crew: Crew
    let index: Int
    init(crew: Crew, index: Int) {
      self.crew = crew
      self.index = index
    }
  }

  deinit {
    teamThreads.wrappingSubtract(count, ordering: .relaxed)
    crew.end()
    for thread in threads { pthread_join(thread, nil) }
  }

  /// The threads to use where nothing else is asked for.
  package static var availableCount: Int { ThreadShare().count }

  /// The processors that this process may run on, as its affinity mask and the quota of its control group say.
  package static var grantedCount: Int {
    let processors = allowedCount ?? ProcessInfo.processInfo.activeProcessorCount
    return max(1, min(processors, ControlGroup().processorQuota ?? processors))
  }

  /// Whether the affinity mask leaves out processors of the machine. Calls `sysconf`.
  package static var isBound: Bool {
    allowedCount.map { $0 < sysconf(Int32(_SC_NPROCESSORS_ONLN)) } ?? false
  }

  /// Processors in the affinity mask of this thread.
  package static var allowedCount: Int? {
    let count = glow_allowed_processors(nil, 0)
    return count < 0 ? nil : count
  }

  /// Gives each thread but the caller's a processor of its own among those that the caller may run on, of each core one
  /// before any has two. The first is left for the caller: that stays free to go where it may, because threads that it
  /// starts later may go there too. Reads what Linux says of cores.
  ///
  /// Returns whether there were enough processors, and the system did it.
  package func pin() -> Bool {
    guard let allowed = ThreadTeam.allowedCount, allowed >= count else { return false }
    var processors = [Int32](repeating: 0, count: allowed)
    guard glow_allowed_processors(&processors, allowed) >= allowed else { return false }
    let places = ThreadTeam.coresFirst(processors) {
      try? String(
        contentsOfFile: "/sys/devices/system/cpu/cpu\($0)/topology/thread_siblings_list", encoding: .utf8)
    }
    return zip(threads, places.dropFirst()).allSatisfy { glow_pin($0, $1) == 0 }
  }

  /// One processor of each core, then a second, and so on.
  ///
  /// - Parameter core: the same for all processors of a core; nil where nobody knows.
  static func coresFirst(_ processors: [Int32], core: (Int32) -> String?) -> [Int32] {
    var counts: [String: Int] = [:]
    let turns = processors.map { processor in
      let core = core(processor) ?? "\(processor)"
      defer { counts[core, default: 0] += 1 }
      return counts[core, default: 0]
    }
    return processors.indices.sorted { (turns[$0], $0) < (turns[$1], $1) }.map { processors[$0] }
  }

  /// Calls `body(piece, thread)` once for every piece in 0..<pieces and returns when all are done.
  ///
  /// `thread` is in 0..<count; no two pieces run under the same thread number at the same time. Meanwhile denormal numbers
  /// are zero.
  ///
  /// - Parameter plan: what a trace is told of the pieces, if there is one.
  package func run(
    _ pieces: Int, as plan: @autoclosure () -> WorkPlan = WorkPlan("other work"),
    _ body: (_ piece: Int, _ thread: Int) -> Void
  ) {
    guard let trace, pieces > 0 else {
      crew.run(pieces, body)
      return
    }
    trace.runBegins()
    crew.run(pieces, isAlone: true) { piece, thread in
      body(piece, thread)
      trace.pieceEnds()
    }
    trace.runEnds(plan())
  }

  /// Calls `body(piece, thread)` once for every piece, when what it needs is done, and returns when all are done.
  ///
  /// - Parameter plan: what a trace is told of the pieces, if there is one.
  package func run(
    _ wavefront: Wavefront, as plan: @autoclosure () -> WorkPlan,
    _ body: (_ piece: Int, _ thread: Int) -> Void
  ) {
    let threads = count
    if threads == 1 || trace != nil {
      run(wavefront.count, as: plan(), body)
      return
    }
    wavefront.reset()
    // Pieces of two ranks may be at work together.
    run(min(threads, 2 * wavefront.widest)) { _, thread in
      while let piece = wavefront.take(thread: thread, of: threads) { body(piece, thread) }
    }
  }

  /// Records all runs while it is set, which the caller then does alone.
  package var trace: WorkTrace?
}

/// Denormal numbers are zero meanwhile on this thread, as they are where a team works.
package func withoutDenormals(_ body: () -> Void) {
  let mode = glow_flush_denormals()
  body()
  glow_restore_denormals(mode)
}

/// What the threads of a team share.
private final class Crew: @unchecked Sendable {
  /// Set before the first run.
  var count = 1
  /// What the current run does with (piece, thread); valid only between its start and its end.
  private var body: ((Int, Int) -> Void)?
  private var pieceCount = 0
  private let isRunning = Atomic<Bool>(false)
  private let counters = Counters(count: 3)
  private var nextPiece: UnsafeMutablePointer<Atomic<Int>> { counters[0] }
  /// Counts the runs; a change of it starts the others.
  private var generation: UnsafeMutablePointer<Atomic<Int>> { counters[1] }
  private var working: UnsafeMutablePointer<Atomic<Int>> { counters[2] }
  private let isEnding = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)

  func run(_ pieces: Int, isAlone: Bool = false, _ body: (_ piece: Int, _ thread: Int) -> Void) {
    let isFree = isRunning.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    precondition(isFree, "a thread team does one run at a time")
    defer { isRunning.store(false, ordering: .releasing) }
    withoutDenormals { share(pieces, isAlone: isAlone, body) }
  }

  private func share(_ pieces: Int, isAlone: Bool, _ body: (_ piece: Int, _ thread: Int) -> Void) {
    if count == 1 || pieces <= 1 || isAlone {
      for piece in 0..<max(0, pieces) { body(piece, 0) }
      return
    }
    withoutActuallyEscaping(body) { escapable in
      self.body = escapable
      pieceCount = pieces
      nextPiece.pointee.store(0, ordering: .relaxed)
      working.pointee.store(count - 1, ordering: .relaxed)
      startOthers()
      takePieces(thread: 0)
      watch { working.pointee.load(ordering: .acquiring) == 0 }
      self.body = nil
    }
  }

  /// Lets the other threads return.
  func end() {
    isEnding.store(true, ordering: .releasing)
    startOthers()
  }

  private func startOthers() {
    generation.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 { glow_wake_all(generation) }
  }

  private func takePieces(thread: Int) {
    let body = self.body!
    while true {
      let piece = nextPiece.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
      if piece >= pieceCount { return }
      body(piece, thread)
    }
  }

  /// The life of one other thread.
  func work(_ index: Int) {
    _ = glow_flush_denormals()
    var seen = 0
    while true {
      waitForRun(after: seen)
      seen &+= 1
      if isEnding.load(ordering: .acquiring) { return }
      takePieces(thread: index)
      working.pointee.wrappingSubtract(1, ordering: .releasing)
    }
  }

  /// Nanoseconds that a thread watches for the next run: more than lies between the runs of a pass, also for one that has
  /// found no more pieces while others still work, because waking many threads takes longer than many a run.
  private static let watchfulness: UInt64 = 300_000

  /// Returns when a run later than number `seen` has started.
  private func waitForRun(after seen: Int) {
    let hasBegun = { [generation] in generation.pointee.load(ordering: .acquiring) != seen }
    // Threads without a processor of their own would keep it from those that work.
    if !isCrowded() {
      let end = monotonicNanoseconds() &+ Self.watchfulness
      repeat {
        for _ in 0..<64 {
          if hasBegun() { return }
          glow_pause()
        }
        sched_yield()
      } while monotonicNanoseconds() < end
    }
    sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
    while generation.pointee.load(ordering: .sequentiallyConsistent) == seen {
      glow_sleep_while(generation, Int64(seen))
    }
    sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
  }
}

/// Watches for something that another thread is about to do: asks until it is done, and then no more.
func watch(until isDone: () -> Bool) {
  var (turns, start) = (0, UInt64(0))
  while !isDone() {
    turns += 1
    if isCrowded() {
      // Others need the processor, perhaps the one that this thread waits for.
      if turns <= 20 { sched_yield() } else { usleep(UInt32(min(50 * (turns - 20), 1000))) }
      continue
    }
    // Calls of the system would slow a thread that shares the core.
    glow_pause()
    if turns % 16 > 0 { continue }
    let now = monotonicNanoseconds()
    if start == 0 { start = now }
    // The other thread may have no processor at the moment, and can have this one.
    if now - start > 20_000 { sched_yield() }
  }
}

/// Threads of all teams that there are.
private let teamThreads = Atomic<Int>(0)
private let processors = ThreadTeam.grantedCount

/// Whether there are more of them than processors for this process.
func isCrowded() -> Bool { teamThreads.load(ordering: .relaxed) > processors }

/// Numbers that some threads change while others watch, each in cache lines of its own: two, which processors fetch together.
final class Counters: @unchecked Sendable {
  private static let step = 128 / MemoryLayout<Atomic<Int>>.stride
  private let memory: UnsafeMutablePointer<Atomic<Int>>
  private let count: Int

  /// `count` zeros.
  init(count: Int) {
    self.count = count
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: count * 128, alignment: 128)
    memory = bytes.bindMemory(to: Atomic<Int>.self, capacity: count * Self.step)
    for index in 0..<count * Self.step { (memory + index).initialize(to: Atomic(0)) }
  }

  deinit { UnsafeMutableRawPointer(memory).deallocate() }

  subscript(index: Int) -> UnsafeMutablePointer<Atomic<Int>> { memory + index * Self.step }
}
