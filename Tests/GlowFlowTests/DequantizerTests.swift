import Foundation
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

extension SmallModel {
  /// Pixel values with noise that is not near the ends of its cells, at which nothing can be differenced.
  func noisyImages() -> [Double] {
    let levels = Double(1 << glow.configuration.bits)
    return randomInput().map { value in
      let place = 0.5 + 0.5 * tanh(value)
      let level = min((place * levels).rounded(.down), levels - 1)
      return (level + 0.2 + 0.6 * abs(sin(37 * value))) / levels - 0.5
    }
  }

  /// `whole` from images with uniform noise: the dequantizer is a part of the map, both ways.
  func wholeFromUniformNoise() -> CheckedLayer {
    var layer = whole()
    let forward = layer.forward
    layer.forward = { images in
      self.workspace.imagesAreFinal = false
      return try forward(images)
    }
    layer.inverse = { latents in
      self.workspace.setLatents(latents, count: self.images)
      self.workspace.imagesAreFinal = false
      try self.glow.inverse(self.workspace, count: self.images, labels: self.labels)
      return (0..<latents.count).map { self.workspace.images[$0] }
    }
    return layer
  }
}

@Suite("The dequantizer, in Double against finite differences and a numerical Jacobian")
struct DequantizerTests {
  private func model(
    _ cut: Cut = .one, keepsHidden: Bool = true, _ change: (inout GlowConfiguration) -> Void = { _ in }
  ) throws -> SmallModel {
    try SmallModel(
      {
        $0.bits = 2
        $0.dequantizerWidth = 5
        change(&$0)
      }, cut: cut, keepsHidden: keepsHidden)
  }

  @Test(
    "the whole model, from uniform noise to latents, hidden activations kept and computed again",
    arguments: Cut.all, [true, false])
  func whole(cut: Cut, keepsHidden: Bool) throws {
    let model = try model(cut, keepsHidden: keepsHidden)
    let report = try check(model.wholeFromUniformNoise(), at: model.noisyImages())
    print("model with a dequantizer, \(cut), kept \(keepsHidden): \(report)")
    expectAccepted(report, "\(cut), kept \(keepsHidden)")
  }

  /// All but the way from any latents to an image and back: where that ends near the end of a cell, digits are lost.
  private func expectAccepted(_ report: LayerReport, _ what: String) {
    var report = report
    report.forwardAfterInverse = 0
    #expect(report.isAccepted, "\(what): \(report)")
  }

  @Test("a conditional model of two levels and RGB images")
  func conditional() throws {
    let model = try model {
      $0.levels = 2
      $0.imageChannels = 3
      $0.classCount = 3
    }
    expectAccepted(try check(model.wholeFromUniformNoise(), at: model.noisyImages()), "conditional")
  }

  @Test(
    "a gradient of it that is scaled by 1.01 is seen",
    arguments: ["conv1.weight", "conv3.logs", "conv3.bias"])
  func scaledGradient(name: String) throws {
    let model = try model()
    var layer = model.wholeFromUniformNoise()
    let backward = layer.backward
    layer.backward = { x, dy, dLogDeterminants in
      let before = Array(layer.gradients)
      let dx = try backward(x, dy, dLogDeterminants)
      for index in model.glow.parameters["dequantizer.coupling.\(name)"]!.range {
        layer.gradients[index] = before[index] + 1.01 * (layer.gradients[index] - before[index])
      }
      return dx
    }
    let report = try check(layer, at: model.noisyImages())
    #expect(report.parameterGradient > 1e-3 && !report.isAccepted, "\(report)")
  }

