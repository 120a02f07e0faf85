import Foundation
import Glibc
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import GlowTestSupport
import Testing

extension Trait where Self == Requirement {
  /// The test starts several processes of the command.
  static var mpi: Requirement {
    .needs(
      "Tests of several processes", Ranks.areThere,
      lack: "no mpirun, or the command was built without Open MPI")
  }
}

/// What the tests of several processes share.
private enum Ranks {
  /// Open MPI refuses root, as whom containers run, and more processes than processors.
  static let prefix =
    "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1; "

  static let areThere: Bool = {
    let line = "\(prefix) command -v mpirun && mpirun -n 2 \(ChildProcess.glow) data --version"
    return (try? ChildProcess.run("/bin/bash", ["-c", line]))?.status == 0
  }()
}

/// The command in several processes: the bytes of one, and one end.
@Suite("Several processes", .serialized, .mpi, .unsanitized("Open MPI's library is not built for it"))
struct RankTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-ranks-\(UUID())").path

  init() throws { try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true) }

  private func clean() { try? FileManager.default.removeItem(atPath: root) }

  private func start(_ line: String) throws -> ChildProcess {
    try ChildProcess("/bin/bash", ["-c", "GLOW='\(ChildProcess.glow)'; \(Ranks.prefix) \(line)"], in: root)
  }

  @discardableResult
  private func shell(_ line: String, status: Int32 = 0) throws -> ChildProcess {
    let child = try start(line)
    child.end()
    #expect(child.status == status, "\(line): \(child.error)")
    return child
  }

  private func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: "\(root)/\(name)")) }

  private static let model = "--levels 2 --depth 2 --width 8 --threads 1 --init-images 8"
  /// Whose batch normalization has statistics of each part.
  private static let realNVP =
    "--architecture realnvp --scales 2 --blocks 1 --width 4 --flow-normalization batch --threads 1"

  private static let run = run(of: model)
  private static func run(of model: String) -> String {
    "train --data faces --limit 40 \(model) --batch 8 --micro-batch 1 --log-every 1 --sample-every 4"
  }

  /// The lines of `metrics.jsonl` without times.
  private func metrics(_ run: String) throws -> [[String: Double]] {
    try String(contentsOfFile: "\(root)/\(run)/metrics.jsonl", encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode([String: Double].self, from: Data($0.utf8))
        .filter { !["seconds", "images_per_second"].contains($0.key) }
    }
  }

  private func expectSame(_ run: String, as other: String, step: Int) throws {
    for file in [
      "model.safetensors", "best.safetensors", String(format: "checkpoint-%08d.safetensors", step),
    ] {
      #expect(try bytes("\(run)/\(file)") == bytes("\(other)/\(file)"), "\(run): \(file)")
    }
    #expect(try metrics(run) == metrics(other), "\(run)")
  }

  /// The process of a rank of a job that has started.
  private func process(_ rank: Int, of job: ChildProcess) throws -> Int32 {
    for _ in 0..<1000 {
      let found = try ChildProcess.run(
        "/bin/bash",
        [
          "-c",
          "for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/environ 2> /dev/null | grep -qx 'GLOW_TEST_JOB=\(job.identifier)' "
            + "&& tr '\\0' '\\n' < $p/environ | grep -qx OMPI_COMM_WORLD_RANK=\(rank) && basename $p && break; done",
        ])
      if let process = Int32(found.output.trimmingCharacters(in: .whitespacesAndNewlines)) { return process }
      usleep(20_000)
    }
    throw CancellationError()
  }

  /// Lines of the command itself: `mpirun` has some of its own about how a job ended.
  private func count(_ text: String, _ job: ChildProcess) -> Int {
    job.error.components(separatedBy: text).count - 1
  }

  @Test(
    "1, 2, 3 and 4 processes write the same model, checkpoints, metrics and samples; any number goes on",
    arguments: [model, realNVP])
  func sameBytes(model: String) throws {
    defer { clean() }
    let run = Self.run(of: model)
    let end = "--steps 6 --eval-every 3 --checkpoint-every 3"
    try shell("$GLOW \(run) \(end) --out one")
    for count in 1...4 {
      let job = try shell("mpirun -n \(count) $GLOW \(run) \(end) --out \(count)")
      #expect(
        self.count("model: \(count)/model.safetensors", job) == 0
          && job.output == "model: \(count)/model.safetensors\n")
      #expect(
        self.count("% into waiting for other processes", job) == (count > 1 ? 1 : 0), "\(job.error)")
      try expectSame("\(count)", as: "one", step: 6)
      #expect(try bytes("\(count)/samples/00000004.png") == bytes("one/samples/00000004.png"))
      #expect(
        try bytes("\(count)/checkpoint-00000003.safetensors") == bytes("one/checkpoint-00000003.safetensors"))
    }
    // Begun by four, gone on by others.
    try shell("mpirun -n 4 $GLOW \(run) --steps 3 --eval-every 3 --lr-schedule constant --out a")
    try shell("$GLOW \(run) --steps 6 --eval-every 3 --lr-schedule constant --out b")
    try shell("cp -r a c && $GLOW train --resume --out a --steps 6 --threads 2")
    try shell("mpirun -n 3 $GLOW train --resume --out c --steps 6 --threads 1")
    try expectSame("a", as: "b", step: 6)
    try expectSame("c", as: "b", step: 6)
  }

  @Test(
    "classes, recomputed activations, clipped gradients and parts that are not alike: the same bytes, too")
  func otherModels() throws {
    defer { clean() }
    for (place, options) in [
      "--conditional --data images", "--data faces --limit 20 --activations recompute --clip-norm 1",
      "--data faces --limit 20 --network residual --permutation invconv-lu --flip --ema 0",
      "--data faces --limit 20 --dequantization variational --depth 3 --width 600",
    ].enumerated() {
      for number in 0..<6 {
        let image = try FaceDataset(count: 1000, seed: 0, part: .train).image(number)
        let folder = "\(root)/images/\(number % 2 == 0 ? "a" : "b")"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(PNG.encode(image)).write(to: URL(filePath: "\(folder)/\(number).png"))
      }
      let line = "train \(options) \(Self.model) --batch 7 --micro-batch 2 --steps 4 --sample-every 0"
      try shell("$GLOW \(line) --out one\(place)")
      for count in [2, 4] {
        try shell("mpirun -n \(count) $GLOW \(line) --out \(count)-\(place)")
        #expect(
          try bytes("\(count)-\(place)/model.safetensors") == bytes("one\(place)/model.safetensors"),
          "\(options)")
      }
    }
  }

  @Test("guards skip steps and go back together", arguments: [(model, "0.3"), (realNVP, "3")])
  func guards(model: String, rate: String) throws {
    defer { clean() }
    let line =
      "train --data faces --limit 40 \(model) --batch 8 --micro-batch 2 --steps 40 --optimizer adam --lr \(rate) "
      + "--warmup-steps 0 --lr-schedule constant --sample-every 0 --log-every 1"
    let one = try shell("$GLOW \(line) --out one")
    #expect(one.error.contains("back to the state of step"), "\(one.error)")
    let two = try shell("mpirun -n 4 $GLOW \(line) --out four")
    #expect(count("back to the state of step", two) == count("back to the state of step", one))
    #expect(try bytes("four/model.safetensors") == bytes("one/model.safetensors"))
    #expect(
      try bytes("four/checkpoint-00000040.safetensors") == bytes("one/checkpoint-00000040.safetensors"))
  }

  /// A model with which an image whose values are all 0 has the latents 0, and any other one latents beyond a Float.
  private func writeFragileModel(to path: String) throws {
    var configuration = GlowConfiguration()
    (configuration.levels, configuration.depth, configuration.width) = (2, 3, 8)
    let glow = try Glow<Float>(configuration: configuration, seed: 0, team: ThreadTeam(count: 1))
    for entry in glow.parameters.entries where entry.name.hasSuffix(".actnorm.logs") {
      // Each step multiplies by 10⁷.
      for index in entry.range { glow.values.base[index] = Float(log(1e7) / 3) }
    }
    glow.isInitialized = true
    try glow.parametersChanged()
    try ModelFile.write(glow, to: path)
  }

  @Test("numbers of one process alone that are not finite: all skip the step, go back and end together")
  func notFiniteInOne() throws {
    defer { clean() }
    try writeFragileModel(to: "\(root)/fragile.safetensors")
    try FileManager.default.createDirectory(atPath: "\(root)/images", withIntermediateDirectories: true)
    for number in 10..<26 {
      // 128 stands for 0. The other image is of the second of two batches, in the last of four parts.
      let value: UInt8 = number == 24 ? 255 : 128
      let image = ByteImage(
        shape: ImageShape(height: 32, width: 32, channels: 3), pixels: Array(repeating: value, count: 3072))
      try Data(PNG.encode(image)).write(to: URL(filePath: "\(root)/images/\(number).png"))
    }
    let line =
      "train --data images --init-from fragile.safetensors --dequantization none --no-shuffle --batch 8 "
      + "--micro-batch 2 --steps 60 --lr 1e-12 --sample-every 0 --threads 1"
    /// What is done about each bad step, without what the first process finds in its own part.
    func responses(_ job: ChildProcess) -> [String] {
      job.error.split(separator: "\n").filter { $0.contains("is not finite") && $0.hasPrefix("step ") }
        .map { String($0).replacing(/\(.*\)/, with: "") }
    }
    let one = try shell("$GLOW \(line) --out one", status: 1)
    let expected = responses(one)
    #expect(
      expected.count == 11 && expected[0].hasSuffix("the step is skipped")
        && expected[1].contains("back to the state of step 0") && expected[10].hasSuffix("giving up"),
      "\(one.error)")
    for count in [2, 4] {
      let job = try shell("mpirun -n \(count) $GLOW \(line) --out \(count)", status: 1)
      #expect(responses(job) == expected, "\(job.error)")
      #expect(self.count("training cannot go on", job) == 1, "\(job.error)")
      #expect(try bytes("\(count)/model.safetensors") == bytes("one/model.safetensors"))
    }
  }

  @Test(
    "records and summaries of scores are those of one process, also where a job goes on",
    arguments: [model, realNVP])
  func scores(model: String) throws {
    defer { clean() }
    try shell("$GLOW \(Self.run(of: model)) --steps 1 --out run")
    let line = "evaluate run --data faces --limit 23 --batch 4 --threads 1"
    let one = try shell("$GLOW \(line) --scores one.jsonl")
    for count in 2...4 {
      let job = try shell("mpirun -n \(count) $GLOW \(line) --scores \(count).jsonl")
      #expect(try bytes("\(count).jsonl") == bytes("one.jsonl"))
      #expect(try bytes("\(count).jsonl.meta.json") == bytes("one.jsonl.meta.json"))
      #expect(job.output.split(separator: "\n").prefix(1) == one.output.split(separator: "\n").prefix(1))
    }
    try shell(
      "head -5 one.jsonl > part.jsonl.part; cp one.jsonl.meta.json part.jsonl.part.meta.json; "
        + "mpirun -n 2 $GLOW \(line) --scores part.jsonl --resume")
    #expect(try bytes("part.jsonl") == bytes("one.jsonl"))
  }

  @Test("samples, latents and what does not belong are those of one process", arguments: [model, realNVP])
  func otherCommands(model: String) throws {
    defer { clean() }
    try shell("$GLOW \(Self.run(of: model)) --steps 1 --out run")
    let lines = [
      "sample run --count 70 --out OUT.png", "sample run --count 3 --temperature 0.5,1 --out OUT-sheet.png",
      "sample run --count 5 --separate --out OUT/s.png",
      "encode run --data faces --limit 70 --out OUT.npy",
      "detect run --in faces --out noise --limit 70 --batch 8 --scores OUT-d --reference OUT.json",
      "detect run --images noise --reference one.json --limit 9 --batch 2 --scores OUT-j.jsonl",
    ]
    for (out, launcher) in [("one", ""), ("two", "mpirun -n 2"), ("three", "mpirun -n 3")] {
      for line in lines {
        try shell("\(launcher) $GLOW \(line.replacing("OUT", with: out)) --threads 1")
      }
      for file in [
        "OUT.png", "OUT-sheet.png", "OUT/s-0004.png", "OUT.npy", "OUT-d/in.jsonl", "OUT-d/out.jsonl",
        "OUT-d/out.jsonl.meta.json", "OUT-d/bits_per_dim.png", "OUT-j.jsonl", "OUT.json",
      ] {
        #expect(
          try bytes(file.replacing("OUT", with: out)) == bytes(file.replacing("OUT", with: "one")),
          "\(out): \(file)")
      }
    }
  }

  private static let endless = "\(run) --steps 100000000 --checkpoint-every 5"

  /// A run that has begun its steps.
  private func begin(_ count: Int, _ line: String = endless) throws -> ChildProcess {
    let job = try start("export GLOW_TEST_JOB=$$; exec mpirun -n \(count) $GLOW \(line) --out run")
    #expect(job.waits(for: "step 10/"), "\(job.error)")
    return job
  }

  /// A job ends soon.
  private func end(_ job: ChildProcess) -> Int32 {
    let start = ContinuousClock.now
    let status = job.end()
    #expect(start.duration(to: .now) < .seconds(30))
    return status
  }

  @Test("a signal to any process ends all, with one message and a checkpoint", arguments: [(2, 0), (4, 3)])
  func signal(count: Int, rank: Int) throws {
    defer { clean() }
    let job = try begin(count)
    kill(try process(rank, of: job), SIGTERM)
    #expect(end(job) == 128 + SIGTERM, "\(job.error)")
    #expect(self.count("interrupted at step", job) == 1, "\(job.error)")
    let again = try shell("$GLOW train --resume --out run --steps 1")
    #expect(again.error.contains("resumed at step"))
  }

  @Test("a process that is killed ends all; the last checkpoint is whole", arguments: [(2, 1), (4, 0)])
  func killed(count: Int, rank: Int) throws {
    defer { clean() }
    let job = try begin(count)
    kill(try process(rank, of: job), SIGKILL)
    #expect(end(job) != 0)
    #expect(self.count("exited on signal 9", job) == 1, "\(job.error)")
    let again = try shell("$GLOW train --resume --out run --steps 1")
    #expect(again.error.contains("resumed at step") && !again.error.contains("passed over"), "\(again.error)")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: "\(root)/run").allSatisfy { !$0.contains("tmp") })
  }

  @Test("an image that one process cannot read ends all, after the state before it has been saved")
  func unreadable() throws {
    defer { clean() }
    try FileManager.default.createDirectory(atPath: "\(root)/images", withIntermediateDirectories: true)
    for number in 0..<8 {
      let image = try FaceDataset(count: 1000, seed: 0, part: .train).image(number)
      try Data(PNG.encode(image)).write(to: URL(filePath: "\(root)/images/\(number).png"))
    }
    let job = try begin(4, Self.endless.replacing("--data faces --limit 40", with: "--data images"))
    try FileManager.default.removeItem(atPath: "\(root)/images/5.png")
    #expect(end(job) == 1, "\(job.error)")
    #expect(count("5.png", job) == 1 && count("saved at step", job) == 1, "\(job.error)")
  }

  @Test("a full disk ends all with the words of the system, once")
  func fullDisk() throws {
    defer { clean() }
    // Open MPI's own files, of shared memory, are larger: it goes without.
    let job = try start(
      "export GLOW; mpirun --mca btl self,tcp -n 2 bash -c 'ulimit -f 40; exec $GLOW \(Self.endless) --out run'"
    )
    #expect(end(job) == 1, "\(job.error)")
    #expect(count("File too large", job) == 1, "\(job.error)")
  }

  @Test(
    "what is not the same in all processes is refused by name",
    arguments: [
      (
        "export GLOW_KERNELS=$(test $OMPI_COMM_WORLD_RANK = 1 && echo openblas || echo packed); $GLOW RUN --data faces",
        "has other kernels"
      ),
      (
        "$GLOW RUN --data $(test $OMPI_COMM_WORLD_RANK = 1 && echo noise || echo faces)",
        "has other training images"
      ),
      ("$GLOW RUN --data faces --lr 0.00$((OMPI_COMM_WORLD_RANK + 1))", "has other settings"),
      ("$GLOW RUN --data faces --init-from $OMPI_COMM_WORLD_RANK", "has other weights"),
      ("$GLOW evaluate $OMPI_COMM_WORLD_RANK --data faces --limit 9", "has other model"),
    ])
  func different(line: String, message: String) throws {
    defer { clean() }
    for seed in 0..<2 where line.contains("init-from") || line.contains("evaluate") {
      try shell(
        "$GLOW train --data faces --limit 9 \(Self.model) --batch 4 --steps 1 --seed \(seed) --out \(seed)")
    }
    let run = "train --limit 9 \(Self.model) --batch 4 --steps 1 --out run"
    let job = try start(
      "export GLOW; mpirun -n 2 sh -c '\(line.replacing("RUN", with: run))'")
    #expect(end(job) == 1 && count(message, job) == 1, "\(job.error)")
    #expect(!FileManager.default.fileExists(atPath: "\(root)/run/config.json"))
  }

  @Test("what cannot be is said once, with the status of one process")
  func refused() throws {
    defer { clean() }
    let few = try start(
      "mpirun -n 4 $GLOW \(Self.run.replacing("micro-batch 1", with: "micro-batch 4")) --out run")
    #expect(end(few) == 1 && count("give --micro-batch 2 or less", few) == 1, "\(few.error)")
    let usage = try start("mpirun -n 3 $GLOW train --out run")
    #expect(end(usage) == 64 && count("Missing expected argument", usage) == 1, "\(usage.error)")
    let missing = try start("mpirun -n 3 $GLOW \(Self.run.replacing("faces", with: "nothing")) --out run")
    #expect(end(missing) == 1 && count("nothing: ", missing) == 1, "\(missing.error)")
    let alone = try start("mpirun -n 2 $GLOW inspect run")
    #expect(end(alone) == 1 && count("inspect is the work of one process", alone) == 1, "\(alone.error)")
    // Only one of them fails, before the others hear of anything.
    let one = try start(
      "export GLOW; mpirun -n 2 sh -c '$GLOW \(Self.run) --out run --limit $((40 * (1 - OMPI_COMM_WORLD_RANK)))'"
    )
    #expect(end(one) != 0 && count("--limit must be", one) == 1, "\(one.error)")
  }
}
