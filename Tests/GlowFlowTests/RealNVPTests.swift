import Foundation
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

@Suite("Layers of a RealNVP, in Double against finite differences and a numerical Jacobian")
struct RealNVPLayerTests {
  /// A small RealNVP. Its first level has four checkerboard couplings if it is of one scale; of two scales the second
  /// level has the channel-wise ones.
  static func model(
    _ cut: Cut, scales: Int = 1, keepsHidden: Bool = true, _ normalization: Normalization = .running,
    width: Int = 3, change: (inout GlowConfiguration) -> Void = { _ in }
  ) throws -> SmallModel {
    let model = try SmallModel(
      {
        $0.architecture = .realNVP
        $0.levels = scales
        $0.blocks = 1
        $0.width = width
        change(&$0)
      }, cut: cut, keepsHidden: keepsHidden)
    model.normalization = normalization
    // A normalization with the statistics of the batch follows: zero, or next to it, where differences are rounding. The
    // values of another implementation confirm them.
    if normalization == .batch {
      model.isLeftOut = { name in
        ["in_conv.bias", "in_skip.bias", "block0.out_conv.bias", "skip.bias", "block0.in_conv.weight_g"]
          .contains { name.hasSuffix($0) }
      }
    }
    return model
  }

  private func expectAccepted(_ layer: CheckedLayer, at input: [Double], _ what: String) throws {
    let report = try check(layer, at: input)
    print("\(layer.name), \(what): \(report)")
    #expect(report.isAccepted, "\(layer.name), \(what): \(report)")
  }

  @Test("logit", arguments: Cut.all)
  func logit(cut: Cut) throws {
    let model = try Self.model(cut)
    try expectAccepted(model.layer(0), at: model.randomImages(), cut.name)
  }

  /// Enough to cut a batch in every way, and no more: each value of each picture is differenced.
  private static let cuts = [
    Cut.one, Cut(name: "tiles, the last not full", images: 3, side: 4, tileRows: 32),
    Cut(name: "bands", images: 1, side: 8, tileRows: 12),
  ]

  @Test(
    "checkerboard couplings, with the statistics of the batch and those kept",
    arguments: [Normalization.batch, .running], cuts)
  func checkerboard(normalization: Normalization, cut: Cut) throws {
    for (index, keepsHidden) in [(1, true), (2, false)] {
      let model = try Self.model(cut, keepsHidden: keepsHidden, normalization)
      try expectAccepted(
        model.layer(index), at: model.randomInput(),
        "\(normalization), \(keepsHidden ? "kept" : "recomputed"), \(cut)")
    }
  }

  @Test(
    "channel-wise couplings, with the statistics of the batch and those kept",
    arguments: [Normalization.batch, .running], cuts)
  func channels(normalization: Normalization, cut: Cut) throws {
    for (index, keepsHidden) in [(1, true), (2, false)] {
      let model = try Self.model(cut, scales: 2, keepsHidden: keepsHidden, normalization, width: 3)
      try expectAccepted(
        model.layer(index, level: 1), at: model.randomInput(),
        "\(normalization), \(keepsHidden ? "kept" : "recomputed"), \(cut)")
    }
  }

  @Test("what leaves in the middle and at the end", arguments: Cut.all)
  func latents(cut: Cut) throws {
    let two = try Self.model(cut, scales: 2)
    try expectAccepted(two.layer(4, level: 1), at: two.randomInput(), cut.name)
    let one = try Self.model(cut)
    try expectAccepted(one.layer(5), at: one.randomInput(), cut.name)
  }

  @Test("whole model", arguments: [1, 2])
  func whole(scales: Int) throws {
    let model = try Self.model(.one, scales: scales, width: 3)
    try expectAccepted(model.whole(), at: model.randomImages(), "\(scales) scales")
  }

