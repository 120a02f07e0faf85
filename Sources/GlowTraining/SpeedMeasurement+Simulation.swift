import GlowKernels

extension SpeedMeasurement {
  /// What a job takes on one thread, on the team, and by simulation with other numbers of threads.
  package struct Simulation: Sendable {
    package let job: Job
    package let imagesPerSecondAlone: Double
    /// Of all threads of the team, measured in turns with one.
    package let imagesPerSecond: Double
    package let predictions: [ScheduleSimulation.Prediction]
    /// Bytes a second for each thread that memory has let through to all threads of the team at once, or as given for all.
    package let bandwidth: Bandwidth
    /// Seconds that it takes the team to start and end a run.
    package let launch: Double
  }

  /// Bytes a second between memory and processors.
  package enum Bandwidth: Sendable {
    /// In all, whatever the number of threads.
    case given(Double)
    /// For each thread.
    case measured(Double)

    package func of(threads: Int) -> Double {
      switch self {
      case .given(let all): all
      case .measured(let one): one * Double(threads)
      }
    }
  }

  /// Records the job's pass on one thread and times it on the team, in turns, and predicts from the records what it
  /// takes with other numbers of threads. The fastest run of either counts, with what else the machine does in it
  /// least.
  ///
  /// - Parameters:
  ///   - runs: of either, after one of either that does not count.
  ///   - bandwidth: of memory, bytes a second; measured if it is nil.
  package func simulate(_ job: Job, threads: [Int], runs: Int, bandwidth: Double?) throws -> Simulation {
    let prepared = try prepare(job)
    try prepared.run()
    let trace = WorkTrace()
    func record() throws -> WorkTrace.Pass {
      glow.team.trace = trace
      defer { glow.team.trace = nil }
      trace.begin()
      try prepared.pass()
      return trace.end()
    }
    _ = try (record(), prepared.pass())
    var (passes, times) = ([WorkTrace.Pass](), [Double]())
    for run in 0..<runs {
      progress(run, runs)
      passes.append(try record())
      times.append(try secondsOf(prepared.pass))
    }
    let launch = launchSeconds()
    let memory = try bandwidth.map { Bandwidth.given($0) } ?? .measured(streamSpeed())
    let simulation = ScheduleSimulation(ScheduleSimulation.typical(passes), launch: launch)
    return Simulation(
      job: job, imagesPerSecondAlone: Double(batch) / simulation.predict(threads: 1).seconds,
      imagesPerSecond: Double(batch) / times.min()!,
      predictions: threads.map {
        simulation.predict(threads: $0, bandwidth: $0 == 1 ? nil : memory.of(threads: $0))
      },
      bandwidth: memory, launch: launch)
  }

  /// Seconds of a run of the team with nothing to do; 0 where that cannot be told, because threads without a processor of
  /// their own have to be woken.
  private func launchSeconds() -> Double {
    let team = glow.team
    if team.count == 1 || team.count > ThreadTeam.grantedCount { return 0 }
    return median((0..<101).map { _ in secondsOf { team.run(team.count) { _, _ in } } })
  }

  /// Bytes a second that each thread of the team reads and writes when all copy what no cache near to a core holds.
  ///
  /// - Throws: `MemoryError`.
  private func streamSpeed() throws -> Double {
    let part = 1 << 22
    let (team, count) = (glow.team, min(glow.team.count, ThreadTeam.grantedCount))
    let slabs = try (0..<count).map { _ in try Slab<Float>(count: 2 * part) }
    func copy() {
      team.run(count) { piece, _ in
        (slabs[piece].base + part).update(from: slabs[piece].base, count: part)
      }
    }
    copy()
    let bytes = Double(2 * part * MemoryLayout<Float>.stride * count)
    return bytes / Double(count) / median((0..<5).map { _ in secondsOf(copy) })
  }
}
