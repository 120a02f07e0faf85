import Foundation
import GlowTestSupport
import Testing

@Suite("A learned dequantization through the command")
struct VariationalCommandTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-noise-\(UUID())").path

  init() throws { try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true) }

  private func glow(_ line: String) throws -> ChildProcess {
    let child = try ChildProcess.run(
      ChildProcess.glow, line.split(separator: " ").map { String($0) }, in: root)
    #expect(!child.wasKilled, "\(line) crashed")
    return child
  }

  private func expectDone(_ line: String) throws {
    let outcome = try glow(line)
    #expect(outcome.status == 0, "\(line): \(outcome.error)")
  }

  @Test("the speed of a model is measured with its dequantizer, which takes time")
  func speed() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let line = "bench train --levels 1 --depth 1 --width 8 --image-size 8 --batch 2 --runs 1 --json"
    #expect(try !glow(line).output.contains("dequantizer_width"))
    let bench = try glow("\(line) --dequantizer-width 6")
    #expect(
      bench.status == 0 && bench.output.contains(#""dequantizer_width":6,"#), "\(bench.output)\(bench.error)")
    for (options, reason) in [
      ("--dequantizer-width=-1", "the dequantizer's width must be 1 to 16384"),
      ("--dequantizer-width 6 --architecture realnvp", "no dequantizer"),
    ] {
      let outcome = try glow("bench train \(options)")
      #expect(outcome.status != 0 && outcome.error.contains(reason), "\(outcome.error)")
    }
  }

  @Test("training, resuming and every command that takes the model")
  func commands() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let data = "--data faces --limit 32"
    let model = "--levels 2 --depth 1 --width 8 --dequantization variational --dequantizer-width 6"
    try expectDone("train \(data) --out run \(model) --batch 8 --steps 4 --sample-every 2 --eval-every 2")
    try expectDone("train --out run --steps 6 --resume")
    let configuration = try String(contentsOfFile: "\(root)/run/config.json", encoding: .utf8)
    #expect(configuration.contains("variational"))
    let inspection = try glow("inspect run --entries").output
    #expect(
      inspection.contains("dequantizerWidth: 6") && inspection.contains("dequantizer.coupling.conv1.weight"))
    for line in [
      "evaluate run \(data) --scores scores.jsonl --batch 8 --importance-samples 3",
      "evaluate run \(data) --scores scores.csv",
      "evaluate run \(data) --scores part.csv --shard 1/2 --resume",
      "compare scores.csv scores.csv", "sample run --out samples.png --count 4",
      "encode run \(data) --out latents.npy", "decode run --latents latents.npy --out decoded",
      "encode run \(data) --out noisy.npy --dequantization variational",
      "reconstruct run \(data) --out reconstruction.png",
      "detect run --in faces --out noise --scores detection --limit 16",
      "train \(data) --out more --init-from run --batch 8 --steps 1",
    ] { try expectDone(line) }
    let records = try String(contentsOfFile: "\(root)/scores.jsonl", encoding: .utf8)
    #expect(records.contains("\"dequantizer\":"))
    func bits(_ options: String) throws -> Substring? {
      try glow("evaluate run \(data) --json \(options)").output.firstMatch(of: /"bits_per_dim":([0-9.]+)/)?
        .output.1
    }
    let own = try bits("")
    #expect(try own != nil && bits("--dequantization variational --batch 3") == own)
    #expect(try bits("--dequantization uniform") != own)
    // What was scored before is taken up.
    try expectDone("evaluate run \(data) --scores scores.csv --resume")
  }

  @Test(
    "what does not go together is refused in one line",
    arguments: [
      ("--dequantizer-width 8", "--dequantizer-width is of --dequantization variational"),
      ("--dequantization variational --dequantizer-width 0", "--dequantizer-width must be 1 to 16384, not 0"),
      ("--architecture realnvp --dequantization variational", "a RealNVP has uniform noise"),
      ("--dequantization gaussian", "gaussian"),
    ])
  func refused(options: String, message: String) throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let outcome = try glow("train --data faces --limit 8 --steps 1 --out run \(options)")
    #expect(outcome.status != 0 && outcome.error.contains(message), "\(outcome.error)")
  }

  @Test("a model of uniform noise has no other, and one of learned noise is for no other implementation")
  func otherModels() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let model = "--levels 2 --depth 1 --width 8 --batch 8 --steps 1"
    try expectDone("train --data faces --limit 16 --out uniform \(model)")
    let evaluation = try glow("evaluate uniform --data faces --limit 8 --dequantization variational")
    #expect(evaluation.status != 0 && evaluation.error.contains("has no dequantizer"), "\(evaluation.error)")
    #expect(evaluation.messages.count == 1, "\(evaluation.error)")
    let resumed = try glow("train --out uniform --resume --steps 2 --dequantization variational")
    #expect(
      resumed.status != 0 && resumed.error.contains("--dequantizer-width is 0, asked for 64"),
      "\(resumed.error)")
    try expectDone("train --data faces --limit 16 --out learned \(model) --dequantization variational")
    let export = try glow("export learned --to openai --out there.safetensors")
    #expect(export.status != 0 && export.error.contains("has a dequantizer"), "\(export.error)")
    let changed = try glow("train --out learned --resume --steps 2 --dequantization uniform")
    #expect(changed.status != 0 && changed.error.contains("has a dequantizer"), "\(changed.error)")
  }
}
