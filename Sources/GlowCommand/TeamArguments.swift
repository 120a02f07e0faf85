import ArgumentParser
import GlowKernels

/// How many threads a command works with.
struct TeamArguments: ParsableArguments {
  @Option(help: "Threads; by default one for each processor this process may use.")
  var threads: Int?

  func validate() throws {
    if let threads, !(1...ThreadTeam.maximumCount).contains(threads) {
      throw ValidationError("--threads must be 1 to \(ThreadTeam.maximumCount), not \(threads)")
    }
  }

  func team() -> ThreadTeam { ThreadTeam(count: threads ?? ThreadTeam.availableCount) }
}
