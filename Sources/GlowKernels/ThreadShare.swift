import Foundation

/// How many threads a process is meant to use by default, and what says so: the machine, or the environment in which
/// batch systems and OpenMP programs are told.
package struct ThreadShare: Sendable, Equatable {
  package let count: Int
  /// "OMP_NUM_THREADS" for example; nil where it is what the machine grants.
  package let variable: String?
  /// Variables that are no number of threads, with their values; they are passed over.
  package let misunderstood: [String]
  /// Whether other processes of the same `mpirun` may run on the same processors.
  package let mustShareProcessors: Bool

  /// Set by Open MPI: the processes of a job on this machine.
  private static let processesVariable = "OMPI_COMM_WORLD_LOCAL_SIZE"
  private static let variables = ["OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "SLURM_CPUS_PER_TASK"]

  /// - Parameters:
  ///   - granted: threads that the machine grants, which the environment can only lower.
  ///   - environment: of the process.
  ///   - isBound: whether only some of the machine's processors are the process's. If not, several processes that
  ///     `mpirun` has started there share them.
  package init(
    granted: Int = ThreadTeam.grantedCount,
    environment: [String: String] = ProcessInfo.processInfo.environment, isBound: Bool = ThreadTeam.isBound
  ) {
    var lowest: (count: Int, variable: String?) = (granted, nil)
    let processes = ThreadShare.processes(environment)
    mustShareProcessors = processes > 1 && !isBound
    if mustShareProcessors {
      lowest = (max(1, granted / processes), ThreadShare.processesVariable)
    }
    var misunderstood: [String] = []
    for name in ThreadShare.variables {
      guard let value = environment[name], !value.isEmpty else { continue }
      // OMP_NUM_THREADS may list those of nested regions too: the outermost counts.
      let first = value.split(separator: ",", omittingEmptySubsequences: false)[0]
      guard let count = Int(first.trimmingCharacters(in: .whitespaces)), count > 0 else {
        misunderstood.append("\(name)=\(value)")
        continue
      }
      if count < lowest.count || count == lowest.count && lowest.variable == nil { lowest = (count, name) }
    }
    (count, variable) = lowest
    self.misunderstood = misunderstood
  }

  /// The processes of a job that `mpirun` has started on this machine, of which this is one.
  static func processes(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> Int {
    environment[processesVariable].flatMap { Int($0) }.map { max(1, $0) } ?? 1
  }
}
