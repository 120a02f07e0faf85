import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import GlowTestSupport
import GlowTraining
import Testing

/// A model with random weights none of which is zero, its actnorms initialized after that.
///
/// - Parameter weightDeviation: of the last convolutions, which start at zero otherwise.
func randomModel(
  _ change: (inout GlowConfiguration) -> Void = { _ in }, weightDeviation: Float = 0.01, threads: Int = 2,
  _ kernels: ProductKernels = .standard
) throws -> Glow<Float> {
  var configuration = GlowConfiguration()
  configuration.depth = 2
  configuration.width = 32
  change(&configuration)
  let glow = try Glow<Float>(
    configuration: configuration, seed: 3, team: ThreadTeam(count: threads, kernels: kernels))
  for entry in glow.parameters.entries where entry.name.contains(".conv3.") || entry.name.contains("split") {
    var noise = [Float](repeating: 0, count: entry.count)
    noise.withUnsafeMutableBufferPointer {
      Philox(seed: 4, purpose: .weights, stream: UInt64(entry.offset)).fillNormal($0)
    }
    for (index, value) in noise.enumerated() {
      glow.values.base[entry.offset + index] += weightDeviation * value
    }
  }
  try glow.parametersChanged()
  let faces = FaceDataset(count: 16, seed: 0, part: .train)
  let workspace = try glow.workspace(batch: 16, purpose: .inference)
  for index in 0..<16 {
    try faces.image(index).pixels.withUnsafeBufferPointer {
      glow.dequantization.apply(
        $0, noise: Philox(seed: 1, purpose: .dequantization, stream: UInt64(index)),
        into: workspace.images + index * faces.shape.count)
    }
  }
  try glow.initialize(workspace, count: 16)
  return glow
}

@Suite("Scores and samples")
struct ScoringTests {
  @Test(
    "a score depends on neither batch size, threads nor neighbors",
    arguments: Set([ProductKernels.openBLAS, .best]))
  func invariance(kernels: ProductKernels) throws {
    let faces = FaceDataset(count: 70, seed: 0, part: .test)
    func scores(batch: Int, threads: Int, _ data: any Dataset) throws -> [LogLikelihood] {
      var result: [LogLikelihood] = []
      try Scorer(randomModel(threads: threads, kernels), batch: batch).score(data, ScoringSettings()) {
        result.append(try $0.result.get().likelihood)
      }
      return result
    }
    let expected = try scores(batch: 64, threads: 2, faces)
    #expect(try scores(batch: 1, threads: 1, faces) == expected)
    #expect(try scores(batch: 7, threads: 2, faces) == expected)
    let reversed = ImageArray(try (0..<70).reversed().map { try faces.image($0) })
    #expect(try scores(batch: 7, threads: 1, reversed) == expected.reversed())
  }

  @Test("samples depend on seed and index alone, and temperature 0 has no variety")
  func samples() throws {
    let glow = try randomModel()
    let five = try Sampler(glow, batch: 2).sample(count: 5, temperature: 0.7, seed: 1)
    #expect(try Sampler(glow, batch: 64).sample(count: 3, temperature: 0.7, seed: 1) == Array(five[..<3]))
    #expect(Set(five).count == 5)
    #expect(Set(try Sampler(glow).sample(count: 3, temperature: 0, seed: 1)).count == 1)
  }

  @Test("black and white are black and white at any number of bits, and levels come back", arguments: 1...8)
  func levels(bits: Int) throws {
    let dequantization = Dequantization(bits: bits)
    let bytes = (0...255).map { UInt8($0) }
    var values = [Float](repeating: 0, count: 256)
    func levels(_ pixels: [UInt8]) -> [UInt8] { pixels.map { $0 >> (8 - bits) } }
    var back = [UInt8](repeating: 0, count: 256)
    values.withUnsafeMutableBufferPointer { values in
      bytes.withUnsafeBufferPointer { dequantization.apply($0, noise: nil, into: values.baseAddress!) }
      back.withUnsafeMutableBufferPointer {
        dequantization.quantize(values.baseAddress!, toNearest: true, into: $0)
      }
    }
    #expect(back.first == 0 && back.last == 255)
    #expect(levels(back) == levels(bytes))
    #expect(Set(back).count == 1 << bits)
  }

