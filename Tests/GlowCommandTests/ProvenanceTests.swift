import Foundation
import GlowTestSupport
import Testing

/// What scores say of where they come from, and what is made of it.
extension CommandTests {
  private func object(_ data: Data) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  private static let keys: Set = [
    "version", "model_sha256", "data_sha256", "kernels", "bits", "dequantization", "seed",
    "importance_samples",
    "image_options", "images", "skipped", "on_error", "data",
  ]

  @Test("every summary and every file of scores says all that its numbers depend on")
  func completeProvenance() throws {
    defer { clean() }
    try train()
    let options = "--limit 4 --crop 24 --seed 3"
    let plain = try shell("$GLOW evaluate run --data faces --json \(options)")
    let kept = try shell("$GLOW evaluate run --data faces --json \(options) --scores s.csv")
    let (summary, other) = (try object(Data(plain.output.utf8)), try object(Data(kept.output.utf8)))
    #expect(Self.keys.isSubset(of: summary.keys), "\(plain.output)")
    #expect(try "\(#require(summary["data_sha256"]))" == "\(#require(other["data_sha256"]))")
    #expect(
      (summary["image_options"] as? [String: Any])?["crop"] as? Int == 24 && summary["bits"] as? Int == 8)
    let text = try shell("$GLOW evaluate run --data faces --shard 1/2 \(options)")
    for option in ["seed 3", "--limit 4", "--crop 24", "--shard 1/2", "of the images "] {
      #expect(text.output.contains(option), "\(option): \(text.output)")
    }
    let job = try shell(
      "$GLOW detect run --in faces --out noise \(options) --scores d --reference r.json --json")
    let detection = try object(Data(job.output.utf8))
    for (name, key) in [("in", "in"), ("out", "out")] {
      let side = try #require(detection[key] as? [String: Any])
      let meta = try object(bytes("d/\(name).jsonl.meta.json"))
      #expect(Self.keys.isSubset(of: side.keys) && Self.keys.isSubset(of: meta.keys), "\(job.output)")
      #expect(meta["compressor"] as? String == "png" && meta["mean_training_bits_per_dim"] is Double)
    }
    let judging = "$GLOW detect run --images faces --reference r.json --fpr 0.5 \(options)"
    let judged = try shell("\(judging) --json --scores v.jsonl")
    #expect(try Self.keys.isSubset(of: object(Data(judged.output.utf8)).keys), "\(judged.error)")
    let judgment = try #require(try object(bytes("v.jsonl.meta.json"))["judgment"] as? [String: Any])
    #expect(judgment["false_positive_rate"] as? Double == 0.5 && judgment["reference"] as? String == "r.json")
    #expect(judgment["reference_data_sha256"] is String)
    #expect(try shell(judging).output.contains("--crop 24"))
  }

  @Test("a reference fits only what is done to images as it was; no other file is replaced by one")
  func referenceFits() throws {
    defer { clean() }
    try train()
    let keeping = "$GLOW detect run --in faces --limit 8 --crop 24 --reference"
    #expect(try shell("\(keeping) r.json && \(keeping) r.json").status == 0)
    let judging = "$GLOW detect run --images faces --limit 3 --by bits_per_dim --reference r.json"
    let other = try shell("\(judging) --fpr 0.2")
    #expect(other.status == 1 && other.error.contains("--crop was 24, is now none"), "\(other.error)")
    let same = try shell("\(judging) --crop 24 --fpr 0.2")
    #expect(same.status == 0 && !same.error.contains("warning"), "\(same.error)")
    #expect(try shell("\(judging) --crop 24 --fpr 0.1").error.contains("no p-value is below 0.11"))
    // As earlier versions wrote it.
    var fields = try object(bytes("r.json"))
    fields["provenance"] = nil
    try write("r.json", Array(JSONSerialization.data(withJSONObject: fields)))
    let old = try shell("\(judging) --fpr 0.2")
    #expect(old.status == 0 && old.error.contains("r.json does not say by which version"), "\(old.error)")
    try write("mine.json", Array("{\"my\":\"settings\"}".utf8))
    let mine = try shell("\(keeping) mine.json")
    #expect(mine.status == 1 && mine.error.contains("holds something else"), "\(mine.error)")
    #expect(try bytes("mine.json") == Data("{\"my\":\"settings\"}".utf8))
    try write("s.jsonl.meta.json", Array("{\n}".utf8))
    #expect(try shell("$GLOW evaluate run --data faces --limit 3 --scores s.jsonl").status == 1)
  }

  @Test("images without classes: encode takes one for all, a reference of own classes says what to do")
  func withoutClasses() throws {
    defer { clean() }
    try writeImages("images", ["cat", "frog"])
    try writeImages("more", ["cat", "dog"])
    let trained = try shell("$GLOW train --data images --out run --conditional \(Self.tiny)")
    #expect(trained.status == 0, "\(trained.error)")
    #expect(try shell("$GLOW encode run --data noise --limit 2 --out z.npy").status == 1)
    for (name, more) in [("z", "--class frog"), ("y", "--class 1")] {
      #expect(try shell("$GLOW encode run --data noise --limit 2 --out \(name).npy \(more)").status == 0)
    }
    #expect(try bytes("z.npy") == bytes("y.npy"))
    let strip = try shell("$GLOW reconstruct run --data noise --limit 2 --out r.png --class cat")
    #expect(strip.status == 0 && strip.output.contains("2 of 2"), "\(strip.output) \(strip.error)")
    #expect(try shell("$GLOW detect run --in images --reference own.json").status == 0)
    let own = try shell("$GLOW detect run --images noise --limit 2 --reference own.json")
    #expect(
      own.status == 1 && own.error.contains("one made with --class marginal judges others"), "\(own.error)")
    #expect(try shell("$GLOW detect run --in images --reference cat.json --class cat").status == 0)
    let cat = try shell("$GLOW detect run --images noise --limit 2 --reference cat.json --class 0")
    #expect(cat.status == 0, "\(cat.error)")
    let best = try shell("$GLOW evaluate run --data more --class best")
    #expect(best.output.contains("of the 4 images whose class the model knows"), "\(best.output)")
  }

  @Test("models that were not scored alike are compared with a note")
  func comparedOtherwise() throws {
    defer { clean() }
    try train()
    let score = "$GLOW evaluate run --data faces --limit 4 --scores"
    #expect(try shell("\(score) a.jsonl && \(score) b.jsonl --seed 1 && \(score) c.csv").status == 0)
    let other = try shell("$GLOW compare a.jsonl b.jsonl")
    #expect(other.status == 0 && other.error.contains("seed was 0, is now 1"), "\(other.error)")
    #expect(try !shell("$GLOW compare a.jsonl c.csv").error.contains("was not scored"))
  }
}
