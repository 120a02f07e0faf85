import Foundation
import Glibc
import GlowImages
import GlowTestSupport
import Testing

/// Long commands among others: two on one file, signals, limits, and what they say of themselves.
extension CommandTests {
  private func start(_ line: String) throws -> ChildProcess {
    try ChildProcess(ChildProcess.glow, line.split(separator: " ").map(String.init), in: root)
  }

  /// Waits until a file has at least so many lines.
  private func waits(for name: String, lines: Int, of job: ChildProcess) -> Int {
    var found = 0
    _ = job.waits {
      found = (try? bytes(name))?.count { $0 == UInt8(ascii: "\n") } ?? 0
      return found >= lines
    }
    return found
  }

  private static let endless = "evaluate run --data noise --limit 100000000 --batch 4 --threads 1"

  @Test("a second job on the same file of scores changes nothing of the first", .unsanitized("too slow"))
  func lockedScores() throws {
    defer { clean() }
    try train()
    let first = try start("\(Self.endless) --scores s.jsonl")
    #expect(waits(for: "s.jsonl.part", lines: 1, of: first) > 0)
    let meta = try bytes("s.jsonl.part.meta.json")
    for more in ["", " --resume", " --resume --seed 1"] {
      let second = try shell("$GLOW \(Self.endless) --scores s.jsonl\(more)")
      #expect(second.status == 1 && second.error.contains("another process is writing it"), "\(second.error)")
    }
    #expect(try bytes("s.jsonl.part.meta.json") == meta)
    first.send(SIGTERM)
    #expect(first.end() == 128 + SIGTERM)
  }

  @Test("where a job was killed between its records and what they come from, they are not taken for others")
  func renamedScores() throws {
    defer { clean() }
    try train()
    let job = "$GLOW evaluate run --data faces --limit 4 --scores s.jsonl"
    #expect(try shell("\(job) && cp s.jsonl.meta.json old && \(job) --seed 1").status == 0)
    let meta = try bytes("s.jsonl.meta.json")
    #expect(try shell("mv s.jsonl.meta.json s.jsonl.part.meta.json; mv old s.jsonl.meta.json").status == 0)
    let other = try shell("\(job) --resume")
    #expect(other.status == 1 && other.error.contains("seed was 1, is now 0"), "\(other.error)")
    #expect(try shell("\(job) --resume --seed 1").status == 0)
    #expect(try bytes("s.jsonl.meta.json") == meta)
    #expect(try names() == ["run", "s.jsonl", "s.jsonl.meta.json"])
  }

