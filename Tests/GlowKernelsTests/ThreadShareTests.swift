import GlowKernels
import Testing

@Suite("The share of the machine")
struct ThreadShareTests {
  @Test(
    "the environment can only lower what the machine grants",
    arguments: [
      ([:], 8, nil), (["OMP_NUM_THREADS": "3"], 3, "OMP_NUM_THREADS"), (["OMP_NUM_THREADS": "9"], 8, nil),
      (["OMP_NUM_THREADS": "8"], 8, "OMP_NUM_THREADS"),
      (["OMP_NUM_THREADS": "4,2"], 4, "OMP_NUM_THREADS"), (["OMP_NUM_THREADS": ""], 8, nil),
      (["OMP_NUM_THREADS": "4", "SLURM_CPUS_PER_TASK": "2"], 2, "SLURM_CPUS_PER_TASK"),
      (["OMP_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "1"], 1, "OMP_THREAD_LIMIT"),
    ] as [([String: String], Int, String?)])
  func lowered(environment: [String: String], count: Int, variable: String?) {
    let share = ThreadShare(granted: 8, environment: environment)
    #expect(share.count == count && share.variable == variable && share.misunderstood.isEmpty)
  }

  @Test(
    "processes of a job that are bound to no processors share them",
    arguments: [
      ("4", false, 2), ("3", false, 2), ("16", false, 1), ("4", true, 8), ("1", false, 8), ("x", false, 8),
    ])
  func shared(processes: String, isBound: Bool, count: Int) {
    let environment = ["OMPI_COMM_WORLD_LOCAL_SIZE": processes]
    #expect(ThreadShare(granted: 8, environment: environment, isBound: isBound).count == count)
    let fewer = environment.merging(["OMP_NUM_THREADS": "1"]) { $1 }
    #expect(ThreadShare(granted: 8, environment: fewer, isBound: isBound).count == 1)
  }

  @Test(
    "those that Slurm has started count, of the machine that has most of them",
    arguments: [("4", 2), ("2(x3)", 4), ("1,4(x2)", 2), ("1", 8), ("", 8), ("(x2)", 8)])
  func slurm(tasks: String, count: Int) {
    let environment = ["SLURM_STEP_TASKS_PER_NODE": tasks]
    let share = ThreadShare(granted: 8, environment: environment, isBound: false)
    #expect(share.count == count && (share.variable != nil) == (count < 8))
    #expect(ThreadShare(granted: 8, environment: environment, isBound: true).count == 8)
    let both = environment.merging(["OMPI_COMM_WORLD_LOCAL_SIZE": "8"]) { $1 }
    #expect(ThreadShare(granted: 8, environment: both, isBound: false).count == 1)
  }

  @Test("what is no number is passed over", arguments: ["0", "-1", "two", "4x", ",2"])
  func misunderstood(value: String) {
    let share = ThreadShare(granted: 8, environment: ["OMP_NUM_THREADS": value, "SLURM_CPUS_PER_TASK": "5"])
    #expect(share.count == 5 && share.misunderstood == ["OMP_NUM_THREADS=\(value)"])
  }
}