  @Test("an image comes back bit by bit if it does in the bits that the model has")
  func fewerBits() throws {
    let glow = try randomModel { $0.bits = 1 }
    let shape = ImageShape(glow.configuration)
    let images = [[0, 255], [0, 200]].map { values in
      ByteImage(shape: shape, pixels: (0..<shape.count).map { UInt8(values[$0 % 2]) })
    }
    let result = try Scorer(glow, batch: 2).reconstruct(ImageArray(images))
    #expect(result.images == 2 && result.equal == 2)
    #expect(
      result.description.hasPrefix(
        "2 of 2 images come back bit by bit in the 1 bit of a value that the model has; largest error"))
  }

  @Test("an image without the class that the model needs is refused by its name")
  func missingClass() throws {
    let glow = try randomModel { $0.classCount = 3 }
    let image = try FaceDataset(count: 1, seed: 0, part: .test).image(0)
    let scorer = try Scorer(glow, batch: 1)
    #expect(throws: FileError.self) { try scorer.score(image) }
    for label in [nil, 3] {
      let images = ImageArray([image], label: label)
      #expect(throws: FileError.self) { try scorer.score(images) }
      #expect(throws: FileError.self) { try scorer.reconstruct(images) }
      #expect(throws: FileError.self) { try scorer.encode(images) { _, _ in } }
    }
    #expect(try scorer.score(ImageArray([image], label: 2)).images == 1)
  }

  @Test("the library by itself: the lines that README shows")
  func library() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "glow-library-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try ModelFile.write(try randomModel(), to: "\(folder)/model.safetensors")
    try PNG.write(try FaceDataset(count: 1, seed: 0, part: .test).image(0), to: "\(folder)/face.png")
    func score(_ modelPath: String, _ imagePath: String) throws -> Double {
      // README: begin
      let glow = try ModelFile.read(modelPath, as: Float.self, team: ThreadTeam()).glow
      let image = try PNG.read(imagePath)
      let likelihood = try Scorer(glow, batch: 1).score(image)
      return likelihood.bitsPerDimension
      // README: end
    }
    #expect((0..<20).contains(try score("\(folder)/model.safetensors", "\(folder)/face.png")))
    #expect(throws: TrainingError.self) {
      try Scorer(try randomModel(), batch: 1).score(
        ByteImage(
          shape: ImageShape(height: 2, width: 2, channels: 3), pixels: [UInt8](repeating: 0, count: 12)))
    }
  }

  @Test("a 3-level, depth 32, width 512 model in Float takes images to the latents and back")
  func roundTrip() throws {
    try takeToTheLatentsAndBack(FaceDataset(count: 8, seed: 0, part: .test))
  }

  @Test("it does so with photographs", .realData)
  func roundTripOfRealData() throws {
    var options = DataOptions()
    options.limit = 8
    try takeToTheLatentsAndBack(
      DataSource.open("\(#require(realData))/cifar-10-batches-bin", part: .test, options: options).dataset)
  }

  private func takeToTheLatentsAndBack(_ images: any Dataset) throws {
    // Outputs of the coupling networks then have a standard deviation of about 0.004·√(9·512/2) = 0.2.
    let glow = try randomModel(
      {
        $0.depth = 32
        $0.width = 512
      }, weightDeviation: 0.004)
    var decoded: [ByteImage] = []
    let result = try Scorer(glow, batch: 8).reconstruct(images) { decoded.append($2) }
    print("round trip in Float: largest error \(result.largestError / 256) of the range of a pixel value")
    #expect(result.largestError / 256 <= 1e-3)
    #expect(try decoded == (0..<8).map { try images.image($0) })
    #expect(result.images == images.count && result.equal == images.count)
  }
}