  @Test("the objective's gradient is that of the mean bits/dim, whatever was in its place")
  func objective() throws {
    let model = try model()
    let (glow, workspace) = (model.glow, model.workspace)
    let images = model.noisyImages()
    workspace.images.update(from: images, count: images.count)
    let likelihoods = glow.forward(workspace, count: 2)
    let scale = -1 / (2 * Double(glow.configuration.dimensions) * Elementary.ln2)
    try glow.backward(workspace, weights: [scale, scale], gradients: model.gradients.base)
    let expected = Array(model.gradients.values)
    for entry in glow.parameters.entries where entry.isTrainable {
      for index in entry.range { model.gradients.base[index] = .nan }
    }
    let objective = try glow.objective(workspace, count: 2, gradients: model.gradients.base)
    #expect(abs(objective.loss - likelihoods.map(\.bitsPerDimension).reduce(0, +) / 2) < 1e-12)
    for index in glow.parameters.trainableRanges.joined() {
      #expect(abs(model.gradients.base[index] - expected[index]) <= 1e-12)
    }
  }

  @Test("a new model's noise is uniform, and images that are final pass: the flow is that of a model without")
  func withoutEffect() throws {
    func likelihoods(_ dequantizerWidth: Int, areFinal: Bool) throws -> [LogLikelihood] {
      var configuration = GlowConfiguration()
      (configuration.imageHeight, configuration.imageWidth) = (8, 8)
      (configuration.levels, configuration.depth, configuration.width) = (2, 2, 8)
      configuration.dequantizerWidth = dequantizerWidth
      let glow = try Glow<Double>(configuration: configuration, seed: 3)
      let workspace = try glow.workspace(batch: 4, purpose: .inference)
      let values = UnsafeMutableBufferPointer(start: workspace.images, count: 4 * glow.latentCount)
      Philox(seed: 1, purpose: .dequantization).fillUniform(values)
      for index in values.indices { values[index] -= 0.5 }
      let images = Array(values)
      try glow.initialize(workspace, count: 4)
      workspace.images.update(from: images, count: images.count)
      workspace.imagesAreFinal = areFinal
      return glow.forward(workspace, count: 4)
    }
    let expected = try likelihoods(0, areFinal: false)
    #expect(expected.allSatisfy { $0.dequantizer == nil })
    for likelihood in zip(try likelihoods(6, areFinal: false), expected) {
      #expect(abs(likelihood.0.dequantizer!) < 1e-9 && abs(likelihood.0.nats - likelihood.1.nats) < 1e-7)
    }
    for likelihood in zip(try likelihoods(6, areFinal: true), expected) {
      #expect(likelihood.0.dequantizer == 0 && abs(likelihood.0.nats - likelihood.1.nats) < 1e-7)
      #expect(likelihood.0.logDeterminants.count == 2 && likelihood.0.priors.count == 2)
    }
  }

  @Test("a RealNVP and widths that cannot be are refused")
  func refused() {
    func message(_ change: (inout GlowConfiguration) -> Void) -> String? {
      var configuration = GlowConfiguration()
      change(&configuration)
      do { try configuration.validate() } catch { return "\(error)" }
      return nil
    }
    for width in [-1, 16385] {
      #expect(
        message { $0.dequantizerWidth = width }
          == "the dequantizer's width must be 1 to 16384, or 0 for none, not \(width)")
    }
    let refusal = message {
      $0.architecture = .realNVP
      $0.dequantizerWidth = 4
    }
    #expect(refusal == "a RealNVP has uniform noise, and no dequantizer")
  }
}

