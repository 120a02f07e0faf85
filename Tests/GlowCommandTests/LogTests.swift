import Foundation
import Testing

/// What commands say besides their answers.
extension CommandTests {
  private static let shortRun = [
    "--data", "faces", "--limit", "16", "--levels", "1", "--depth", "1", "--width", "8", "--batch", "4",
    "--init-images", "4", "--steps", "4", "--log-every", "1", "--eval-every", "4",
  ]

  private func objects(_ text: String) throws -> [[String: Any]] {
    try text.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  @Test("--log-format json: one object a line, whatever is said; --quiet: only warnings and errors")
  func logs() throws {
    defer { clean() }
    let training = try glow(list: ["train", "--out", "run", "--log-format", "json"] + Self.shortRun)
    #expect(training.status == 0)
    let lines = try objects(training.error)
    #expect(lines.allSatisfy { $0["message"] is String && $0["time"] is String })
    let steps = lines.filter { $0["level"] as? String == "progress" }
    #expect(steps.compactMap { ($0["progress"] as? [String: Any])?["done"] as? Int } == [1, 2, 3, 4])
    #expect(lines.contains { ($0["message"] as? String)?.contains("actnorms initialized") == true })
    let quiet = try glow(list: ["train", "--out", "quiet", "--quiet"] + Self.shortRun)
    #expect(
      quiet.status == 0 && quiet.error.isEmpty && quiet.output.contains("model: quiet"), "\(quiet.error)")
    for (arguments, status) in [
      (["evaluate", "none", "--data", "faces"], 1), (["evaluate", "--data", "faces"], 64),
      (["evaluate", "run", "--data", "faces", "--nope"], 64), (["evaluat"], 64),
      (["evaluate", "run", "--data", "faces", "--shard", "3/2"], 64), (["train", "--out", "x"], 64),
      (["evaluate", "run", "--data", "faces", "--seed", "-1"], 64),
    ] as [([String], Int32)] {
      let text = try glow(list: arguments + ["--quiet"])
      #expect(text.status == status && text.error.split(separator: "\n").count == 1, "\(text.error)")
      #expect(text.error.hasPrefix("Error: "))
      let json = try glow(list: arguments + ["--log-format=json"])
      #expect(json.status == status)
      let found = try objects(json.error).filter { $0["level"] as? String != "note" }
      #expect(found.map { $0["level"] as? String } == ["error"], "\(json.error)")
    }
    #expect(try glow("evaluate", "run", "--data", "faces", "--log-format", "xml").status == 64)
    let skipping = try glow(
      "sample", "run", "--out", "s.png", "--count", "1", "--quiet", "--threads", "1000", "--log-format",
      "json")
    #expect(skipping.status == 0 && skipping.error.isEmpty)
  }

  @Test("any checkpoint is scored, sampled and inspected, with averaged or raw weights")
  func checkpoints() throws {
    defer { clean() }
    #expect(
      try glow(list: ["train", "--out", "run", "--checkpoint-every", "2", "--lr", "0.05"] + Self.shortRun)
        .status
        == 0)
    func bits(_ model: String, _ more: String...) throws -> Double {
      let job = try glow(
        list: ["evaluate", model, "--data", "faces", "--limit", "16", "--json"] + more)
      #expect(job.status == 0, "\(job.error)")
      return try #require(
        (try JSONSerialization.jsonObject(with: Data(job.output.utf8)) as? [String: Any])?["bits_per_dim"]
          as? Double)
    }
    let (newest, older) = ("run/checkpoint-00000004.safetensors", "run/checkpoint-00000002.safetensors")
    let averaged = try bits("run")
    #expect(try bits(newest) == averaged && bits(newest, "--weights", "averaged") == averaged)
    let raw = try bits(newest, "--weights", "raw")
    #expect(try raw != averaged && bits("run", "--weights", "raw") == raw)
    #expect(try bits(older) != averaged)
    let metrics = try objects(try String(contentsOfFile: "\(root)/run/metrics.jsonl", encoding: .utf8))
    let evaluation = try #require(metrics.last)
    #expect(evaluation["test_bits_per_dim"] as? Double == averaged)
    #expect(evaluation["test_bits_per_dim_raw"] as? Double == raw)
    let error = try #require(evaluation["inverse_error"] as? Double)
    #expect(error >= 0 && error < 0.5 / 256)
    #expect(try glow("sample", newest, "--out", "s.png", "--count", "1", "--weights", "raw").status == 0)
    let inspection = try glow("inspect", newest)
    #expect(
      inspection.output.contains("glow.weights: averaged") && inspection.output.contains("glow.step: 4"))
    let single = try glow("inspect", "run/model.safetensors", "--weights", "raw")
    #expect(single.status == 1 && single.error.contains("holds one set of weights"), "\(single.error)")
    for name in ["checkpoint-00000004.safetensors", "checkpoint-00000002.safetensors"] {
      try FileManager.default.removeItem(atPath: "\(root)/run/\(name)")
    }
    let none = try glow("inspect", "run", "--weights", "raw")
    #expect(none.status == 1 && none.error.contains("has no checkpoint"), "\(none.error)")
    #expect(
      try glow(list: ["train", "--out", "plain", "--ema", "0"] + Self.shortRun).status == 0)
    let plain = "plain/checkpoint-00000004.safetensors"
    #expect(try bits(plain) == bits("plain") && bits(plain, "--weights", "raw") == bits("plain"))
    #expect(try glow("inspect", plain, "--weights", "averaged").status == 1)
  }
}