  @Test("data and classes may be spelled otherwise when a job goes on; a link is followed")
  func otherSpelling() throws {
    defer { clean() }
    try writeImages("images", ["cat", "frog"])
    let trained = try shell("$GLOW train --data images --out run --conditional \(Self.tiny)")
    #expect(trained.status == 0, "\(trained.error)")
    let job = "$GLOW evaluate run --data"
    #expect(try shell("\(job) images --class cat --scores whole.jsonl").status == 0)
    #expect(
      try shell(
        "mkdir to; head -3 whole.jsonl > to/s.jsonl.part; cp whole.jsonl.meta.json to/s.jsonl.part.meta.json; "
          + "ln -s to/s.jsonl s.jsonl; \(job) ./images/ --class 0 --scores s.jsonl --resume"
      ).status == 0)
    #expect(try bytes("to/s.jsonl") == bytes("whole.jsonl"))
    #expect(try bytes("s.jsonl.meta.json") == bytes("whole.jsonl.meta.json"))
    #expect(try names("to") == ["s.jsonl"])
    #expect(try shell("\(job) images --class frog --scores s.jsonl --resume").status == 1)
  }

  @Test("of many draws records come one by one, the same whatever the batch", .unsanitized("too slow"))
  func manyDraws() throws {
    defer { clean() }
    try train()
    for batch in [1, 7, 64, 400] {
      let job = try shell(
        "$GLOW evaluate run --data faces --limit 3 --importance-samples 100 --batch \(batch) --scores \(batch).jsonl"
      )
      #expect(job.status == 0, "\(job.error)")
      #expect(try bytes("\(batch).jsonl") == bytes("1.jsonl"), "\(batch)")
    }
    let job = try start(
      "evaluate run --data noise --limit 100000000 --threads 1 --importance-samples 1000 --scores s.jsonl")
    let lines = waits(for: "s.jsonl.part", lines: 1, of: job)
    #expect(lines >= 1 && lines < 32)
    job.send(SIGTERM)
    #expect(job.end() == 128 + SIGTERM)
    let untitled = try shell("$GLOW evaluate run --data faces --max-time 4s")
    #expect(
      untitled.status == 64 && untitled.error.contains("--max-time needs --scores"), "\(untitled.error)")
    let limited = try shell(
      "$GLOW evaluate run --data noise --limit 100000000 --max-time 1s --scores t.jsonl")
    #expect(limited.status == 128 + SIGALRM && limited.error.contains("go on with --resume"))
  }

  @Test("the first line says where the number of threads comes from")
  func threadsLine() throws {
    defer { clean() }
    try train()
    let score = "--limit 4 --dequantization none"
    for command in [
      "train --data faces --limit 8 --out new --overwrite \(Self.tiny.replacing("--threads 1", with: ""))",
      "evaluate run --data faces \(score)", "detect run --in faces --out noise \(score)",
      "sample run --count 1 --out s.png",
    ] {
      for (before, after, line) in [
        ("taskset -c 0", "", "1 thread (all that are granted)"),
        ("OMP_NUM_THREADS=1 taskset -c 0", "", "1 thread (OMP_NUM_THREADS)"),
        ("OMP_NUM_THREADS=1", "--threads 2", "2 threads (--threads)"),
      ] {
        let outcome = try shell("\(before) $GLOW \(command) \(after)")
        #expect(outcome.error.hasPrefix("\(line)\n"), "\(command): \(outcome.error)")
      }
    }
  }

  @Test(
    "a signal ends any long command soon, and nothing half written is left", .unsanitized("too slow"),
    arguments: [
      ("sample run --count 40000 --scale 1 --out to/s.png", SIGUSR1),
      ("decode run --latents z.npy --out to/images", SIGUSR2),
      ("encode run --data noise --limit 1000000 --out to/z.npy", SIGXCPU),
      ("attribute run --data faces --limit 1000000 --name Smiling --out to/a.npy", SIGHUP),
      ("sheet run --data faces --limit 1000000 --out to/sheet.png", SIGUSR1),
      ("bench evaluate --depth 1 --width 8 --runs 1000000", SIGXCPU),
      ("compare a.jsonl a.jsonl --resamples 1000000 --out to/c.png --data noise", SIGUSR2),
      ("detect run --in noise --out faces --limit 1000000 --scores to/new/d", SIGINT),
      ("detect run --in noise --limit 1000000 --reference to/r.json", SIGTERM),
    ] as [(String, Int32)])
  func endedCommands(line: String, signal: Int32) throws {
    defer { clean() }
    try train()
    try FileManager.default.createDirectory(atPath: "\(root)/to", withIntermediateDirectories: true)
    if line.hasPrefix("decode") {
      #expect(try shell("$GLOW encode run --data noise --limit 6000 --out z.npy").status == 0)
    }
    if line.hasPrefix("compare") {
      #expect(try shell("$GLOW evaluate run --data noise --limit 1000 --scores a.jsonl").status == 0)
    }
    let job = try start("\(line) --threads 1")
    #expect(job.waits(for: "1 thread ("))
    usleep(300_000)
    let sent = ContinuousClock.now
    job.send(signal)
    #expect(job.end() == 128 + signal && !job.wasKilled, "\(line): \(job.error)")
    #expect(sent.duration(to: .now) < .seconds(60))
    #expect(job.error.contains("interrupted by signal \(signal)"), "\(job.error)")
    #expect(try names("to") == [])
  }

  @Test("scoring that nohup has started goes on after SIGHUP; samples of their own files stay")
  func keptWork() throws {
    defer { clean() }
    try train()
    let job = try ChildProcess(
      "/bin/sh",
      ["-c", "trap '' HUP; exec \"$0\" \"$@\"", ChildProcess.glow]
        + "\(Self.endless) --scores s.jsonl".split(separator: " ").map(String.init), in: root)
    let lines = waits(for: "s.jsonl.part", lines: 1, of: job)
    job.send(SIGHUP)
    #expect(waits(for: "s.jsonl.part", lines: lines + 200, of: job) >= lines + 200)
    job.send(SIGTERM)
    #expect(job.end() == 128 + SIGTERM)
    let samples = try start("sample run --count 100000 --separate --out to/s.png --threads 1")
    #expect(samples.waits { (try? names("to"))?.isEmpty == false })
    samples.send(SIGTERM)
    #expect(
      samples.end() == 128 + SIGTERM && samples.error.contains("that are whole stay"), "\(samples.error)")
    let kept = try names("to")
    #expect(!kept.isEmpty && kept.allSatisfy { $0.hasPrefix("s-") })
    for name in kept { #expect(throws: Never.self) { try PNG.read("\(root)/to/\(name)") } }
  }

  @Test("what takes more than some seconds says how far it has come", .unsanitized("too slow"))
  func progress() throws {
    defer { clean() }
    try train()
    #expect(try shell("$GLOW evaluate run --data noise --limit 20 --scores a.jsonl").status == 0)
    let model = "--levels 3 --depth 8 --width 64 --batch 16 --threads 1 --steps 2"
    let jobs = [
      ("\(Self.endless) --scores s.jsonl", "of 100000000 images"),
      ("train --data faces --limit 20000 --out a --init-images 16 --eval-every 1 \(model)", "images scored"),
      ("train --data faces --limit 4000 --out b --init-images 4000 \(model)", "layers initialized"),
      ("attribute run --data noise --limit 1000000 --name Smiling --out a.npy", "has no attributes"),
      ("sheet run --data faces --limit 1000000 --out s.png --threads 1", "of 1000000 images"),
      ("detect run --in faces --out noise --train noise --limit 1000000 --threads 1", "of 1000000 images"),
      ("bench evaluate --depth 1 --width 8 --runs 1000000 --threads 1", "of 1000000 repetitions of evaluate"),
    ]
    let processes = try jobs.map { try (start($0.0), $0.1) }
    for (process, text) in processes {
      #expect(process.waits(for: text), "\(text): \(process.error)")
      process.send(SIGKILL)
      process.end()
    }
  }

  @Test("a pipe takes records whatever its name; of two formats of the log the last counts")
  func pipesAndFormats() throws {
    defer { clean() }
    try train()
    let job = try shell("$GLOW evaluate run --data faces --limit 3 --scores /dev/stdout | cat")
    #expect(job.output.split(separator: "\n").count { $0.hasPrefix("{\"index\":") } == 3, "\(job.error)")
    let line = "$GLOW evaluate none --data faces --quiet"
    #expect(try shell("\(line) --log-format=json --log-format=text").error.hasPrefix("Error: "))
    #expect(try shell("\(line) --log-format text --log-format json").error.hasPrefix("{"))
  }
}