  @Test("a gradient that does not go through the statistics of the batch is rejected")
  func throughStatistics() throws {
    let model = try Self.model(.one, .batch)
    var layer = model.layer(1)
    let backward = layer.backward
    layer.backward = { x, dy, dLogDeterminants in
      model.workspace.begin(count: model.images, normalization: .running)
      return try backward(x, dy, dLogDeterminants)
    }
    let report = try check(layer, at: model.randomInput())
    #expect(report.inputGradient > 1e-3 && report.parameterGradient > 1e-3, "\(report)")
  }

  @Test("a wrong gradient of a filter's length is rejected")
  func wrongLength() throws {
    let model = try Self.model(.one, .batch)
    var layer = model.layer(1)
    let backward = layer.backward
    layer.backward = { x, dy, dLogDeterminants in
      let before = Array(layer.gradients)
      let dx = try backward(x, dy, dLogDeterminants)
      for index in model.glow.parameters["scale0.checkerboard0.block0.out_conv.weight_g"]!.range {
        layer.gradients[index] = before[index] + 1.01 * (layer.gradients[index] - before[index])
      }
      return dx
    }
    let report = try check(layer, at: model.randomInput())
    #expect(report.parameterGradient > 1e-3 && !report.isAccepted, "\(report)")
  }
}

@Suite("What a RealNVP comes to")
struct RealNVPResultTests {
  private func model(
    threads: Int, tileRows: Int = 64, images: Int = 16, _ normalization: FlowNormalization
  ) throws -> Glow<Float> {
    var configuration = GlowConfiguration()
    configuration.architecture = .realNVP
    configuration.flowNormalization = normalization
    (configuration.levels, configuration.blocks, configuration.width) = (2, 1, 8)
    (configuration.imageHeight, configuration.imageWidth, configuration.imageChannels) = (images, images, 3)
    return try Glow(
      configuration: configuration, seed: 5, team: ThreadTeam(count: threads), tileRows: tileRows)
  }

  private func fill(_ workspace: Workspace<Float>, _ count: Int) {
    let values = UnsafeMutableBufferPointer(start: workspace.images, count: count)
    Philox(seed: 9, purpose: .dequantization).fillUniform(values)
    for index in values.indices { values[index] -= 0.5 }
  }

  /// Bits of the gradients, and of the running statistics afterwards.
  private func step(threads: Int, _ normalization: FlowNormalization) throws -> [UInt32] {
    let glow = try model(threads: threads, normalization)
    let workspace = try glow.workspace(batch: 5, purpose: .training(keepsHidden: true))
    fill(workspace, 5 * glow.latentCount)
    let gradients = try Slab<Float>(count: glow.parameters.count)
    _ = try glow.objective(workspace, count: 5, gradients: gradients.base)
    glow.followStatistics(glow.statistics(of: workspace))
    return gradients.values.map(\.bitPattern) + glow.values.values.map(\.bitPattern)
  }

  @Test(
    "gradients and statistics have the same bits with 1, 2, 3 and 5 threads",
    arguments: FlowNormalization.allCases)
  func threads(normalization: FlowNormalization) throws {
    let one = try step(threads: 1, normalization)
    for threads in [2, 3, 5] {
      #expect(try step(threads: threads, normalization) == one, "\(threads) threads")
    }
  }

  @Test(
    "a score does not depend on the images beside it", arguments: [64, 256], FlowNormalization.allCases)
  func scores(tileRows: Int, normalization: FlowNormalization) throws {
    let glow = try model(threads: 2, tileRows: tileRows, normalization)
    let size = glow.latentCount
    let all = try glow.workspace(batch: 5, purpose: .inference)
    fill(all, 5 * size)
    let likelihoods = glow.forward(all, count: 5)
    let alone = try glow.workspace(batch: 2, purpose: .inference)
    for image in 0..<5 {
      fill(all, 5 * size)
      alone.images.update(from: all.images + image * size, count: size)
      #expect(glow.forward(alone, count: 1)[0] == likelihoods[image])
    }
  }

