import ArgumentParser
import GlowKernels

/// How many threads a command works with.
struct TeamArguments: ParsableArguments {
  @Option(help: "Threads; by default one for each processor this process may use.")
  var threads: Int?

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1, not \(threads)") }
  }

  /// A team of as many threads as asked for, or as OpenBLAS allows.
  ///
  /// - Throws: `MemoryError` if there is no room for what OpenBLAS needs.
  func team() throws -> ThreadTeam {
    if let threads, threads > ThreadTeam.maximumCount {
      remark(
        "--threads \(threads): \(ThreadTeam.maximumCount) are used, the most that OpenBLAS serves at once")
    }
    let wanted = min(threads ?? ThreadTeam.availableCount, ThreadTeam.maximumCount)
    var team = ThreadTeam(count: wanted)
    while true {
      do {
        try team.claimBuffers()
        break
      } catch {
        if team.count == 1 { throw error }
        team = ThreadTeam(count: team.count / 2)
      }
    }
    if team.count < wanted {
      remark("the system has room for \(counted(team.count, "thread")), not \(wanted)")
    }
    return team
  }
}
