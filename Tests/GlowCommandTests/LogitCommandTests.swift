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
    "images that are mostly black or white, as digits are, get a hint at it; others, and those who know, none"
  )
  func hint() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    // 16 images of 8×8 in the IDX format, 62 values of 64 at an end, and others without any.
    func write(_ name: String, _ value: (Int) -> UInt8) throws {
      let header: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 16, 0, 0, 0, 8, 0, 0, 0, 8]
      try FileManager.default.createDirectory(atPath: "\(root)/\(name)", withIntermediateDirectories: true)
      try Data(header + (0..<1024).map(value)).write(
        to: URL(filePath: "\(root)/\(name)/train-images-idx3-ubyte"))
    }
    try write("digits") { $0 % 64 < 2 ? UInt8(1 + $0 / 64) : $0 % 2 == 0 ? 0 : 255 }
    try write("grays") { UInt8(1 + $0 % 251) }
    let model = "--hold-out 0 --levels 1 --depth 1 --width 8 --batch 4 --steps 1"
    for (number, (data, options, isHinted)) in [
      ("digits", "", true), ("digits", "--logit 0", false), ("digits", "--logit 1e-5", false),
      ("grays", "", false),
    ].enumerated() {
      let outcome = try glow("train --data \(data) --out run\(number) \(model) \(options)")
      #expect(
        outcome.status == 0
          && outcome.error.contains("97 % of the values are black or white: --logit 1e-5") == isHinted,
        "\(data) \(options): \(outcome.error)")
    }
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
