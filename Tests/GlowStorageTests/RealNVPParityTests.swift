import Foundation
import GlowKernels
import GlowTestSupport
import GlowTraining
import Testing

@testable import GlowFlow
@testable import GlowStorage

/// A RealNVP, a batch, and what chrischute/real-nvp computed from them in float64.
private struct RealNVPReference<S: Scalar> {
  let file: SafetensorsFile
  let model: ForeignModel
  let glow: Glow<S>
  let workspace: Workspace<S>
  let count = 4

  init(_ name: String, keepsHidden: Bool = true) throws {
    let path = "\(referenceValues!)/\(name).safetensors"
    file = try SafetensorsFile(path)
    model = try ForeignModel(path, format: .realnvp, imageSize: 32, bits: 8)
    glow = try model.glow(as: S.self, team: ThreadTeam(count: 2))
    workspace = try glow.workspace(batch: count, purpose: .training(keepsHidden: keepsHidden))
    try setImages()
  }

  func expected(_ name: String) throws -> [Double] { try file.values(name, as: Double.self) }

  func setImages() throws {
    for (index, value) in try expected("input.dequantized").enumerated() {
      workspace.images[index] = S(value - 0.5)
    }
  }

  /// From the latents of an image, scale after scale, to a picture [C, H, W], and back: the last scale's, then of each
  /// scale before what stayed and what left side by side, of which every 2×2 block is made.
  func picture(_ latents: [Double]) -> [Double] { order.map { latents[$0] } }

  func latents(_ picture: [Double]) -> [Double] {
    var latents = [Double](repeating: 0, count: picture.count)
    for (place, source) in order.enumerated() { latents[source] = picture[place] }
    return latents
  }

  /// Of each place of a picture, that in our latents.
  private var order: [Int] {
    var starts = [0]
    for shape in glow.latentShapes { starts.append(starts.last! + shape.count) }
    // Of the last scale, positions in (row, column, channel) order.
    let last = glow.latentShapes.last!
    var (height, width, channels) = (last.height, last.width, last.channels)
    var z = (0..<last.count).map { starts[glow.latentShapes.count - 1] + $0 }
    for scale in (0..<glow.latentShapes.count - 1).reversed() {
      let inner = channels / 2
      var next = [Int](repeating: 0, count: 4 * height * width * inner)
      for y in 0..<height {
        for x in 0..<width {
          for channel in 0..<2 * channels {
            let source =
              channel < channels
              ? z[(y * width + x) * channels + channel]
              : starts[scale] + (y * width + x) * channels + channel - channels
            let (dy, dx) = [(0, 0), (1, 1), (0, 1), (1, 0)][channel / inner]
            next[((2 * y + dy) * 2 * width + 2 * x + dx) * inner + channel % inner] = source
          }
        }
      }
      z = next
      (height, width, channels) = (2 * height, 2 * width, inner)
    }
    return (0..<channels).flatMap { channel in (0..<height * width).map { z[$0 * channels + channel] } }
  }

  func allLatents() -> [Double] {
    let size = glow.latentCount
    var values = [S](repeating: 0, count: size)
    return (0..<count).flatMap { image in
      values.withUnsafeMutableBufferPointer { workspace.readLatents(image, into: $0.baseAddress!) }
      return picture(values.map { Double($0) })
    }
  }
}

@Suite("Parity with chrischute/real-nvp", .referenceValues)
struct RealNVPParityTests {
  private static let names = ["torch-realnvp-cifar", "torch-realnvp-grey-3scales"]

  /// In training the gradients of these are zero, but for rounding: a batch normalization follows.
  private static func isNoise(_ name: String) -> Bool {
    let isBias =
      name.hasSuffix("st_net.in_conv.conv.bias") || name.hasSuffix("st_net.in_skip.conv.bias")
      || (name.contains(".blocks.") && name.hasSuffix(".out_conv.conv.bias"))
      || (name.contains(".skips.") && name.hasSuffix(".conv.bias"))
    return isBias || name.hasSuffix("rescale.weight_v")
  }

  @Test(
    "latents, likelihoods and gradients in Double, however tight the memory", arguments: names, [true, false])
  func inDouble(name: String, keepsHidden: Bool) throws {
    try compare(RealNVPReference<Double>(name, keepsHidden: keepsHidden), .inDouble)
  }

  @Test("in Float", arguments: names)
  func inFloat(name: String) throws {
    try compare(RealNVPReference<Float>(name), .inFloat)
  }

  /// Largest relative errors that are accepted.
  private struct Tolerance {
    let likelihood, latents, gradients: Double
    /// Of gradients that only ε keeps from zero, and of those that are zero, over the largest of all.
    let tiny, zero: Double

