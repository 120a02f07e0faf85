import Foundation
import GlowImages
import GlowTestSupport
import Testing

/// Long scoring jobs: ended and gone on with, shared out, and what their files say of them.
@Suite("Scoring jobs")
struct ScoringJobTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-jobs-\(UUID())").path

  init() throws { try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true) }

  private func clean() { try? FileManager.default.removeItem(atPath: root) }

  private func start(_ arguments: [String]) throws -> ChildProcess {
    try ChildProcess(ChildProcess.glow, arguments, in: root)
  }

  @discardableResult
  private func glow(_ arguments: String..., fails status: Int32 = 0) throws -> ChildProcess {
    let job = try start(arguments)
    #expect(job.end() == status && !job.wasKilled, "\(arguments): \(job.error)")
    return job
  }

  private func train(_ more: String...) throws {
    let job = try start(
      ["train", "--data", "faces", "--limit", "64", "--out", "run", "--levels", "1", "--depth", "1"]
        + ["--width", "8", "--batch", "4", "--init-images", "4", "--steps", "2"] + more)
    #expect(job.end() == 0, "\(job.error)")
  }

  private func text(_ name: String) throws -> String {
    try String(contentsOfFile: "\(root)/\(name)", encoding: .utf8)
  }

  private func files() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: root).sorted()
  }

  private func object(_ text: some StringProtocol) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test(
    "an importance-sampled job killed at 20 instants goes on to the bytes of the whole",
    .unsanitized("too slow"), arguments: ["jsonl", "csv"])
  func killed(format: String) throws {
    defer { clean() }
    try train()
    let count = 60
    let job = [
      "evaluate", "run", "--data", "faces", "--limit", "\(count)", "--importance-samples", "100", "--batch",
      "2",
      "--threads", "1", "--json",
    ]
    let whole = try start(job + ["--scores", "whole.\(format)"])
    #expect(whole.end() == 0, "\(whole.error)")
    var kills = 0
    let part = "\(root)/parts.\(format).part"
    func lines() -> Int { (try? Data(contentsOf: URL(filePath: part)))?.count { $0 == 10 } ?? 0 }
    for instant in 0..<20 {
      let process = try start(job + ["--scores", "parts.\(format)", "--resume"])
      // At some records, in the midst of a batch, or at the very start.
      while process.isRunning && lines() < 3 * instant { usleep(500) }
      process.send(instant % 2 == 0 ? SIGTERM : SIGKILL)
      let status = process.end()
      if status == 0 { break }
      kills += 1
      #expect(status == (instant % 2 == 0 ? 128 + SIGTERM : SIGKILL), "\(process.error)")
      if instant % 3 == 0, let file = FileHandle(forWritingAtPath: part) {
        // As a process leaves it that is killed in the midst of a record.
        try file.seekToEnd()
        try file.write(contentsOf: Data("{\"index\":".utf8))
        try file.close()
      }
    }
    // How many depends on how fast the machine is.
    #expect(kills >= 3)
    let last = try start(job + ["--scores", "parts.\(format)", "--resume"])
    #expect(last.end() == 0, "\(last.error)")
    #expect(try text("parts.\(format)") == text("whole.\(format)"))
    #expect(try text("parts.\(format).meta.json") == text("whole.\(format).meta.json"))
    #expect(try !files().contains { $0.contains(".part") })
    for key in ["bits_per_dim", "standard_error", "bits_per_dim_first_draw", "data_sha256"] {
      let (one, other) = (try object(whole.output)[key], try object(last.output)[key])
      #expect("\(one ?? 0)" == "\(other ?? 1)")
    }
    // What is done is only told again.
    let again = try start(job + ["--scores", "parts.\(format)", "--resume"])
    #expect(
      again.end() == 0 && again.error.contains("\(count) records of \(count) are there"), "\(again.error)")
    let bounds = try #require(try object(whole.output)["convergence"] as? [[String: Any]])
    #expect(bounds.map { $0["draws"] as? Int } == [1, 2, 4, 8, 16, 32, 64, 100])
    #expect(bounds.last?["bits_per_dim"] as? Double == (try object(whole.output)["bits_per_dim"] as? Double))
  }

  @Test("a job goes on only as it was", .unsanitized("too slow"))
  func otherJobs() throws {
    defer { clean() }
    try train()
    try glow("data", "faces", "--limit", "6", "--split", "test", "--export", "images")
    try glow("evaluate", "run", "--data", "images", "--scores", "whole.jsonl")
    let lines = try text("whole.jsonl").split(separator: "\n").map { String($0) + "\n" }
    let meta = try text("whole.jsonl.meta.json")
    func part(_ text: String) throws {
      try Data(text.utf8).write(to: URL(filePath: "\(root)/s.jsonl.part"))
      try Data(meta.utf8).write(to: URL(filePath: "\(root)/s.jsonl.part.meta.json"))
    }
    let job = ["evaluate", "run", "--data", "images", "--scores", "s.jsonl"]
    func outcome(_ more: String...) throws -> (status: Int32, error: String) {
      let process = try start(job + more)
      return (process.end(), process.messages.joined())
    }
    try part(lines[..<3].joined())
    #expect(
      try outcome() == (
        1,
        "Error: s.jsonl.part: holds the records of a job that has not ended: go on with --resume, or remove it"
      ))
    let other = try outcome("--resume", "--seed", "1")
    #expect(
      other.status == 1 && other.error.contains("is of another job: seed was 0, is now 1"), "\(other.error)")
    try part(lines[0] + lines[2])
    let skipping = try outcome("--resume")
    #expect(
      skipping.status == 1 && skipping.error.contains("is not the image that record 1 is of"),
      "\(skipping.error)")
    try part(lines[0] + lines[1].replacing("bits_per_dim\":", with: "bits_per_dim\":1"))
    let damaged = try outcome("--resume")
    #expect(
      damaged.status == 1 && damaged.error.contains("record 2 is not one that this job writes"),
      "\(damaged.error)")
    try part(lines[0] + "[]\n")
    #expect(try outcome("--resume").error.contains("record 2 is not one of scores"))
    try part(lines[..<3].joined())
    #expect(try outcome("--resume").status == 0)
    #expect(try text("s.jsonl") == lines.joined() && text("s.jsonl.meta.json") == meta)
    try glow("evaluate", "run", "--data", "images", "--resume", fails: 64)
    // Another image under the name of the first.
    try part(lines[..<3].joined())
    try FileManager.default.removeItem(atPath: "\(root)/images/000001.png")
    try FileManager.default.copyItem(atPath: "\(root)/images/000002.png", toPath: "\(root)/images/000001.png")
    #expect(try outcome("--resume").error.contains("is not the image that record 0 is of"))
  }

  @Test(
    "the files of the shards, scored at the same time, are the whole one", .unsanitized("too slow"),
    arguments: ["jsonl", "csv"])
  func shards(format: String) throws {
    defer { clean() }
    try train()
    let job = ["evaluate", "run", "--data", "faces", "--limit", "14", "--importance-samples", "3"]
    #expect(try start(job + ["--scores", "whole.\(format)"]).end() == 0)
    let processes = try (1...4).map { shard in
      try start(job + ["--scores", "\(shard).\(format)", "--shard", "\(shard)/4"])
    }
    for process in processes { #expect(process.end() == 0, "\(process.error)") }
    let joined = try (1...4).map { try text("\($0).\(format)") }.joined()
    #expect(try joined == text("whole.\(format)"))
    #expect(try object(text("2.\(format).meta.json"))["shard"] as? String == "2/4")
    let again = try start(job + ["--scores", "2.\(format)", "--shard", "2/4", "--resume"])
    #expect(again.end() == 0 && again.error.contains("are there already"), "\(again.error)")
    let other = try start(job + ["--scores", "2.\(format)", "--shard", "3/4"])
    #expect(other.end() == 1 && other.error.contains("holds shard 2/4"), "\(other.error)")
    if format == "csv" {
      let headless = try start(["compare", "whole.csv", "2.csv"])
      #expect(headless.end() == 1 && headless.error.contains("has no line of names"), "\(headless.error)")
    }
    for (shard, status) in [("0/4", 64), ("5/4", 64), ("1", 64), ("1/15", 1)] as [(String, Int32)] {
      #expect(try start(job + ["--shard", shard]).end() == status, "\(shard)")
    }
  }

  @Test(
    "where scores come from stands beside them and in the summary", .unsanitized("too slow"))
  func provenance() throws {
    defer { clean() }
    try train()
    let job = try glow("evaluate", "run", "--data", "faces", "--limit", "3", "--scores", "s.csv", "--json")
    let (summary, meta) = (try object(job.output), try object(text("s.csv.meta.json")))
    for key in ["model_sha256", "data_sha256", "version", "kernels", "seed", "dequantization"] {
      #expect(try "\(#require(summary[key]))" == "\(#require(meta[key]))")
    }
    #expect(meta["images"] as? Int == 3 && meta["bits"] as? Int == 8 && meta["skipped"] as? Int == 0)
    #expect((meta["image_options"] as? [String: Any])?["limit"] as? Int == 3)
    // By Python: of the raw bytes of one image, and of the digests one after the other.
    let digests = try text("s.csv").split(separator: "\n").dropFirst().map { $0.split(separator: ",")[2] }
    #expect(digests.allSatisfy { $0.count == 64 } && Set(digests).count == 3)
    let longer = try glow("evaluate", "run", "--data", "faces", "--limit", "4", "--scores", "t.csv", "--json")
    #expect(try object(longer.output)["data_sha256"] as? String != summary["data_sha256"] as? String)
    #expect(try object(longer.output)["model_sha256"] as? String == summary["model_sha256"] as? String)
    try train("--overwrite", "--seed", "1")
    let other = try glow("evaluate", "run", "--data", "faces", "--limit", "3", "--scores", "s.csv", "--json")
    #expect(try object(other.output)["data_sha256"] as? String == summary["data_sha256"] as? String)
    #expect(try object(other.output)["model_sha256"] as? String != summary["model_sha256"] as? String)
  }

  @Test(
    "new images are judged one by one against the scores of known ones",
    .unsanitized("too slow"))
  func judged() throws {
    defer { clean() }
    try train()
    let known = ["--limit", "40", "--compressor", "webp"]
    let keeping = try start(["detect", "run", "--in", "faces", "--reference", "r.json"] + known)
    #expect(keeping.end() == 0 && keeping.output.contains("webp"), "\(keeping.error)")
    let again = try start(["detect", "run", "--in", "faces", "--reference", "r.json", "--json"] + known)
    #expect(again.end() == 0, "\(again.error)")
    #expect(
      try object(again.output)["reference"] as? String == "r.json"
        && object(again.output)["images"] as? Int == 40)
    for option in [["--fpr", "0.1"], ["--by", "typicality"]] {
      let idle = try start(["detect", "run", "--in", "faces", "--reference", "r.json"] + known + option)
      #expect(idle.end() != 0 && idle.error.contains("\(option[0]) is for --images"), "\(idle.error)")
    }
    let judging = [
      "detect", "run", "--reference", "r.json", "--compressor", "webp", "--fpr", "0.1", "--by",
      "bits_per_dim",
      "--limit", "12",
    ]
    let job = try start(judging + ["--images", "noise", "--scores", "s.jsonl", "--json"])
    #expect(job.end() == 0, "\(job.error)")
    #expect(
      try object(job.output)["foreign"] as? Int == 12 && object(job.output)["known_images"] as? Int == 40)
    let records = try text("s.jsonl").split(separator: "\n").map(object)
    #expect(records.count == 12 && records.allSatisfy { $0["verdict"] as? String == "foreign" })
    // One more than the known images that score as high, of 41; and no more than the rate asked for.
    for record in records {
      let value = try #require(record["p_value"] as? Double)
      #expect(
        abs(41 * value - (41 * value).rounded()) < 1e-9 && value >= 1.0 / 41 && value <= 0.1, "\(value)")
    }
    let same = try start(judging + ["--images", "faces", "--scores", "s.csv"])
    #expect(same.end() == 0 && same.output.contains("of 12 images are foreign"), "\(same.error)")
    let verdicts = try text("s.csv").split(separator: "\n").dropFirst().count { $0.contains(",foreign,") }
    #expect(same.output.hasPrefix("\(verdicts) of 12"))
    for (change, reason) in [
      (["--seed", "1"], "--seed was 0, is now 1"),
      (["--compressor", "png"], "--compressor was webp, is now png"),
    ] {
      let other = try start(judging + ["--images", "faces"] + change)
      #expect(other.end() == 1 && other.error.contains(reason), "\(other.error)")
    }
    #expect(try start(["detect", "run", "--images", "faces"]).end() == 64)
    #expect(try start(["detect", "run", "--in", "faces"]).end() == 64)
  }

  @Test("two models' scores of the same images are compared", .unsanitized("too slow"))
  func compared() throws {
    defer { clean() }
    try train()
    try glow("data", "faces", "--limit", "12", "--split", "test", "--export", "images")
    try glow("evaluate", "run", "--data", "images", "--scores", "a.jsonl")
    try train("--overwrite", "--steps", "12", "--lr", "0.01", "--warmup-epochs", "0", "--ema", "0")
    try glow("evaluate", "run", "--data", "faces", "--limit", "11", "--scores", "b.csv")
    let job = try glow("compare", "a.jsonl", "b.csv", "--json")
    let result = try object(job.output)
    #expect(result["images"] as? Int == 11 && result["only_in_first"] as? Int == 1)
    let interval = try #require(result["interval95"] as? [Double])
    let mean = try #require(result["difference"] as? Double)
    #expect(interval[0] <= mean && mean <= interval[1] && mean < 0 && result["improved"] as? Double == 1)
    let sheet = try glow(
      "compare", "a.jsonl", "b.csv", "--data", "images", "--out", "sheet.png", "--count", "3")
    #expect(sheet.output.contains("95 % interval"))
    #expect(try PNG.read("\(root)/sheet.png").shape.channels == 3)
    try train("--overwrite", "--bits", "5")
    try glow("evaluate", "run", "--data", "images", "--scores", "c.jsonl")
    let bits = try glow("compare", "a.jsonl", "c.jsonl", fails: 1)
    #expect(bits.error.contains("8 bits") && bits.error.contains("of 5"), "\(bits.error)")
    try glow("compare", "a.jsonl", "c.jsonl", "--any-bits")
    try glow("evaluate", "run", "--data", "noise", "--limit", "2", "--scores", "d.jsonl")
    #expect(try glow("compare", "c.jsonl", "d.jsonl", fails: 1).error.contains("no image in common"))
  }
}
