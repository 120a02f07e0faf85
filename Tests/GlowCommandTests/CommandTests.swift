import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import GlowTestSupport
import Testing

@testable import GlowCommand

/// The command as a user meets it: another process, its exit status and what it prints.
@Suite("The glow command")
struct CommandTests {
  let root = FileManager.default.temporaryDirectory.appending(path: "glow-command-\(UUID())").path

  init() throws { try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true) }

  func glow(_ arguments: String...) throws -> ChildProcess { try glow(list: arguments) }

  func glow(list arguments: [String]) throws -> ChildProcess {
    let child = try ChildProcess.run(ChildProcess.glow, arguments, in: root)
    #expect(!child.wasKilled, "\(arguments) crashed")
    return child
  }

  func write(_ name: String, _ bytes: [UInt8]) throws {
    let url = URL(filePath: "\(root)/\(name)")
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: url)
  }

  func clean() { try? FileManager.default.removeItem(atPath: root) }

  /// The mean over test faces, by the library in Double.
  private func bitsPerDimensionInDouble(_ run: String, images count: Int) throws -> Double {
    let glow = try ModelFile.read("\(root)/\(run)", as: Double.self).glow
    let workspace = try glow.workspace(batch: count, purpose: .inference)
    let faces = FaceDataset(count: count, seed: 0, part: .test)
    for index in 0..<count {
      try faces.image(index).pixels.withUnsafeBufferPointer {
        let noise = Philox(seed: 0, purpose: .evaluation, stream: Dequantization.digest($0))
        glow.dequantization.apply($0, noise: noise, into: workspace.images + index * glow.latentCount)
      }
    }
    return glow.forward(workspace, count: count).reduce(0) { $0 + $1.bitsPerDimension } / Double(count)
  }

  @Test("kernels: either make the same scores, to rounding; both are named")
  func kernels() throws {
    defer { clean() }
    let size = ["--levels", "2", "--depth", "1", "--width", "16", "--limit", "32", "--batch", "16"]
    #expect(
      try glow(list: ["train", "--data", "faces", "--out", "run", "--steps", "3"] + size).status == 0)
    var bits: [Double] = []
    for kernels in ["openblas"] + (ProductKernels.best == .packed ? ["packed"] : []) {
      let inspection = try glow("inspect", "run", "--kernels", kernels)
      #expect(inspection.output.contains("\nkernels: \(kernels)"), "\(inspection.output)")
      let evaluation = try glow(
        "evaluate", "run", "--data", "faces", "--limit", "16", "--json", "--kernels", kernels)
      let text = try #require(evaluation.output.firstMatch(of: /"bits_per_dim":([0-9.]+)/)?.output.1)
      bits.append(try #require(Double(text)))
    }
    #expect(abs(bits[0] - bits.last!) < 1e-5, "\(bits)")
    #expect(try glow("inspect", "run", "--kernels", "mkl").status == 64)
    for name in ["GLOW_KERNELS", "GLOW_INSTRUCTIONS"] {
      let outcome = try shell("\(name)=mkl $GLOW inspect run")
      #expect(
        outcome.status == 64 && outcome.error.contains("\(name) is 'mkl', expected"), "\(outcome.error)")
    }
  }

  @Test("OpenBLAS gets other kernels where it takes some without AVX on a processor with AVX2")
  func openBLASKernels() {
    let avx2: Set = ["sse4_2", "avx", "avx2", "fma"]
    let avx512 = avx2.union(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"])
    #expect(OpenBLASKernels.better(than: "Prescott", flags: avx512) == "SkylakeX")
    #expect(OpenBLASKernels.better(than: "Prescott", flags: avx2) == "Haswell")
    #expect(OpenBLASKernels.better(than: "Prescott", flags: ["avx"]) == nil)
    for core in ["Haswell", "Zen", "Cooperlake"] {
      #expect(OpenBLASKernels.better(than: core, flags: avx512) == nil)
    }
  }

  @Test("train, evaluate, sample, reconstruct, inspect, resume")
  func mainJob() throws {
    defer { clean() }
    let size = ["--levels", "2", "--depth", "2", "--width", "16"]
    func train(_ more: String...) throws -> ChildProcess {
      let process =
        ["train", "--data", "faces", "--limit", "64", "--out", "run", "--batch", "16"] + size + more
      return try glow(list: process)
    }
    let first = try train("--steps", "6", "--checkpoint-every", "3")
    #expect(first.status == 0 && first.output.contains("run/model.safetensors"), "\(first.error)")
    #expect(first.error.contains("memory: about"))
    let again = try train("--steps", "9")
    #expect(again.status != 0 && again.error.contains("--resume"))
    let other = try glow(
      "train", "--data", "faces", "--out", "run", "--levels", "2", "--depth", "3", "--width", "16", "--resume"
    )
    #expect(other.status != 0 && other.error.contains("depth is 2, asked for 3"), "\(other.error)")
    #expect(try train("--steps", "9", "--resume").error.contains("resumed at step 6"))

    let evaluation = try glow("evaluate", "run", "--data", "faces", "--limit", "32", "--json")
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(evaluation.output.utf8)) as? [String: Any])
    #expect(json["images"] as? Int == 32)
    let bits = try #require(json["bits_per_dim"] as? Double)
    // Nine steps of training are a start: bytes of equal probability have 8.
    #expect(abs(bits / (try bitsPerDimensionInDouble("run", images: 32)) - 1) < 1e-6 && bits < 7.5)
    let oneThread = try glow(
      "evaluate", "run", "--data", "faces", "--limit", "32", "--json", "--threads", "1", "--batch", "5")
    let otherJSON = try #require(
      try JSONSerialization.jsonObject(with: Data(oneThread.output.utf8)) as? [String: Any])
    #expect(otherJSON["bits_per_dim"] as? Double == bits)

    #expect(try glow("sample", "run", "--out", "grid.png", "--count", "4").status == 0)
    #expect(try glow("sample", "run", "--out", "one.png", "--count", "2", "--separate").status == 0)
    #expect(
      try glow("reconstruct", "run", "--data", "faces", "--out", "strip.png").output.contains("12 of 12"))
    #expect(try glow("inspect", "run").output.contains("level1.step1"))
    #expect(
      try glow("encode", "run", "--data", "faces", "--limit", "5", "--split", "train", "--out", "z.npy")
        .status == 0)
    #expect(try glow("decode", "run", "--latents", "z.npy", "--out", "decoded").status == 0)
    #expect(try glow("data", "faces", "--limit", "5", "--export", "faces").status == 0)
    for index in 0..<5 {
      #expect(
        try Data(contentsOf: URL(filePath: String(format: "%@/decoded/%06d.png", root, index)))
          == Data(contentsOf: URL(filePath: String(format: "%@/faces/%06d.png", root, index + 1))))
    }
    for name in ["decoded", "faces", "z.npy"] {
      try FileManager.default.removeItem(atPath: "\(root)/\(name)")
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: root).sorted()
    #expect(names == ["grid.png", "one-0000.png", "one-0001.png", "run", "strip.png"])
  }

  @Test("bad data: one line with the path and the reason, and nothing written")
  func badData() throws {
    defer { clean() }
    try write("truncated/data_batch_1.bin", [UInt8](repeating: 1, count: 3072))
    try write("magic/train-images-idx3-ubyte", [0, 0, 9, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4])
    try write("length/train-images-idx3-ubyte", [0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4])
    try write("text/a.png", Array("not a picture".utf8))
    try write("empty.npy", [])
    try FileManager.default.createDirectory(atPath: "\(root)/empty", withIntermediateDirectories: true)
    #expect(try glow("data", "faces", "--limit", "1", "--export", "mixed").status == 0)
    try FileManager.default.removeItem(atPath: "\(root)/mixed/list_attr_celeba.txt")
    let gray = try #require(Data(base64Encoded: grayPixel))
    try write("mixed/z.png", Array(gray))
    let before = try FileManager.default.contentsOfDirectory(atPath: root).sorted()
    for (data, path) in [
      ("missing", "missing"), ("empty", "empty"), ("truncated", "truncated/data_batch_1.bin"),
      ("magic", "magic/train-images-idx3-ubyte"), ("length", "length/train-images-idx3-ubyte"),
      ("text", "text/a.png"), ("mixed", "mixed/z.png"), ("empty.npy", "empty.npy"),
    ] {
      let outcome = try glow("train", "--data", data, "--out", "run", "--steps", "1")
      #expect(outcome.status == 1, "\(data)")
      let lines = outcome.messages
      // What was made of the other images comes first.
      let isNoted = data == "mixed"
      #expect(
        lines.count == (isNoted ? 2 : 1) && lines.last!.contains(path), "\(data): \(outcome.error)")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: root).sorted() == before)
  }

  @Test("records of images, skipped ones among them, and detection with its files")
  func scores() throws {
    defer { clean() }
    #expect(
      try glow(
        "train", "--data", "faces", "--limit", "64", "--out", "run", "--batch", "16", "--levels", "2",
        "--depth",
        "2", "--width", "16", "--steps", "4"
      ).status == 0)
    #expect(try glow("inspect", "run").output.contains("glow.mean_training_bits_per_dim: "))
    #expect(try glow("data", "faces", "--limit", "6", "--split", "test", "--export", "faces.npy").status == 0)
    #expect(try glow("data", "faces", "--limit", "6", "--split", "test", "--export", "png").status == 0)
    try FileManager.default.removeItem(atPath: "\(root)/png/list_attr_celeba.txt")
    func object(_ text: some StringProtocol) throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }
    func records(_ name: String) throws -> [[String: Any]] {
      try String(contentsOfFile: "\(root)/\(name)", encoding: .utf8).split(separator: "\n").map(object)
    }

    #expect(try glow("evaluate", "run", "--data", "png", "--scores", "png.jsonl").status == 0)
    let fromArray = try glow(
      "evaluate", "run", "--data", "faces.npy", "--scores", "npy.jsonl", "--batch", "4", "--json")
    let values = { (name: String) in try records(name).map { $0["log_likelihood"] as? Double } }
    #expect(try values("png.jsonl") == values("npy.jsonl") && values("npy.jsonl").count == 6)
    let summary = try object(fromArray.output)
    #expect(summary["skipped"] as? Int == 0 && summary["importance_samples"] as? Int == 1)
    #expect((summary["quantiles"] as? [String: Double])?.count == 7)
    #expect(summary["resize"] as? String == "box" && summary["on_error"] as? String == "fail")
    #expect(summary["images_per_second"] is Double && summary["standard_error"] is Double)

    try write("png/000000.png", Array("not a picture".utf8))
    let failing = try glow("evaluate", "run", "--data", "png", "--scores", "failing.csv")
    #expect(failing.status == 1 && failing.error.contains("png/000000.png: is not a PNG, JPEG or WebP image"))
    #expect(!FileManager.default.fileExists(atPath: "\(root)/failing.csv"))
    let check = try glow("data", "png", "--check")
    #expect(check.status == 1 && check.output.contains("broken: 1 of 7"), "\(check.output)")
    // Of data with parts all are checked, unless one is named.
    for part in ["train", "val"] {
      for index in 0..<3 {
        try FileManager.default.createDirectory(
          atPath: "\(root)/parts/\(part)", withIntermediateDirectories: true)
        try FileManager.default.copyItem(
          atPath: "\(root)/png/00000\(index + 1).png", toPath: "\(root)/parts/\(part)/\(index).png")
      }
    }
    try write("parts/val/1.png", Array("not a picture".utf8))
    let all = try glow("data", "parts", "--check")
    #expect(
      all.status == 1 && all.output.contains("all 3 images of the part train can be read\n")
        && all.output.contains("broken: 1 of 3 of the part valid\n"), "\(all.output)")
    let train = try glow("data", "parts", "--check", "--split", "train")
    #expect(train.status == 0 && !train.output.contains("valid of"), "\(train.output)")
    let skipping = try glow(
      "evaluate", "run", "--data", "png", "--scores", "skip.jsonl", "--on-error", "skip", "--json")
    #expect(skipping.status == 0 && skipping.error.contains("warning: png: 1 image was skipped"))
    #expect(try object(skipping.output)["skipped"] as? Int == 1)
    let skipped = try records("skip.jsonl")
    #expect(skipped.count == 7 && skipped[0]["error"] as? String == "is not a PNG, JPEG or WebP image")
    #expect(skipped.dropFirst().map { $0["log_likelihood"] as? Double } == (try values("png.jsonl")))
    #expect(try glow("evaluate", "run", "--data", "png", "--scores", "a.txt").status == 64)
    #expect(try glow("evaluate", "run", "--data", "png", "--importance-samples", "0").status == 64)

    let detection = try glow(
      "detect", "run", "--in", "faces", "--out", "noise", "--limit", "24", "--scores", "detection", "--json")
    #expect(detection.status == 0, "\(detection.error)")
    let settings = try object(detection.output)
    #expect(settings["dequantization"] as? String == "uniform" && settings["importance_samples"] as? Int == 1)
    #expect(settings["split"] as? String == "test" && settings["limit"] as? Int == 24)
    #expect(settings["seconds"] is Double && settings["images_per_second"] is Double)
    let scores = try #require(try object(detection.output)["scores"] as? [String: [String: Double]])
    #expect(Set(scores.keys) == ["bits_per_dim", "complexity", "typicality"])
    #expect(scores["bits_per_dim"]?["auroc"] == 1 && scores["bits_per_dim"]?["false_positive_rate"] == 0)
    let record = try records("detection/out.jsonl")[0]
    let parts = ["bits_per_dim", "compressed_bits_per_dim", "complexity"].compactMap { record[$0] as? Double }
    #expect(parts.count == 3 && abs(parts[0] - parts[1] - parts[2]) < 1e-9 && parts[1] > 8)
    let mean = try #require(settings["mean_training_bits_per_dim"] as? Double)
    let typicality = try #require(record["typicality"] as? Double)
    #expect(abs(typicality - abs(parts[0] - mean)) < 1e-12)
    let withTrain = try glow(
      "detect", "run", "--in", "faces", "--out", "noise", "--limit", "24", "--train", "faces", "--json",
      "--importance-samples", "2")
    let first = try glow("evaluate", "run", "--data", "faces", "--split", "train", "--limit", "24", "--json")
    #expect(
      try object(withTrain.output)["mean_training_bits_per_dim"] as? Double
        == object(first.output)["bits_per_dim"] as? Double)
    let noNoise = try glow(
      "detect", "run", "--in", "faces", "--out", "noise", "--limit", "4", "--dequantization", "none")
    #expect(noNoise.status == 0 && noNoise.error.contains("with --dequantization uniform, not none"))
    #expect(!noNoise.output.contains("typicality") && noNoise.output.contains("seed 0"))
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: "\(root)/detection").sorted()
        == [
          "bits_per_dim.png", "complexity.png", "in.jsonl", "in.jsonl.meta.json", "out.jsonl",
          "out.jsonl.meta.json", "typicality.png",
        ])
  }

  /// A gray PNG of 1×1.
  private let grayPixel =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="

  @Test("usage errors exit with 64 and name the value")
  func usage() throws {
    defer { clean() }
    for arguments in [
      ["train", "--data", "faces", "--out", "run", "--coupling", "magic"],
      ["train", "--data", "faces", "--out", "run", "--batch", "many"],
      ["sample", "run", "--out", "x.jpg"], ["nonsense"],
    ] {
      let outcome = try glow(list: arguments)
      #expect(outcome.status == 64 && outcome.error.contains(arguments.last!), "\(outcome.error)")
    }
    let size = try glow("train", "--data", "faces", "--out", "run", "--levels", "6")
    #expect(size.status == 1 && size.error.contains("32×32") && size.error.contains("--image-size 64"))
    #expect(try glow("sample", "missing", "--out", "x.png").error.contains("missing"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: root).isEmpty)
  }
}