    static let inDouble = Tolerance(
      likelihood: 1e-13, latents: 1e-13, gradients: 1e-12, tiny: 1e-7, zero: 1e-12)
    static let inFloat = Tolerance(
      likelihood: 5e-7, latents: 2e-6, gradients: 1e-4, tiny: 0.05, zero: 1e-4)
  }

  private func compare<S>(_ run: RealNVPReference<S>, _ tolerance: Tolerance) throws {
    for (mode, normalization) in [("eval", Normalization.running), ("train", .batch)] {
      try run.setImages()
      let likelihoods = run.glow.forward(run.workspace, count: run.count, normalization: normalization)
      let nats = likelihoods.map(\.nats)
      var worst = ["log-likelihood": relativeError(nats, try run.expected("\(mode).log_likelihood"))]
      #expect(worst["log-likelihood"]! < tolerance.likelihood, "\(mode)")
      #expect(
        relativeError(likelihoods.map(\.bitsPerDimension), try run.expected("\(mode).bits_per_dim"))
          < tolerance.likelihood)
      #expect(
        relativeError(
          likelihoods.map { $0.logDeterminants.reduce(0, +) }, try run.expected("\(mode).log_determinant"))
          < tolerance.latents, "\(mode)")
      worst["latents"] = relativeError(run.allLatents(), try run.expected("\(mode).latent"))
      #expect(worst["latents"]! < tolerance.latents, "\(mode)")

