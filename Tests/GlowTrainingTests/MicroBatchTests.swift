import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import Testing

@testable import GlowRanks
@testable import GlowTraining

@Suite("Batches in parts")
struct MicroBatchTests {
  private let runs = Runs()

  private func trainer(
    _ name: String, _ microBatch: Int?, threads: Int = 2, steps: Int = 12,
    _ architecture: ArchitectureKind = .glow
  ) throws -> Trainer {
    try runs.trainer(name, steps: steps, threads: threads) {
      if architecture == .realNVP { Self.makeRealNVP(&$0.model) }
      $0.training.batch = 8
      $0.training.microBatch = microBatch
      $0.training.evaluateEvery = 5
      $0.training.flips = true
    }
  }

  @Test("a batch in one part is the batch; in several it is the same to rounding, and uses each image once")
  func parts() throws {
    defer { runs.remove() }
    func losses(_ microBatch: Int?) throws -> [Double] {
      let run = try trainer("\(microBatch ?? 0)", microBatch)
      _ = try run.run()
      return try runs.metrics(run).compactMap { $0["loss"] }
    }
    let whole = try losses(nil)
    #expect(try losses(8) == whole)
    #expect(
      try runs.bytes("\(runs.root)/0/model.safetensors") == runs.bytes("\(runs.root)/8/model.safetensors"))
    // The last part of three has two images.
    for microBatch in [1, 3, 4] {
      let parts = try losses(microBatch)
      #expect(parts.count == whole.count)
      for (loss, expected) in zip(parts, whole) {
        #expect(abs(loss - expected) < 1e-3 * expected, "\(microBatch): \(loss), \(expected)")
      }
    }
  }

  @Test(
    "the gradient of parts, added up, is that of the batch, to rounding in Double; a part left out is seen")
  func gradient() throws {
    var configuration = GlowConfiguration()
    configuration.imageHeight = 16
    configuration.imageWidth = 16
    (configuration.levels, configuration.depth, configuration.width) = (2, 2, 8)
    configuration.classCount = 3
    let glow = try Glow<Double>(configuration: configuration, seed: 1, team: ThreadTeam(count: 2))
    // The last convolution of a new conditioner is zero: from there no gradient would come.
    for index in glow.parameters.trainableRanges.joined() {
      glow.values.base[index] += 0.02 * (Double(index * 7919 % 101) / 50 - 1)
    }
    try glow.parametersChanged()
    let (count, size) = (5, configuration.dimensions)
    let workspace = try glow.workspace(batch: count, purpose: .training(keepsHidden: true))
    let pixels = (0..<count * size).map { Double($0 * 31 % 97) / 97 - 0.5 }
    let labels = [0, 1, 2, 1, 0]
    func gradient(_ parts: [Range<Int>]) throws -> ([Double], Objective) {
      let sum = try Slab<Double>(count: glow.foldedGradient?.count ?? 0)
      var images: [ImageBits] = []
      for part in parts {
        for (place, value) in pixels[part.lowerBound * size..<part.upperBound * size].enumerated() {
          workspace.images[place] = value
        }
        images += glow.pullBackObjective(
          workspace, count: part.count, of: count, labels: Array(labels[part]))
        for index in 0..<sum.count { sum.base[index] += glow.foldedGradient!.base[index] }
      }
      glow.foldedGradient!.base.update(from: sum.base, count: sum.count)
      let gradients = try Slab<Double>(count: glow.parameters.count)
      try glow.foldObjectiveBackward(batch: count, into: gradients.base)
      return (Array(gradients.values), Objective(images))
    }
    let (whole, objective) = try gradient([0..<5])
    let largest = whole.map(abs).max()!
    func difference(_ parts: [Range<Int>]) throws -> Double {
      zip(try gradient(parts).0, whole).map { abs($0 - $1) }.max()! / largest
    }
    #expect(try difference([0..<2, 2..<4, 4..<5]) < 1e-12)
    #expect(try gradient([0..<2, 2..<4, 4..<5]).1.loss == objective.loss)
    #expect(try difference([0..<2, 2..<4]) > 1e-3)
    #expect(try difference([0..<2, 2..<4, 3..<4]) > 1e-3)
  }

  /// One with every kind of batch normalization.
  private static func makeRealNVP(_ model: inout GlowConfiguration) {
    (model.architecture, model.flowNormalization) = (.realNVP, .batch)
    (model.levels, model.blocks, model.width) = (2, 1, 4)
  }

  @Test("with batch normalization the gradient is the mean of those of the parts, each by itself")
  func normalizedGradient() throws {
    var configuration = GlowConfiguration()
    Self.makeRealNVP(&configuration)
    (configuration.imageHeight, configuration.imageWidth) = (8, 8)
    let glow = try Glow<Double>(configuration: configuration, seed: 1, team: ThreadTeam(count: 2))
    let (count, size) = (5, configuration.dimensions)
    let workspace = try glow.workspace(batch: count, purpose: .training(keepsHidden: true))
    func load(_ part: Range<Int>) {
      for place in 0..<part.count * size {
        workspace.images[place] = Double((part.lowerBound * size + place) * 31 % 97) / 100 - 0.48
      }
    }
    /// Of each learned parameter.
    func gradient(_ body: (UnsafeMutablePointer<Double>) throws -> Void) throws -> [Double] {
      let gradients = try Slab<Double>(count: glow.parameters.count)
      try body(gradients.base)
      return glow.parameters.trainableRanges.flatMap { $0.map { gradients.base[$0] } }
    }
    let parts = [0..<2, 2..<4, 4..<5]
    let sum = try Slab<Double>(count: glow.foldedGradient!.count)
    for part in parts {
      load(part)
      _ = glow.pullBackObjective(workspace, count: part.count, of: count)
      for index in 0..<sum.count { sum.base[index] += glow.foldedGradient!.base[index] }
    }
    let found = try gradient {
      glow.foldedGradient!.base.update(from: sum.base, count: sum.count)
      try glow.foldObjectiveBackward(batch: count, into: $0)
    }
    func alone(_ part: Range<Int>) throws -> [Double] {
      load(part)
      return try gradient { _ = try glow.objective(workspace, count: part.count, gradients: $0) }
    }
    var mean = [Double](repeating: 0, count: found.count)
    for part in parts {
      for (index, value) in try alone(part).enumerated() {
        mean[index] += Double(part.count) / Double(count) * value
      }
    }
    let largest = mean.map(abs).max()!
    func difference(_ expected: [Double]) -> Double {
      zip(found, expected).map { abs($0 - $1) }.max()! / largest
    }
    #expect(difference(mean) < 1e-12)
    #expect(try difference(alone(0..<5)) > 1e-3)
  }

  @Test("statistics that are kept follow the mean of those of the parts, which is not the batch's")
  func keptStatistics() throws {
    defer { runs.remove() }
    let run = try trainer("run", 3, steps: 1, .realNVP)
    let glow = try Glow<Float>(configuration: run.configuration.model, seed: 0, team: ThreadTeam(count: 1))
    let kept = glow.parameters.ranges(of: .statistic).joined()
    let workspace = try glow.workspace(batch: 8, purpose: .training(keepsHidden: true))
    func statistics(_ part: Range<Int>) throws -> [Double] {
      var feed = ImageFeed(run.train, run.training)
      _ = try feed.load(
        part.lowerBound, count: part.count, into: workspace.images, dequantization: glow.dequantization,
        team: glow.team)
      _ = glow.pullBackObjective(workspace, count: part.count, of: 8)
      return glow.statistics(of: workspace)
    }
    let parts = try [0..<3, 3..<6, 6..<8].map { try (statistics($0), Double($0.count)) }
    let whole = try statistics(0..<8)
    _ = try run.run()
    var furthest = 0.0
    for (place, index) in kept.enumerated() {
      let mean = parts.reduce(0) { $0 + $1.0[place] * $1.1 } / 8
      let expected = 0.9 * Double(glow.values.base[index]) + 0.1 * mean
      let found = Double(run.glow.values.base[index])
      #expect(abs(found - expected) <= 1e-7 * max(1, abs(expected)), "\(place): \(found), \(expected)")
      furthest = max(furthest, abs(mean - whole[place]) / abs(whole[place]))
    }
    #expect(kept.count == whole.count && furthest > 0.1)
  }

  @Test("of statistics of parts each counts as many times as it has images")
  func meanStatistics() {
    var training = TrainingConfiguration()
    (training.batch, training.microBatch) = (5, 2)
    #expect(BatchParts(training).mean([1, 10, 2, 20, 4, 40]) == [2, 20])
    training.microBatch = nil
    #expect(BatchParts(training).mean([0.1, -3]) == [0.1, -3] && BatchParts(training).mean([]) == [])
  }

  @Test("threads change nothing; a run goes on in the same parts", arguments: ArchitectureKind.allCases)
  func threads(architecture: ArchitectureKind) throws {
    defer { runs.remove() }
    let one = try trainer("one", 3, threads: 1, architecture)
    _ = try one.run()
    let first = try trainer("parts", 3, threads: 2, architecture)
    first.interruption = { first.step >= 5 ? SIGTERM : nil }
    _ = try first.run()
    let second = try trainer("parts", 3, threads: 2, architecture)
    try second.resume()
    _ = try second.run()
    #expect(try runs.bytes(one.folder.model) == runs.bytes(second.folder.model))
    #expect(try runs.bytes(one.folder.checkpoint(12)) == runs.bytes(second.folder.checkpoint(12)))
  }

  @Test("a share of each batch holds the images that the whole has there")
  func shares() throws {
    var training = TrainingConfiguration()
    (training.batch, training.flips) = (7, true)
    let data = FaceDataset(count: 10, seed: 0, part: .train)
    let glow = try Glow<Float>(
      configuration: RunsModel.configuration, seed: 0, team: ThreadTeam(count: 1))
    let size = data.shape.count
    func images(_ feed: inout ImageFeed, _ start: Int, _ count: Int) throws -> [Float] {
      let slab = try Slab<Float>(count: count * size)
      _ = try feed.load(
        start, count: count, into: slab.base, dequantization: glow.dequantization, team: glow.team)
      return Array(slab.values)
    }
    var whole = ImageFeed(data, training)
    var share = ImageFeed(data, training, share: 2..<5)
    // Some of an epoch, and over its end.
    for step in 0..<4 {
      let all = try images(&whole, 7 * step, 7)
      #expect(try images(&share, 7 * step + 2, 2) == Array(all[2 * size..<4 * size]), "\(step)")
      #expect(try images(&share, 7 * step + 4, 1) == Array(all[4 * size..<5 * size]), "\(step)")
    }
  }

  private enum RunsModel {
    static var configuration: GlowConfiguration {
      var model = GlowConfiguration()
      (model.levels, model.depth, model.width) = (1, 1, 8)
      return model
    }
  }

  @Test("what processes tell each other goes in pieces that MPI can count")
  func pieces() {
    #expect(Ranks.pieces(of: [0, 0]).isEmpty)
    #expect(Ranks.pieces(of: [5, 0, 7]) == [[5, 0, 7]])
    #expect(Ranks.pieces(of: [5, 0, 7], limit: 9) == [[3, 0, 3], [2, 0, 3], [0, 0, 1]])
    let large = Ranks.pieces(of: [3 << 30, 1, 2 << 30])
    #expect(large.allSatisfy { $0.reduce(0) { $0 + Int($1) } <= Int32.max })
    #expect((0..<3).map { rank in large.reduce(0) { $0 + Int($1[rank]) } } == [3 << 30, 1, 2 << 30])
  }

  @Test("the sums of parts that wait for each other are few")
  func sums() {
    for count in 1...64 {
      #expect(1 << (BatchPass.sumCount(0..<count) - 1) < count)
    }
  }

  @Test("parts cover the batch, and processes the parts", arguments: [(16, 4), (16, 5), (7, 1), (8, 8)])
  func cover(batch: Int, microBatch: Int) {
    var training = TrainingConfiguration()
    (training.batch, training.microBatch) = (batch, microBatch)
    let parts = BatchParts(training)
    #expect((0..<parts.count).flatMap { Array(parts.images(of: $0)) } == Array(0..<batch))
    for processes in 1...parts.count {
      let shares = parts.shares(of: processes)
      #expect(shares.flatMap { Array($0) } == Array(0..<parts.count) && shares.allSatisfy { !$0.isEmpty })
      #expect(shares.flatMap { Array(parts.images(of: $0)) } == Array(0..<batch))
    }
  }

  @Test("a part is no larger than the batch")
  func refused() throws {
    defer { runs.remove() }
    #expect(throws: ConfigurationError.self) { try trainer("large", 9) }
    #expect(throws: ConfigurationError.self) { try trainer("none", 0) }
  }
}
