import Foundation
import GlowTestSupport
import Testing

@Suite("A logit of the images through the command")
struct LogitCommandTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-logit-\(UUID())").path

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

  @Test("training, resuming and every command that takes the model")
  func commands() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let data = "--data faces --limit 32"
    let model = "--levels 2 --depth 1 --width 8 --logit 1e-5"
    try expectDone("train \(data) --out run \(model) --batch 8 --steps 4 --sample-every 2 --eval-every 2")
    try expectDone("train --out run --steps 6 --resume --logit 1e-5")
    #expect(try glow("inspect run").output.contains("logit: 1e-05"))
    for line in [
      "evaluate run \(data) --scores scores.jsonl --batch 8 --importance-samples 3",
      "sample run --out samples.png --count 4", "encode run \(data) --out latents.npy",
      "decode run --latents latents.npy --out decoded", "reconstruct run \(data) --out reconstruction.png",
      "train \(data) --out more --init-from run --batch 8 --steps 1",
    ] { try expectDone(line) }
    // Decoded images are those that were encoded.
    try expectDone("reconstruct run \(data) --out reconstruction.png")
    let other = try glow("train --out run --steps 8 --resume --logit 0.05")
    #expect(
      other.status != 0 && other.error.contains("--logit is 1e-05, asked for 0.05"), "\(other.error)")
    let export = try glow("export run --to openai --out there.safetensors")
    #expect(
      export.status != 0
        && export.error.contains("have no logit of the images, and this one was trained with --logit 1e-05"),
      "\(export.error)")
  }

  @Test(
    "what cannot be is refused in one line",
    arguments: [
      ("--logit 0.3", "--logit must be 1e-6 to 0.25, or 0 for none, not 0.3"),
      ("--architecture realnvp --logit 0.05", "--logit is of --architecture glow"),
      ("--logit high", "high"),
    ])
  func refused(options: String, message: String) throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let outcome = try glow("train --data faces --limit 8 --steps 1 --out run \(options)")
    #expect(outcome.status != 0 && outcome.error.contains(message), "\(outcome.error)")
  }
}