      // The reference's loss is the mean of −ln p.
      let gradients = try Slab<S>(count: run.glow.parameters.count)
      let imageGradient = try Slab<S>(count: run.count * run.glow.latentCount)
      try run.glow.backward(
        run.workspace, weights: [Double](repeating: -1 / Double(run.count), count: run.count),
        gradients: gradients.base, imageGradient: imageGradient.base)
      worst["input gradient"] = relativeError(
        imageGradient.values.map { Double($0) }, try run.expected("\(mode).gradient.input"))
      #expect(worst["input gradient"]! < tolerance.gradients, "\(mode)")
      let found = try run.model.pullBack(gradients.base, of: run.glow.parameters)
      let names = run.file.entries.map(\.name).filter {
        $0.hasPrefix("\(mode).gradient.") && $0 != "\(mode).gradient.input"
      }
      #expect(names.count > 100)
      let largest = try names.map { try run.expected($0).map(abs).max()! }.max()!
      for key in names {
        let name = String(key.dropFirst("\(mode).gradient.".count))
        let (gradient, expected) = (try #require(found[name], "\(name)"), try run.expected(key))
        if Self.isNoise(name) && mode == "train" || name.hasSuffix("rescale.weight_v") {
          #expect(gradient.allSatisfy { abs($0) <= tolerance.zero * largest }, "\(mode) \(name)")
          continue
        }
        // Only ε keeps it from zero.
        let isTiny = mode == "train" && name.contains(".blocks.") && name.hasSuffix("in_conv.conv.weight_g")
        let error = relativeError(gradient, expected)
        let kind = isTiny ? "tiny gradients" : "gradients"
        worst[kind] = max(worst[kind] ?? 0, error)
        #expect(error < (isTiny ? tolerance.tiny : tolerance.gradients), "\(mode) \(name): \(error)")
      }
      print("\(run.file.path) in \(S.self), \(mode): \(worst)")
    }
    try compareStatistics(run, tolerance.latents)
    try compareSamples(run, tolerance.latents)
  }

  /// After the training pass above.
  private func compareStatistics<S>(_ run: RealNVPReference<S>, _ tolerance: Double) throws {
    run.glow.followStatistics(run.glow.statistics(of: run.workspace))
    let prefix = "train.statistics."
    for entry in run.file.entries where entry.name.hasPrefix(prefix) && !entry.name.hasSuffix("tracked") {
      let name = String(entry.name.dropFirst(prefix.count))
      let relation = run.model.relations.first { $0.stored.contains { $0.name == name } }!
      let ours = run.glow.parameters[relation.ours[0]]!
      let found = ours.range.map { Double(run.glow.values.base[$0]) }
      #expect(relativeError(found, try run.expected(entry.name)) < tolerance, "\(name)")
    }
  }

  private func compareSamples<S>(_ run: RealNVPReference<S>, _ tolerance: Double) throws {
    // The statistics have changed.
    let glow = try run.model.glow(as: S.self, team: run.glow.team)
    let size = glow.latentCount
    let pictures = try run.expected("sample.latent")
    let latents = (0..<2).flatMap { run.latents(Array(pictures[$0 * size..<($0 + 1) * size])) }
    run.workspace.setLatents(latents.map { S($0) }, count: 2)
    try glow.inverse(run.workspace, count: 2)
    let shape = glow.configuration.imageShape
    let found = (0..<2).flatMap { image in
      (0..<shape.channels).flatMap { channel in
        (0..<shape.positions).map { position in
          Double(run.workspace.images[image * size + position * shape.channels + channel])
        }
      }
    }
    // The file has the logits, of which some are too large to be told from pixels.
    let expected = try run.expected("sample.image").map { tanh($0 / 2) / 1.8 }
    let error = relativeError(found, expected)
    print("\(run.file.path) in \(S.self), decoded: \(error)")
    #expect(error < tolerance)
  }

  @Test("10 steps of Adam in training mode: losses, weights and statistics")
  func trajectory() throws {
    try follow(RealNVPReference<Double>("torch-realnvp-cifar"), loss: 1e-10, weights: 1e-9, loose: 1e-5)
    // Losses to some units in the last place: 5e-9 with packed products, 2e-7 with those of OpenBLAS for AVX-512.
    try follow(RealNVPReference<Float>("torch-realnvp-cifar"), loss: 1e-6, weights: 1e-3, loose: 3e-2)
  }

  /// - Parameters:
  ///   - weights: the largest difference that is accepted.
  ///   - loose: of weights whose gradient is rounding, and of what these change.
  private func follow<S>(
    _ run: RealNVPReference<S>, loss lossTolerance: Double, weights: Double, loose: Double
  ) throws {
    let expected = try run.expected("trajectory.loss")
    // ε stands beside the corrected √v in the reference: Adam as in Kingma & Ba 2015, algorithm 1, here.
    let (glow, count) = (run.glow, run.glow.parameters.count)
    let gradients = try Slab<S>(count: count)
    let (m, v) = (try Slab<Double>(count: count), try Slab<Double>(count: count))
    var lossError = 0.0
    for step in 1...expected.count {
      try run.setImages()
      gradients.clear(glow.team)
      let likelihoods = glow.forward(run.workspace, count: run.count, normalization: .batch)
      let loss = -likelihoods.reduce(0) { $0 + $1.nats } / Double(run.count)
      lossError = max(lossError, abs(loss / expected[step - 1] - 1))
      try glow.backward(
        run.workspace, weights: [Double](repeating: -1 / Double(run.count), count: run.count),
        gradients: gradients.base)
      glow.followStatistics(glow.statistics(of: run.workspace))
      for index in glow.parameters.trainableRanges.joined() {
        let g = Double(gradients.base[index])
        m.base[index] = 0.9 * m.base[index] + 0.1 * g
        v.base[index] = 0.999 * v.base[index] + 0.001 * g * g
        let t = Double(step)
        let change =
          1e-3 * (m.base[index] / (1 - pow(0.9, t)))
          / ((v.base[index] / (1 - pow(0.999, t))).squareRoot() + 1e-8)
        glow.values.base[index] = S(Double(glow.values.base[index]) - change)
      }
      try glow.parametersChanged()
    }
    #expect(lossError < lossTolerance)
    let prefix = "trajectory.weight."
    var worst = ["weights": (0.0, ""), "loose": (0, "")]
    for relation in run.model.relations where !relation.ours.isEmpty {
      let stored = try relation.stored.map { try run.expected(prefix + $0.name) }
      let values = try relation.read(stored)[0]
      let found = glow.parameters[relation.ours[0]]!.range.map { Double(glow.values.base[$0]) }
      let name = relation.stored[0].name
      let isLoose = Self.isNoise(name) || name.hasSuffix("running_mean")
      let error = zip(found, values).map { abs($0 - $1) }.max()!
      #expect(error < (isLoose ? loose : weights), "\(name): \(error)")
      let kind = isLoose ? "loose" : "weights"
      if error > worst[kind]!.0 { worst[kind] = (error, name) }
    }
    print("\(S.self), \(expected.count) steps of Adam: losses within \(lossError), \(worst)")
  }

  @Test("what is exported reads back as the same model", arguments: names)
  func export(name: String) throws {
    let run = try RealNVPReference<Float>(name)
    let path = FileManager.default.temporaryDirectory.appending(path: "glow-realnvp-\(UUID()).safetensors")
      .path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try ModelExport.write(run.glow, as: .realnvp, to: path)
    let again = try ModelImport.read(path, from: .realnvp, as: Float.self, team: ThreadTeam(count: 1))
    #expect(again.configuration == run.glow.configuration)
    #expect(Array(again.values.values) == Array(run.glow.values.values))
    #expect(throws: FileErrorLike.self) {
      do { try ModelExport.write(run.glow, as: .openai, to: path) } catch { throw FileErrorLike("\(error)") }
    }
  }

  private struct FileErrorLike: Error {
    let text: String
    init(_ text: String) { self.text = text }
  }
}
