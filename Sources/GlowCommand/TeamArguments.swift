import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowKernels

extension ProductKernels: ExpressibleByArgument {}

/// How many threads a command works with, and with which kernels.
struct TeamArguments: ParsableArguments {
  @Option(
    help:
      "Threads; by default one for each processor this process may use, or as OMP_NUM_THREADS, OMP_THREAD_LIMIT or SLURM_CPUS_PER_TASK say."
  )
  var threads: Int?
  @Flag(help: "Keep each thread on a processor of its own, of those that this process may use.")
  var pin = false
  @Option(
    help:
      "What makes matrix products: packed (this package's, the same bits on every processor) or openblas; packed by default where the processor has AVX2 with FMA."
  )
  var kernels: ProductKernels?
  @OptionGroup var log: LogArguments

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1, not \(threads)") }
    try checkVariable("GLOW_KERNELS", among: ProductKernels.allCases.map(\.rawValue))
    try checkVariable("GLOW_INSTRUCTIONS", among: InstructionSet.available.map(\.rawValue))
    if kernels == .packed && ProductKernels.best != .packed {
      throw ValidationError("--kernels packed: this processor has no AVX2 with FMA; leave the option out")
    }
  }

  /// What the environment asks for must be there: a name that is misspelt would change results without a word.
  private func checkVariable(_ name: String, among names: [String]) throws {
    guard let value = ProcessInfo.processInfo.environment[name], !names.contains(value) else { return }
    let expected =
      names.isEmpty ? "none: this processor has no AVX2 with FMA" : names.joined(separator: " or ")
    throw ValidationError("\(name) is '\(value)', expected \(expected)")
  }

  /// A team of as many threads as asked for, or as the kernels allow. The first thing that is said is how many these are,
  /// and what says so.
  ///
  /// - Parameter cores: of a machine that may have fewer than this one (`--cores`): no more threads are taken.
  /// - Throws: `MemoryError` if there is no room for what OpenBLAS needs, `ConfigurationError` if there are no processors for
  ///   `--pin`.
  func team(for cores: Int? = nil) throws -> ThreadTeam {
    let share = ThreadShare()
    let kernels = kernels ?? .standard
    let wanted = min(threads ?? min(share.count, cores ?? .max), kernels.mostThreads)
    let isLimited = (cores ?? .max) < share.count
    let source =
      threads != nil ? "--threads" : isLimited ? "--cores" : share.variable ?? "all that are granted"
    remark("\(counted(wanted, "thread")) (\(source))\(pin ? ", each on a processor of its own" : "")")
    if threads == nil {
      for value in share.misunderstood { warn("\(value) is no number of threads: it is passed over") }
    }
    if let tasks = strangers {
      warn(
        "srun has started \(tasks) processes that know nothing of each other: "
          + "srun --mpi=pmix makes one job of them")
    }
    if let threads, threads > wanted {
      remark("--threads \(threads): \(wanted) are used, the most with the kernels \(kernels.rawValue)")
    }
    var team = ThreadTeam(count: wanted, kernels: kernels)
    // Packed products need none of OpenBLAS's buffers.
    while kernels == .openBLAS {
      do {
        try team.claimBuffers()
        break
      } catch {
        if team.count == 1 { throw error }
        team = ThreadTeam(count: team.count / 2, kernels: kernels)
      }
    }
    if team.count < wanted {
      remark("the system has room for \(counted(team.count, "thread")), not \(wanted)")
    }
    if pin { try pin(team, share) }
    if ProductKernels.best == .openBLAS && self.kernels == nil {
      remark("this processor has no AVX2 with FMA: OpenBLAS makes the matrix products")
    }
    return team
  }

  /// The processes that Slurm has started with the first, which this is, where they do not work together; nil where there
  /// are none.
  private var strangers: Int? {
    let environment = ProcessInfo.processInfo.environment
    guard !GlowCommand.ranks.wasLaunched, environment["SLURM_PROCID"] == "0",
      let tasks = environment["SLURM_STEP_NUM_TASKS"].flatMap({ Int($0) }), tasks > 1
    else { return nil }
    return tasks
  }

  private func pin(_ team: ThreadTeam, _ share: ThreadShare) throws {
    if share.mustShareProcessors {
      throw ConfigurationError(
        "--pin: the processes that mpirun or srun has started here share their processors; let it bind each to its own"
      )
    }
    if !team.pin() {
      throw ConfigurationError(
        "--pin: \(counted(team.count, "thread")) cannot have a processor each, of "
          + "\(counted(ThreadTeam.allowedCount ?? 0, "processor")) that this process may use")
    }
  }
}
