import Foundation

/// How many threads a process is meant to use by default, and what says so: the machine, or the environment in which
/// batch systems and OpenMP programs are told.
package struct ThreadShare: Sendable, Equatable {
  package let count: Int
  /// "OMP_NUM_THREADS" for example; nil where it is what the machine grants.
  package let variable: String?
  /// Variables that are no number of threads, with their values; they are passed over.
  package let misunderstood: [String]

  private static let variables = ["OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "SLURM_CPUS_PER_TASK"]

  /// - Parameters:
  ///   - granted: threads that the machine grants, which the environment can only lower.
  ///   - environment: of the process.
  package init(
    granted: Int = ThreadTeam.grantedCount,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) {
    var lowest: (count: Int, variable: String?) = (granted, nil)
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
}
