import Foundation
import GlowTestSupport
import Testing

@Suite("A RealNVP through the command")
struct RealNVPCommandTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-realnvp-\(UUID())").path

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

  @Test("every command that works for a Glow works for it")
  func commands() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let model = "--architecture realnvp --scales 2 --blocks 1 --width 4"
    let data = "--data faces --limit 32"
    try expectDone("train \(data) --out run \(model) --batch 8 --steps 4 --sample-every 2 --eval-every 2")
    try expectDone("train \(data) --out run --batch 8 --steps 6 --resume")
    let inspection = try glow("inspect run")
    #expect(
      inspection.output.contains("architecture: realnvp") && !inspection.output.contains("ln |det W|"),
      "\(inspection.output)")
    for line in [
      "evaluate run \(data) --scores scores.jsonl --batch 8", "sample run --out samples.png --count 4",
      "encode run \(data) --out latents.npy", "decode run --latents latents.npy --out decoded",
      "reconstruct run \(data) --out reconstruction.png", "plot run --out curves.png",
      "export run --to realnvp --out there.safetensors",
      "import there.safetensors --from realnvp --out back.safetensors",
      "evaluate back.safetensors \(data) --batch 5",
      "detect run --in faces --out noise --scores detection --limit 16",
    ] { try expectDone(line) }
    let one = try glow("evaluate run \(data) --batch 5 --json").output
    let other = try glow("evaluate back.safetensors \(data) --batch 32 --json").output
    let bits = [one, other].map { $0.firstMatch(of: /"bits_per_dim":([0-9.]+)/)?.output.1 }
    #expect(bits[0] != nil && bits[0] == bits[1])
  }

  @Test("couplings whose output is normalized: trained, resumed, scored and sampled, but not exported")
  func flowNormalization() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let model = "--architecture realnvp --blocks 1 --width 4 --flow-normalization batch"
    let data = "--data faces --limit 16"
    try expectDone("train \(data) --out run \(model) --batch 8 --steps 2")
    try expectDone("train \(data) --out run --batch 8 --steps 4 --resume")
    let inspection = try glow("inspect run --entries").output
    #expect(
      inspection.contains("flowNormalization: batch")
        && inspection.contains("scale0.channels0.norm.running_var [12] (not learned)"), "\(inspection)")
    try expectDone("sample run --out samples.png --count 4")
    let scores = try [1, 16].map { try glow("evaluate run \(data) --json --batch \($0)").output }
      .map { $0.firstMatch(of: /"bits_per_dim":([0-9.]+)/)?.output.1 }
    #expect(scores[0] != nil && scores[0] == scores[1])
    let export = try glow("export run --to realnvp --out there.safetensors")
    #expect(export.status != 0 && export.messages.count == 1, "\(export.error)")
    #expect(export.error.contains("--flow-normalization batch"), "\(export.error)")
    let other = try glow("train \(data) --out run --batch 8 --steps 6 --resume --flow-normalization none")
    #expect(other.error.contains("flowNormalization is batch, asked for none"), "\(other.error)")
  }

  @Test(
    "options of the other architecture are refused in one line",
    arguments: [
      ("--architecture realnvp --levels 2", "--levels is of --architecture glow"),
      ("--architecture realnvp --coupling affine", "--coupling is of --architecture glow"),
      ("--architecture realnvp --permutation reverse", "--permutation is of --architecture glow"),
      ("--architecture realnvp --conditional", "--conditional is of --architecture glow"),
      ("--scales 2", "--scales is of --architecture realnvp"),
      ("--flow-normalization batch", "--flow-normalization is of --architecture realnvp"),
      ("--architecture realnvp --scales 7", "cannot be halved 6 times"),
    ])
  func refused(options: String, message: String) throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let outcome = try glow("train --data faces --limit 8 --steps 1 --out run \(options)")
    #expect(outcome.status != 0 && outcome.error.contains(message), "\(outcome.error)")
    #expect(outcome.messages.count == 1, "\(outcome.error)")
  }
}
