import Foundation
import GlowFiles
import GlowImages
import GlowStorage
import Testing

/// What other implementations' weights go through from file to file.
extension CommandTests {
  /// A reference file of the storage tests; its images [N, H, W, 3], and their mean bits/dim at x = q/256 − ½,
  /// computed from the file's weights in float64 by a NumPy program that follows the implementation that wrote it and
  /// gives the file's own `output.bits_per_dim` to 2e-7 (original, float32) or 3e-16 (the others).
  struct WeightsCase: Sendable, CustomTestStringConvertible {
    let file: String
    let format: String
    let shape: [Int]
    let bitsPerDimension: Double

    var testDescription: String { file }
    var path: String {
      URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "GlowStorageTests/Fixtures/\(file).safetensors").path
    }

    static let all = [
      WeightsCase(
        file: "openai-affine-invconv", format: "openai", shape: [4, 16, 16, 3],
        bitsPerDimension: 9.91104627817034),
      WeightsCase(
        file: "openai-additive-shuffle", format: "openai", shape: [4, 16, 16, 3],
        bitsPerDimension: 9.375585556984632),
      WeightsCase(
        file: "torch-y0ast-affine-invconv", format: "y0ast", shape: [3, 32, 32, 3],
        bitsPerDimension: 9.725927242364591),
      WeightsCase(
        file: "torch-rosinality-affine-lu", format: "rosinality", shape: [3, 32, 32, 3],
        bitsPerDimension: 10.037118011068157),
    ]
  }

  private func bitsPerDimension(_ model: String) throws -> Double {
    let outcome = try glow(
      "evaluate", model, "--data", "images.npy", "--dequantization", "none", "--json")
    #expect(outcome.status == 0, "\(outcome.error)")
    let json = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
    return try #require(json?["bits_per_dim"] as? Double)
  }

  @Test(
    "imported weights score, encode, decode, train and export as they do elsewhere",
    arguments: WeightsCase.all)
  func importedWeights(weights: WeightsCase) throws {
    defer { clean() }
    let bytes = try SafetensorsFile(weights.path).values("input.x_uint8", as: Float.self).map { UInt8($0) }
    let header = NumpyHeader(dataType: "|u1", shape: weights.shape).encoded()
    try AtomicFile.write(header + bytes, to: "\(root)/images.npy")
    let imported = try glow(
      "import", weights.path, "--from", weights.format, "--image-size", "\(weights.shape[1])", "--out",
      "model.safetensors")
    #expect(imported.status == 0 && imported.output.contains("depth 2, width 16"), "\(imported.error)")

    let bits = try bitsPerDimension("model.safetensors")
    #expect(abs(bits / weights.bitsPerDimension - 1) < 2e-8)

    let noNoise = ["--dequantization", "none"]
    let encoded = try glow(
      list: ["encode", "model.safetensors", "--data", "images.npy", "--out", "latents.npy"] + noNoise)
    #expect(encoded.status == 0, "\(encoded.error)")
    let decoded = try glow(
      list: ["decode", "model.safetensors", "--latents", "latents.npy", "--out", "decoded"] + noNoise)
    #expect(decoded.status == 0, "\(decoded.error)")
    let size = bytes.count / weights.shape[0]
    for image in 0..<weights.shape[0] {
      let pixels = try PNG.read(String(format: "%@/decoded/%06d.png", root, image)).pixels
      #expect(pixels == Array(bytes[image * size..<(image + 1) * size]), "image \(image)")
    }

    let trained = try glow(
      list: [
        "train", "--init-from", "model.safetensors", "--data", "images.npy", "--no-shuffle", "--out", "run",
        "--batch", "\(weights.shape[0])", "--steps", "1", "--log-every", "1",
      ] + noNoise)
    #expect(trained.status == 0, "\(trained.error)")
    let metrics = try String(contentsOfFile: "\(root)/run/metrics.jsonl", encoding: .utf8)
    let first = try #require(metrics.split(separator: "\n").first)
    let line = try JSONSerialization.jsonObject(with: Data(first.utf8)) as? [String: Any]
    // The first step's loss is that of the weights as they were imported, on all of the images.
    #expect(abs(try #require(line?["train_bits_per_dim"] as? Double) / bits - 1) < 1e-6)

    for target in Set([weights.format, "openai"]) {
      let exported = try glow("export", "model.safetensors", "--to", target, "--out", "foreign.safetensors")
      #expect(exported.status == 0, "\(exported.error)")
      let again = try glow(
        "import", "foreign.safetensors", "--from", target, "--image-size", "\(weights.shape[1])", "--out",
        "again.safetensors")
      #expect(again.status == 0, "\(again.error)")
      #expect(abs(try bitsPerDimension("again.safetensors") / bits - 1) < 2e-8, "\(target)")
    }
    // Training keeps what the format can hold.
    try expectExport(of: "run", to: weights.format, imageSize: weights.shape[1])
  }

  /// A model that is exported and imported again scores as before.
  private func expectExport(of model: String, to format: String, imageSize: Int) throws {
    let exported = try shell("$GLOW export \(model) --to \(format) --out foreign.safetensors")
    #expect(exported.status == 0, "\(exported.error)")
    let again = try shell(
      "$GLOW import foreign.safetensors --from \(format) --image-size \(imageSize) --out again.safetensors")
    #expect(again.status == 0, "\(again.error)")
    #expect(abs(try bitsPerDimension("again.safetensors") / bitsPerDimension(model) - 1) < 1e-6, "\(format)")
  }

  @Test(
    "a model that is trained with a format's padding can be exported to it, others are told which to train with",
    arguments: [("zeros", "y0ast"), ("ones", "rosinality")])
  func paddings(padding: String, format: String) throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 8 --export images.npy").status == 0)
    let train = "$GLOW train --data images.npy \(Self.tiny) --levels 2 --steps 3 --lr 0.01 --warmup-epochs 0"
    let trained = try shell("\(train) --padding \(padding) --out run")
    #expect(trained.status == 0, "\(trained.error)")
    try expectExport(of: "run", to: format, imageSize: 32)
    #expect(try shell("\(train) --out edged").status == 0)
    let refused = try shell("$GLOW export edged --to \(format) --out no.safetensors")
    #expect(refused.status == 1 && refused.error.contains("--padding \(padding)"), "\(refused.error)")
    #expect(try !names().contains("no.safetensors"))
  }
}