  @Test("latents decode to their images", arguments: FlowNormalization.allCases)
  func decode(normalization: FlowNormalization) throws {
    let glow = try model(threads: 2, normalization)
    let size = glow.latentCount
    let workspace = try glow.workspace(batch: 3, purpose: .inference)
    fill(workspace, 3 * size)
    let images = (0..<3 * size).map { workspace.images[$0] }
    _ = glow.forward(workspace, count: 3)
    var latents = [Float](repeating: 0, count: 3 * size)
    latents.withUnsafeMutableBufferPointer { latents in
      for image in 0..<3 { workspace.readLatents(image, into: latents.baseAddress! + image * size) }
    }
    #expect(glow.latentShapes.map(\.count).reduce(0, +) == size)
    workspace.setLatents(latents, count: 3)
    try glow.inverse(workspace, count: 3)
    let worst = (0..<3 * size).map { abs(workspace.images[$0] - images[$0]) }.max()!
    #expect(worst < 1e-5)
  }

  @Test("a model has its initial statistics, and needs no data", arguments: FlowNormalization.allCases)
  func start(normalization: FlowNormalization) throws {
    let glow = try model(threads: 1, normalization)
    #expect(glow.isInitialized)
    for range in glow.parameters.entries.filter({ $0.role == .statistic }) {
      let expected: Float = range.name.hasSuffix("var") ? 1 : 0
      #expect(range.range.allSatisfy { glow.values.base[$0] == expected })
    }
  }

  @Test("a new configuration has the defaults of its architecture, and tells the settings that this has")
  func defaults() {
    let configuration = GlowConfiguration(.realNVP)
    #expect(configuration.outline == "RealNVP, scales 2, blocks 8, width 64, flow normalization batch")
    #expect(!configuration.learnsTopPrior)
    #expect(
      configuration.settings.map(\.name) == [
        "imageHeight", "imageWidth", "imageChannels", "architecture", "levels", "width", "blocks",
        "flowNormalization", "bits",
      ])
    var other = configuration
    (other.depth, other.padding) = (3, .zeros)
    #expect(other != configuration && other.differences(from: configuration).isEmpty)
    other.width = 32
    let found = configuration.differences(from: other).map { [$0.name, $0.own, $0.other] }
    #expect(found == [["width", "64", "32"]])
    let glow = GlowConfiguration()
    #expect(configuration.differences(from: glow).map(\.name) == ["architecture"])
    #expect(!glow.has(.flowNormalization) && glow.has(.depth))
    #expect(glow.settings.count == GlowConfiguration.Setting.allCases.count - 1)
    var begun = configuration
    begun.begin(.glow)
    #expect(begun == glow)
  }

  @Test("a width that doubles too far, and sizes that cannot be halved, are told with what was given")
  func named() {
    var configuration = GlowConfiguration(.realNVP)
    func error() -> String {
      do { try configuration.validate { $0 == "levels" ? "--scales" : "--\($0)" } } catch {
        return "\(error)"
      }
      return ""
    }
    configuration.imageWidth = 33
    #expect(
      error()
        == "images of 32×33 cannot be halved once (both sides must divide by 2): use --size 34 or --scales 1")
    (configuration.levels, configuration.width) = (3, 8192)
    #expect(
      error()
        == "--width 8192 is doubled at each scale, to 32768 at the last of 3, and may be at most 16384 there: "
        + "use a lower --width or --scales")
    configuration.levels = 13
    #expect(error() == "--scales must be 1 to 12, not 13")
  }

  @Test("settings that no RealNVP has are refused")
  func refused() {
    var configuration = GlowConfiguration()
    configuration.architecture = .realNVP
    configuration.classCount = 3
    #expect(throws: ConfigurationError.self) { try configuration.validate() }
    configuration.classCount = 0
    configuration.levels = 12
    #expect(throws: ConfigurationError.self) { try configuration.validate() }
    configuration.levels = 6
    #expect(throws: Never.self) { try configuration.validate() }
  }
}
