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
    // A normalized one has no foreign form to be exported to.
    let model = "--architecture realnvp --scales 2 --blocks 1 --width 4 --flow-normalization none"
    let data = "--data faces --limit 32"
    try expectDone("train \(data) --out run \(model) --batch 8 --steps 4 --sample-every 2 --eval-every 2")
    try expectDone("train \(data) --out run --batch 8 --steps 6 --resume")
    let inspection = try glow("inspect run")
    #expect(
      inspection.output.contains("architecture: realnvp") && !inspection.output.contains("ln |det W|"),
      "\(inspection.output)")
    for absent in ["depth", "coupling", "network", "kernel", "permutation", "padding", "learnsTopPrior"] {
      #expect(!inspection.output.contains("\n\(absent): "), "\(inspection.output)")
    }
    try expectDone("data faces --limit 2 --export faces")
    let faces = try FileManager.default.subpathsOfDirectory(atPath: "\(root)/faces")
      .filter { $0.hasSuffix(".png") }.sorted().map { "faces/\($0)" }
    try #require(faces.count == 2)
    for line in [
      "evaluate run \(data) --scores scores.jsonl --batch 8", "sample run --out samples.png --count 4",
      "encode run \(data) --out latents.npy", "decode run --latents latents.npy --out decoded",
      "reconstruct run \(data) --out reconstruction.png", "plot run --out curves.png",
      "export run --to realnvp --out there.safetensors",
      "import there.safetensors --from realnvp --out back.safetensors",
      "evaluate back.safetensors \(data) --batch 5",
      "detect run --in faces --out noise --scores detection --limit 16",
      "evaluate run --weights raw \(data) --scores raw.jsonl --batch 8", "compare scores.jsonl raw.jsonl",
      "interpolate run \(faces[0]) \(faces[1]) --out strip.png",
      "attribute run \(data) --name Smiling --out smiling.npy",
      "manipulate run \(faces[0]) --attribute smiling.npy --out smiles.png",
      "sheet run \(data) --out sheet.png",
      "bench evaluate \(model) --batch 2 --runs 1 --simulate 2",
      "plan \(data) --hours 0.02 \(model) --json",
    ] { try expectDone(line) }
    // With one scale there are few products, whose ceilings take the time.
    let bench = try glow(
      "bench evaluate --architecture realnvp --scales 1 --blocks 1 --width 4 --batch 2 --runs 1 --json"
    ).output
    #expect(bench.contains(#""architecture":"realnvp""#) && bench.contains(#""blocks":1"#), "\(bench)")
    for absent in ["depth", "coupling", "network", "actnorm"] {
      #expect(!bench.contains("\"\(absent)"), "\(bench)")
    }
    let one = try glow("evaluate run \(data) --batch 5 --json").output
    let other = try glow("evaluate back.safetensors \(data) --batch 32 --json").output
    let bits = [one, other].map { $0.firstMatch(of: /"bits_per_dim":([0-9.]+)/)?.output.1 }
    #expect(bits[0] != nil && bits[0] == bits[1])
  }

  @Test("what depends on the statistics of a batch is called no bits/dim, on the screen or in files")
  func batchLoss() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let line =
      "train --data faces --limit 32 --out run --architecture realnvp --blocks 1 --width 4 --batch 8 --steps 4 "
      + "--log-every 1 --eval-every 2 --sample-every 0 --tensorboard"
    let training = try glow(line)
    let steps = training.messages.filter { $0.hasPrefix("step ") && $0.contains(" left") }
    #expect(steps.count == 4, "\(training.error)")
    for step in steps {
      #expect(step.contains("loss ") && step.contains("(statistics of the batch)"), "\(step)")
      #expect(!step.contains("bits/dim"), "\(step)")
    }
    let lines = try String(contentsOfFile: "\(root)/run/metrics.jsonl", encoding: .utf8).split(
      separator: "\n")
    let losses = lines.filter { $0.contains("\"loss\":") }
    #expect(losses.count == 4 && lines.count == 6)
    #expect(!lines.contains { $0.contains("\"train_bits_per_dim\"") || $0.contains("largest_condition") })
    // Scores are those of each image by itself.
    #expect(lines.count { $0.contains("\"train_bits_per_dim_evaluated\"") } == 2)
    let events = try FileManager.default.contentsOfDirectory(atPath: "\(root)/run/tensorboard")
    let bytes = try Data(contentsOf: URL(filePath: "\(root)/run/tensorboard/\(try #require(events.first))"))
    #expect(bytes.range(of: Data("training/loss".utf8)) != nil)
    #expect(bytes.range(of: Data("bits_per_dim/train".utf8)) == nil)
    let json = try glow(line.replacing("--out run", with: "--out other") + " --log-format json").error
    #expect(json.contains(#""loss":"#) && !json.contains(#""bits_per_dim":"#), "\(json)")
  }

  @Test("couplings whose output is normalized: trained, resumed, scored and sampled, but not exported")
  func flowNormalization() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let model = "--architecture realnvp --blocks 1 --width 4"
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
    #expect(other.error.contains("--flow-normalization is batch, asked for none"), "\(other.error)")
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
      ("--architecture realnvp --scales 13", "--scales must be 1 to 12, not 13"),
      ("--architecture realnvp --dequantization variational", "a RealNVP has uniform noise"),
      ("--architecture realnvp --init-images 8", "--init-images is for layers that are set from images"),
      (
        "--architecture realnvp --scales 6 --blocks 1 --width 2 --batch 1",
        "more than one value of each channel"
      ),
      (
        "--architecture realnvp --scales 6 --blocks 1 --width 2 --batch 5 --micro-batch 2",
        "the last of 5 images is one position"
      ),
    ])
  func refused(options: String, message: String) throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let outcome = try glow("train --data faces --limit 8 --steps 1 --out run \(options)")
    #expect(outcome.status != 0 && outcome.error.contains(message), "\(outcome.error)")
    #expect(outcome.messages.count == 1, "\(outcome.error)")
  }

  @Test("what does not agree with a model that is there is told by the options that were given")
  func another() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let train = "train --data faces --limit 16 --batch 8 --steps 1"
    try expectDone("\(train) --out run --architecture realnvp --blocks 1 --width 4")
    for (options, message) in [
      ("--out run --resume --scales 3", "--scales is 2, asked for 3; leave"),
      ("--out other --init-from run --scales 3", "--scales is 2, asked for 3; leave"),
      ("--out other --init-from run --dequantization variational", "a RealNVP has uniform noise"),
      ("--out other --init-from run --architecture glow", "--architecture is realnvp, asked for glow; leave"),
    ] {
      let outcome = try glow("\(train) \(options)")
      #expect(outcome.status != 0 && outcome.error.contains(message), "\(options): \(outcome.error)")
    }
  }
}
