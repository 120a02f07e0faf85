import Foundation
import Glibc
import GlowTestSupport
import Testing

/// Training as another process that is killed, interrupted, or finds the disk full.
@Suite("The train command under fire")
struct RobustnessTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-fire-\(UUID())").path

  init() throws { try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true) }

  private func clean() { try? FileManager.default.removeItem(atPath: root) }

  private static let tiny = [
    "--levels", "1", "--depth", "1", "--width", "8", "--batch", "4", "--init-images", "4", "--threads", "1",
    "--sample-every", "0",
    // Runs are ended early or made longer, which a rate that falls and a decay over the run would follow.
    "--lr-schedule", "constant", "--weight-decay", "0.1",
  ]

  private func start(_ arguments: [String]) throws -> ChildProcess {
    try ChildProcess(ChildProcess.glow, arguments, in: root)
  }

  private func train(_ arguments: [String]) throws -> ChildProcess {
    try start(["train", "--data", "faces", "--limit", "64"] + arguments)
  }

  /// Starts the command under limits that the shell sets.
  private func start(limits: String..., arguments: [String]) throws -> ChildProcess {
    let script = limits.map { "ulimit \($0) && " }.joined() + "exec \"$0\" \"$@\""
    return try ChildProcess("/bin/sh", ["-c", script, ChildProcess.glow] + arguments, in: root)
  }

  private func files(_ run: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(run)")) ?? []).sorted()
  }

  private func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: "\(root)/\(name)")) }

  /// The steps of the lines of `metrics.jsonl`, each of which must be whole.
  private func metricsSteps(_ run: String) throws -> [Int] {
    let text = String(decoding: try bytes("\(run)/metrics.jsonl"), as: UTF8.self)
    #expect(text.isEmpty || text.hasSuffix("\n"))
    return try text.split(separator: "\n").map { line in
      let entry = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return try #require(entry?["step"] as? Int)
    }
  }

  @Test(
    "killed at 50 random instants, four times: it always resumes, and ends as if it never was",
    .unsanitized("too slow to reach a checkpoint"), arguments: 0..<4)
  func killed(part: Int) throws {
    defer { clean() }
    let run = RobustnessTests.tiny + ["--checkpoint-every", "1", "--log-every", "1", "--eval-every", "0"]
    var generator = SystemRandomNumberGenerator()
    var resumed = 0
    for _ in 0..<50 {
      let job = try train(["--out", "run", "--steps", "1000000", "--resume"] + run)
      // Half of them at any instant after the start, half while checkpoints are being written.
      if Bool.random(using: &generator) { _ = job.waits(for: "step ") }
      usleep(.random(in: 0..<60_000, using: &generator))
      job.send(SIGKILL)
      #expect(job.end() == SIGKILL && job.wasKilled, "\(job.error)")
      #expect(!job.error.contains("passed over"), "\(job.error)")
      if job.error.contains("resumed at") { resumed += 1 }
      #expect(files("run").count { $0.hasSuffix(".partial") } <= 1)
      #expect(files("run").count { $0.hasPrefix("checkpoint-") } <= 3)
    }
    let last = files("run").last { $0.hasPrefix("checkpoint-") }
    let reached = last.flatMap { Int($0.dropFirst("checkpoint-".count).prefix(8)) } ?? 0
    print("killed 50 times, \(resumed) had resumed, reached step \(reached)")
    // How many depends on how fast the machine is.
    #expect(reached > 0 && resumed > 0)
    let steps = "\(reached + 3)"
    let end = try train(["--out", "run", "--steps", steps, "--resume"] + run)
    #expect(end.end() == 0 && !end.error.contains("passed over"), "\(end.error)")
    #expect(!files("run").contains { $0.hasSuffix(".partial") })
    #expect(try metricsSteps("run") == Array(1...(reached + 3)))
    let whole = try train(
      [
        "--out", "whole", "--steps", steps, "--checkpoint-every", "0", "--log-every", "0", "--eval-every",
        "0",
      ]
        + RobustnessTests.tiny)
    #expect(whole.end() == 0)
    #expect(try bytes("whole/model.safetensors") == bytes("run/model.safetensors"))
  }

  @Test(
    "a file-size limit, as a full disk: a clear error, the last good checkpoint and no half files",
    .unsanitized("a sanitizer's memory is a file"))
  func fullDisk() throws {
    defer { clean() }
    let run = RobustnessTests.tiny + ["--checkpoint-every", "2", "--log-every", "1", "--eval-every", "0"]
    #expect(try train(["--out", "run", "--steps", "4"] + run).end() == 0)
    let checkpoint = try bytes("run/checkpoint-00000004.safetensors")
    let model = try bytes("run/model.safetensors")
    let before = files("run")
    /// Trains where no file may be larger than `size` bytes; the shell counts in blocks of 512.
    func limited(to size: Int, _ arguments: [String]) throws -> ChildProcess {
      let job = try start(
        limits: "-f \(size / 512)",
        arguments: ["train", "--data", "faces", "--limit", "64", "--steps", "40"] + arguments)
      job.end()
      #expect(!job.wasKilled)
      return job
    }
    let resumed = ["--out", "run", "--resume"] + run
    // The model is smaller than a checkpoint, and config.json smaller than both.
    for (size, name) in [
      ((model.count + checkpoint.count) / 2, "checkpoint-00000004"), (4096, "model.safetensors"),
    ] {
      let job = try limited(to: size, resumed)
      #expect(job.status == 1)
      #expect(
        job.error.contains("run/\(name)") && job.error.contains("cannot write: File too large"),
        "\(job.error)")
      #expect(files("run") == before)
      #expect(try bytes("run/checkpoint-00000004.safetensors") == checkpoint)
      _ = try metricsSteps("run")
    }
    let job = try limited(to: 512, resumed)
    #expect(
      job.status == 1 && job.error.contains("config.json: cannot write: File too large"), "\(job.error)")
    #expect(files("run") == before)
    let rest = try train(["--out", "run", "--steps", "40", "--resume"] + run)
    #expect(rest.end() == 0 && rest.error.contains("resumed at step 4"), "\(rest.error)")
    #expect(try metricsSteps("run") == Array(1...40))

    // Here it is the metrics that no longer fit.
    let log = try limited(
      to: 2560,
      RobustnessTests.tiny
        + ["--out", "log", "--checkpoint-every", "0", "--log-every", "1", "--eval-every", "0"])
    #expect(log.status == 1 && log.error.contains("log/metrics.jsonl: cannot write"), "\(log.error)")
    let steps = try metricsSteps("log")
    #expect(steps.count > 3 && steps == Array(1...steps.count))
  }

  @Test(
    "a signal ends a run after the step, with a checkpoint and 128 + its number",
    arguments: [SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP, SIGXCPU])
  func interrupted(signal: Int32) throws {
    defer { clean() }
    let job = try train(
      [
        "--out", "run", "--steps", "1000000", "--checkpoint-every", "0", "--log-every", "1", "--eval-every",
        "0",
      ]
        + RobustnessTests.tiny)
    #expect(job.waits(for: "step 3/"))
    let sent = ContinuousClock.now
    job.send(signal)
    #expect(job.end() == 128 + signal && !job.wasKilled)
    #expect(sent.duration(to: .now) < .seconds(60))
    #expect(
      job.error.contains("interrupted at step") && job.error.contains("run/model.safetensors"), "\(job.error)"
    )
    #expect(files("run").count { $0.hasPrefix("checkpoint-") } == 1)
    let steps = try metricsSteps("run")
    #expect(steps == Array(1...steps.count))
  }

  @Test("signals are heeded during evaluation and initialization")
  func interruptedElsewhere() throws {
    defer { clean() }
    let size = ["--levels", "3", "--depth", "8", "--width", "64", "--threads", "1", "--sample-every", "0"]
    func job(_ name: String, limit: Int, _ more: [String]) throws -> ChildProcess {
      try start(["train", "--data", "faces", "--limit", "\(limit)", "--out", name] + size + more)
    }
    // Both would take much longer than they are given.
    let evaluation = try job(
      "evaluation", limit: 20_000,
      ["--batch", "16", "--init-images", "16", "--steps", "5", "--eval-every", "1", "--log-every", "1"])
    #expect(evaluation.waits(for: "step 1/"))
    usleep(300_000)
    let initialization = try job("initialization", limit: 3000, ["--init-images", "3000", "--steps", "5"])
    #expect(initialization.waits(for: "memory: about"))
    usleep(300_000)
    for (job, message) in [
      (evaluation, "interrupted at step 1;"), (initialization, "interrupted before the first step"),
    ] {
      let sent = ContinuousClock.now
      job.send(SIGTERM)
      #expect(job.end() == 128 + SIGTERM && job.error.contains(message), "\(job.error)")
      // On a machine that does nothing else it takes a second or two.
      #expect(sent.duration(to: .now) < .seconds(60))
    }
    #expect(!files("initialization").contains { $0.hasSuffix(".safetensors") })
  }

  @Test("a limit of processor time that is soft and hard in one leaves time to save")
  func processorTime() throws {
    defer { clean() }
    let job = try ChildProcess(
      "/bin/bash",
      [
        "-c", "ulimit -t 3; exec \"$0\" \"$@\"", ChildProcess.glow, "train", "--data", "faces", "--limit",
        "64",
      ]
        + ["--out", "run", "--steps", "100000000", "--checkpoint-every", "0", "--eval-every", "0"]
        + RobustnessTests.tiny, in: root)
    #expect(job.end() == 128 + SIGXCPU && !job.wasKilled, "\(job.error)")
    #expect(files("run").contains { $0.hasPrefix("checkpoint-") })
  }

  @Test("SIGHUP that nohup has ignored stays ignored")
  func noHangUp() throws {
    defer { clean() }
    let job = try ChildProcess(
      "/bin/sh",
      [
        "-c", "trap '' HUP; exec \"$0\" \"$@\"", ChildProcess.glow, "train", "--data", "faces", "--limit",
        "64",
      ]
        + ["--out", "run", "--steps", "1000000", "--log-every", "1", "--eval-every", "0"]
        + RobustnessTests.tiny, in: root)
    #expect(job.waits(for: "step 3/"))
    job.send(SIGHUP)
    let reached = try metricsSteps("run").last ?? 0
    #expect(job.waits(for: "step \(reached + 20)/"))
    job.send(SIGTERM)
    #expect(job.end() == 128 + SIGTERM, "\(job.error)")
  }

  @Test("--max-time saves and ends with a status of its own; --resume goes on to the same model")
  func timeLimit() throws {
    defer { clean() }
    let run = RobustnessTests.tiny + ["--checkpoint-every", "0", "--eval-every", "0", "--log-every", "1"]
    // However slow the machine is, a run of so many steps takes longer.
    let job = try train(["--out", "run", "--steps", "100000000", "--max-time", "2s"] + run)
    #expect(job.end() == 128 + SIGALRM && job.error.contains("out of time"), "\(job.error)")
    let saved = files("run").filter { $0.hasPrefix("checkpoint-") }
    let steps = try metricsSteps("run").count
    #expect(saved == (steps == 0 ? [] : [String(format: "checkpoint-%08d.safetensors", steps)]))
    for name in ["run", "whole"] {
      let job = try train(["--out", name, "--resume", "--steps", "\(steps + 2)", "--max-time", "1h"] + run)
      #expect(job.end() == 0, "\(job.error)")
    }
    #expect(try bytes("run/model.safetensors") == bytes("whole/model.safetensors"))
    let wrong = try train(["--out", "new", "--max-time", "2:30"] + run)
    #expect(wrong.end() == 64 && wrong.error.contains("2:30"), "\(wrong.error)")
  }

  @Test("--patience needs evaluations")
  func patience() throws {
    defer { clean() }
    let job = try train(["--out", "run", "--patience", "2", "--eval-every", "0"] + RobustnessTests.tiny)
    #expect(job.end() == 1 && job.error.contains("--eval-every is 0"), "\(job.error)")
    #expect(files("run").isEmpty)
  }

  @Test("a run that --patience ends, stopped and gone on with, is that of the whole one")
  func patienceGoesOn() throws {
    defer { clean() }
    // At such a rate no weight changes, so that evaluations soon are all the same.
    let run =
      RobustnessTests.tiny + [
        "--steps", "1000000", "--eval-every", "100", "--patience", "3", "--lr", "1e-30", "--log-every", "1",
        "--checkpoint-every", "0",
      ]
    #expect(try train(["--out", "whole"] + run).end() == 0)
    let job = try train(["--out", "run"] + run)
    #expect(job.waits(for: "step 3/"))
    job.send(SIGUSR2)
    #expect(job.end() == 128 + SIGUSR2, "\(job.error)")
    let rest = try train(["--out", "run", "--resume"] + run)
    #expect(rest.end() == 0, "\(rest.error)")
    let steps = try metricsSteps("run")
    // The average takes some evaluations to arrive where the weights are.
    let last = try #require(steps.last)
    #expect(last >= 400 && last % 100 == 0)
    #expect(try metricsSteps("whole") == steps)
    #expect(try bytes("run/model.safetensors") == bytes("whole/model.safetensors"))
  }

  @Test("the environment lowers the number of threads, and is named; --threads counts more")
  func threadsOfEnvironment() throws {
    defer { clean() }
    let size = ["--levels", "1", "--depth", "1", "--width", "8", "--init-images", "4", "--steps", "1"]
    func threads(_ environment: String, _ more: String...) throws -> String {
      let script = "export \(environment); exec \"$0\" \"$@\" --overwrite --out run --limit 8 --data faces"
      let job = try ChildProcess(
        "/bin/sh", ["-c", script, ChildProcess.glow, "train"] + size + more, in: root)
      #expect(job.end() == 0, "\(job.error)")
      return job.error
    }
    #expect(try threads("OMP_NUM_THREADS=1").contains("1 thread (OMP_NUM_THREADS)"))
    #expect(try threads("OMP_THREAD_LIMIT=1").contains("1 thread (OMP_THREAD_LIMIT)"))
    #expect(try threads("SLURM_CPUS_PER_TASK=1").contains("1 thread (SLURM_CPUS_PER_TASK)"))
    #expect(try threads("OMP_NUM_THREADS=1", "--threads", "2").contains("2 threads (--threads)"))
    #expect(try threads("OMP_NUM_THREADS=none").contains("OMP_NUM_THREADS=none is no number of threads"))
  }

  @Test("a second SIGINT ends the process at once; what systems send repeatedly, SIGTERM too, does not")
  func second() throws {
    defer { clean() }
    // A step of many seconds.
    let job = try start(
      [
        "train", "--data", "faces", "--limit", "512", "--out", "run", "--batch", "512", "--levels", "3",
        "--depth",
        "16", "--width", "128", "--init-images", "8", "--steps", "5", "--threads", "1", "--activations",
        "recompute",
      ])
    #expect(job.waits(for: "actnorms initialized"))
    usleep(200_000)
    for signal in [SIGTERM, SIGTERM, SIGXCPU, SIGXCPU, SIGHUP, SIGUSR2] {
      job.send(signal)
      usleep(100_000)
    }
    #expect(job.isRunning)
    let sent = ContinuousClock.now
    job.send(SIGINT)
    #expect(job.end() == 128 + SIGINT)
    #expect(sent.duration(to: .now) < .seconds(60))
  }

  @Test("resuming with other training options says so and goes on; with other model options it is refused")
  func changedOptions() throws {
    defer { clean() }
    #expect(try train(["--out", "run", "--steps", "4"] + RobustnessTests.tiny).end() == 0)
    let more = RobustnessTests.tiny + ["--batch", "8", "--lr", "2e-3", "--threads", "2", "--steps", "6"]
    let job = try train(["--out", "run", "--resume"] + more)
    #expect(job.end() == 0 && job.error.contains("resumed at step 4"))
    for change in [
      "batch was 4, is now 8", "learningRate was 0.005, is now 0.002", "threads was 1, is now 2",
      "steps was 4, is now 6",
    ] { #expect(job.error.contains("changed: \(change)"), "\(job.error)") }
    #expect(
      job.error.contains(
        "learning rate: was to go on with 0.000125, goes on with 5e-05, and ends at step 6 with 6e-05"),
      "\(job.error)")
    let same = try train(["--out", "run", "--resume"] + more)
    #expect(same.end() == 0 && !same.error.contains("changed:"), "\(same.error)")
    let other = try train(["--out", "run", "--resume"] + more + ["--width", "9", "--coupling", "additive"])
    #expect(other.end() == 1)
    #expect(
      other.error.contains("width is 8, asked for 9")
        && other.error.contains("coupling is affine, asked for additive"),
      "\(other.error)")
  }

  @Test("more threads than OpenBLAS serves are not used, and it says so")
  func manyThreads() throws {
    defer { clean() }
    let job = try train(
      ["--out", "run", "--steps", "1"] + RobustnessTests.tiny
        + ["--threads", "1000", "--kernels", "openblas"])
    #expect(job.end() == 0 && job.error.contains("--threads 1000: 112 are used"), "\(job.error)")
  }

  @Test(
    "threads that the system does not start are done without",
    .unsanitized("a sanitizer takes more address space"))
  func fewThreads() throws {
    defer { clean() }
    #expect(try train(["--out", "run", "--steps", "1"] + RobustnessTests.tiny).end() == 0)
    // A gigabyte of address space for each thread's stack, and 12 in all.
    let job = try start(
      limits: "-s 1000000", "-v 12000000",
      arguments: ["sample", "run", "--count", "1", "--out", "sample.png", "--threads", "50"])
    #expect(job.end() == 0 && !job.wasKilled && job.error.contains("not 50"), "\(job.error)")
  }

  @Test("a run folder may have any name", arguments: ["r", "r/", "./r", "r/s/t", "r//s", "ü", "a b/.c"])
  func names(of folder: String) throws {
    defer { clean() }
    let job = try train(["--out", folder, "--steps", "1"] + RobustnessTests.tiny)
    #expect(job.end() == 0, "\(job.error)")
    #expect(files(folder).contains("model.safetensors"))
  }

  @Test("two processes cannot train in one folder")
  func twoProcesses() throws {
    defer { clean() }
    let more = RobustnessTests.tiny + ["--checkpoint-every", "1", "--log-every", "1", "--eval-every", "0"]
    let first = try train(["--out", "run", "--steps", "1000000"] + more)
    #expect(first.waits(for: "step 3/"))
    let second = try train(["--out", "run", "--steps", "1000000", "--resume"] + more)
    #expect(second.end() == 1)
    #expect(second.error.contains("run: another process is training in this folder"), "\(second.error)")
    first.send(SIGTERM)
    #expect(first.end() == 128 + SIGTERM, "\(first.error)")
    let steps = try metricsSteps("run")
    #expect(steps == Array(1...steps.count))
  }

  @Test(
    "a model that does not fit into memory is refused before anything is written",
    .unsanitized("a sanitizer takes more address space"))
  func memory() throws {
    defer { clean() }
    let huge = try train(["--out", "run", "--width", "16384", "--depth", "1024"])
    #expect(huge.end() == 1 && huge.error.contains("for the parameters alone"), "\(huge.error)")
    #expect(huge.error.contains("use a smaller width"))
    // 1.5 GB of address space, of which the program itself takes a part.
    let limited = try start(
      limits: "-v 1500000",
      arguments: [
        "train", "--data", "faces", "--limit", "64", "--out", "run", "--batch", "4096", "--threads", "1",
      ])
    #expect(limited.end() == 1 && limited.error.contains("use a smaller batch"), "\(limited.error)")
    #expect(files("run").isEmpty)
  }

  @Test(
    "a signal ends scoring with no table, no hidden file, records only where --resume goes on with them, and 128 + its number",
    arguments: [SIGTERM, SIGUSR2, SIGXCPU],
    ["evaluate", "detect"])
  func interruptedScoring(signal: Int32, command: String) throws {
    defer { clean() }
    #expect(try train(["--out", "run", "--steps", "1"] + RobustnessTests.tiny).end() == 0)
    let arguments =
      command == "evaluate"
      ? ["evaluate", "run", "--data", "noise", "--scores", "records/in.jsonl"]
      : ["detect", "run", "--in", "noise", "--out", "faces", "--scores", "records"]
    try FileManager.default.createDirectory(atPath: "\(root)/records", withIntermediateDirectories: true)
    let job = try start(arguments + ["--limit", "100000000", "--batch", "4", "--threads", "1"])
    #expect(job.waits { !files("records").isEmpty })
    let keeps = command == "evaluate"
    #expect(keeps || files("records").count == 1 && files("records")[0].hasPrefix(".in.jsonl."))
    job.send(signal)
    #expect(job.end() == 128 + signal && !job.wasKilled, "\(job.error)")
    #expect(job.error.contains("interrupted by signal \(signal)"), "\(job.error)")
    #expect(files("records").allSatisfy { keeps && $0.hasPrefix("in.jsonl.part") })
  }
}
