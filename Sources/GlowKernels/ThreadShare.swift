import Foundation

/// How many threads a process is meant to use by default, and what says so: the machine, or the environment in which
/// batch systems and OpenMP programs are told.
package struct ThreadShare: Sendable, Equatable {
  package let count: Int
  /// "OMP_NUM_THREADS" for example; nil where it is what the machine grants.
  package let variable: String?
  /// Variables that are no number of threads, with their values; they are passed over.
  package let misunderstood: [String]
  /// Whether other processes of the same `mpirun` or `srun` may run on the same processors.
  package let mustShareProcessors: Bool

  private static let variables = ["OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "SLURM_CPUS_PER_TASK"]

  /// - Parameters:
  ///   - granted: threads that the machine grants, which the environment can only lower.
  ///   - environment: of the process.
  ///   - isBound: whether only some of the machine's processors are the process's. If not, several processes that
  ///     `mpirun` or `srun` has started there share them.
  package init(
    granted: Int = ThreadTeam.grantedCount,
    environment: [String: String] = ProcessInfo.processInfo.environment, isBound: Bool = ThreadTeam.isBound
  ) {
    var lowest: (count: Int, variable: String?) = (granted, nil)
    let processes = ThreadShare.processes(environment)
    mustShareProcessors = processes.count > 1 && !isBound
    if mustShareProcessors { lowest = (max(1, granted / processes.count), processes.variable) }
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

  /// The processes that `mpirun` or Slurm's `srun` has started on this machine, of which this is one, and what says so.
  static func processes(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> (count: Int, variable: String?) {
    let (openMPI, slurm) = ("OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_STEP_TASKS_PER_NODE")
    if let count = environment[openMPI].flatMap({ Int($0) }) { return (max(1, count), openMPI) }
    // Of all machines, as in 4(x2),3: at most so many are on this one.
    let most = environment[slurm]?.split(separator: ",").compactMap { Int($0.prefix { $0 != "(" }) }.max()
    return most.map { (max(1, $0), slurm) } ?? (1, nil)
  }
}