@Suite("Noise and the cells of pixel values")
struct CellTests {
  @Test(
    "logits, sigmoids and their log-determinants are those of the definitions", arguments: [1, 8, 21, 600])
  func logistic(count: Int) {
    let least = 0x1p-17
    let step = (1 - 2 * least) / Double(count)
    let u: [Double] = (0..<count).map { least + step * (Double($0) + 0.25) }
    let logDeterminant: Double = u.reduce(0.0) { $0 - log($1 * (1 - $1)) }
    var z = u
    let sum = Logistic.logit(&z, count: count)
    #expect(abs(sum - logDeterminant) < 1e-12 * Double(count))
    for (found, u) in zip(z, u) { #expect(abs(found - log(u / (1 - u))) < 1e-12) }
    var back = z
    let backSum = Logistic.sigmoid(&back, count: count)
    #expect(abs(backSum + logDeterminant) < 1e-12 * Double(count))
    for (found, u) in zip(back, u) { #expect(abs(found - u) < 1e-15) }
    var sides = z + z
    Logistic.bothSides(&sides, count: count)
    for index in 0..<count {
      #expect(abs(sides[index] - u[index]) < 1e-15 && abs(sides[count + index] - (1 - u[index])) < 1e-15)
    }
    var single = u.map { Float($0) }
    let singleSum = Logistic.logit(&single, count: count)
    let singleBackSum = Logistic.sigmoid(&single, count: count)
    #expect(abs(singleSum / logDeterminant - 1) < 1e-5 && abs(singleBackSum / logDeterminant + 1) < 1e-5)
  }

  @Test("in Float, levels and noise come apart exactly, and no noise leaves its cell", arguments: 1...8)
  func parts(bits: Int) {
    let (dequantization, cells) = (Dequantization(bits: bits), Cells(bits: bits))
    let bytes = (0..<4096).map { UInt8($0 % 256) }
    var (values, noise) = ([Float](repeating: 0, count: 4096), [Float](repeating: 0, count: 4096))
    let generator = Philox(seed: 1, purpose: .dequantization)
    noise.withUnsafeMutableBufferPointer { generator.fillUniform($0) }
    let expected: [Float] = noise.map { (u: Float) -> Float in ((u * 0x1p15).rounded(.down) + 0.5) * 0x1p-15 }
    values.withUnsafeMutableBufferPointer { values in
      bytes.withUnsafeBufferPointer {
        dequantization.apply($0, noise: generator, byParts: true, into: values.baseAddress!)
      }
      let matrix = Matrix(values.baseAddress!, rows: 512, columns: 8)
      cells.part(matrix, into: &noise)
      #expect(noise == expected)
      let levels = bytes.map { Float($0 >> (8 - bits)) }
      let scale = Float(1 << bits)
      let own: [Float] = values.map { (value: Float) -> Float in (value + 0.5) * scale }
      #expect(own == levels)
      let noises: [Float] = [0, 1e-30, 0x1p-17, 0.3, Float(1).nextDown, 1]
      for u in noises {
        var same = [Float](repeating: u, count: 4096)
        var joined = [Float](repeating: 0, count: 4096)
        joined.withUnsafeMutableBufferPointer {
          cells.join(matrix, &same, into: Matrix($0.baseAddress!, rows: 512, columns: 8))
        }
        let found: [Float] = joined.map { (value: Float) -> Float in ((value + 0.5) * scale).rounded(.down) }
        #expect(found == levels, "\(u)")
      }
    }
  }

  @Test(
    "differences of pixels come back as the same levels in Float, and gray has none", arguments: [1, 3, 4])
  func differences(channels: Int) {
    let (differences, count) = (PixelDifferences(channels: channels, bits: 8), 4 * channels)
    for image in 0..<100 {
      let levels = (0..<count).map { Float(($0 * 37 + image * 101 + $0 * $0 * image) % 256) / 256 - 0.5 }
      var row = levels
      row.withUnsafeMutableBufferPointer { differences.forward($0.baseAddress!) }
      #expect(image == 0 || row != levels)
      row.withUnsafeMutableBufferPointer { differences.inverse($0.baseAddress!) }
      #expect(row == levels)
    }
    // Of a gray block nothing but the mean of the second channel, or of each where they are not colors.
    var gray = [Double](repeating: 0.25, count: count)
    gray.withUnsafeMutableBufferPointer { differences.forward($0.baseAddress!) }
    for index in 0..<count {
      let isMean = index % 4 == 0 && (channels != 3 || index == 4)
      #expect(gray[index] == (isMean ? 1 : 0))
    }
  }
}
