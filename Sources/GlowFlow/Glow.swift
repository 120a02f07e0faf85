import Foundation
import GlowKernels

/// A model whose parameters no longer describe an invertible map.
public struct SingularMapError: Error, CustomStringConvertible {
  /// The flow step, for instance `level0.step3`.
  public let step: String
  public let reason: LinearAlgebraError
  public var description: String { "\(step): the channel map cannot be inverted: \(reason)" }
}

/// A Glow (Kingma & Dhariwal 2018): an invertible map from an image to standard normal latents of the same
/// number of dimensions.
///
/// An image of real values x [H, W, C] is squeezed, passes `depth` flow steps at each of `levels` scales, and
/// leaves half of its channels as ε at each split, the rest at the top. ln p(x) is the log-determinants plus
/// the prior densities.
///
/// Change `values` and then call `parametersChanged()`. Passes work in a `Workspace`, and one after the other.
public final class Glow<S: Scalar>: @unchecked Sendable {
  public let configuration: GlowConfiguration
  /// What `values`, and every slab of gradients or moments, holds.
  public let parameters: ParameterList
  public let values: Slab<S>
  public let team: ThreadTeam
  public let dequantization: Dequantization

  let steps: [[FlowStep]]
  let splits: [Split]
  let top: TopPrior
  let classifier: Classifier?
  let tileRows: Int

  /// Folded weights of all layers; the gradient of them has the same layout.
  let folded: Slab<S>
  private(set) lazy var foldedGradient = Slab<S>(count: folded.count)
  let layout: FoldedLayout
  /// Of each step's channel map, by level and step.
  private(set) var factorizations: [[Factorization]] = []
  /// A⁻¹ and −c·A⁻¹ of each step's channel map; made when something is first decoded.
  var inverses: [[Slab<S>]]?
  private let initialized: Int

  /// A new model with random weights. Its actnorms still wait for `initialize(from:)`.
  ///
  /// - Throws: `ConfigurationError`.
  public convenience init(
    configuration: GlowConfiguration, seed: UInt64 = 0, team: ThreadTeam = ThreadTeam()
  ) throws {
    try self.init(configuration: configuration, seed: seed, team: team, tileRows: Tiling.defaultRows)
  }

  /// - Parameter tileRows: positions of a tile; other than the default only to try the edges of tiles.
  package init(
    configuration: GlowConfiguration, seed: UInt64 = 0, team: ThreadTeam, tileRows: Int
  ) throws {
    let layers = try GlowLayers(configuration)
    self.configuration = configuration
    self.team = team
    self.tileRows = tileRows
    dequantization = Dequantization(bits: configuration.bits)
    initialized = layers.initialized
    steps = layers.steps
    splits = layers.splits
    top = layers.top
    classifier = layers.classifier
    parameters = layers.parameters
    values = Slab(count: parameters.count)
    layout = FoldedLayout(steps: steps, splits: splits, top: top, classifier: classifier)
    folded = Slab(count: layout.count)
    try setInitialValues(seed: seed)
    try parametersChanged()
  }

  private func setInitialValues(seed: UInt64) throws {
    var stream: UInt64 = 0
    func generator() -> Philox {
      stream += 1
      return Philox(seed: seed, purpose: .weights, stream: stream)
    }
    for step in steps.joined() {
      try step.map.mixing.initialize(values.base, generator: generator())
      step.network.initialize(values.base) { _ in generator() }
    }
  }

  /// Whether the actnorms have been set from data, or read from a file.
  public var isInitialized: Bool {
    get { values.base[initialized] != 0 }
    set { values.base[initialized] = newValue ? 1 : 0 }
  }

  /// The total number of channel values that leave as latents, equal to the image's H·W·C.
  public var latentCount: Int { configuration.dimensions }

  /// The shapes of one image's latents: split 0, split 1, …, top.
  public var latentShapes: [LevelShape] {
    (0..<configuration.levels).map { level in
      let shape = configuration.shape(ofLevel: level)
      return level == configuration.levels - 1
        ? shape : LevelShape(height: shape.height, width: shape.width, channels: shape.channels / 2)
    }
  }

  // MARK: Folding

  /// Folds the parameters; to be called after any change of `values`.
  ///
  /// - Throws: `SingularMapError` naming the step whose channel map has no inverse or is not finite.
  @specialized(where S == Float)
  @specialized(where S == Double)
  public func parametersChanged() throws {
    inverses = nil
    let all = Array(steps.joined())
    var results = [Result<Factorization, any Error>?](repeating: nil, count: all.count)
    results.withUnsafeMutableBufferPointer { results in
      let results = results
      team.run(all.count) { index, _ in
        let target = folded.base + layout.steps[index]
        all[index].network.fold(values.base, into: target)
        results[index] = Result { try all[index].map.fold(values.base, into: target) }
      }
    }
    for (index, split) in splits.enumerated() {
      split.convolution.fold(values.base, into: folded.base + layout.splits[index])
    }
    top.fold(values.base, into: folded.base + layout.top)
    classifier?.layer.fold(values.base, into: folded.base + layout.classifier)
    let flat = try zip(all, results).map { step, result in
      do { return try result!.get() } catch let reason as LinearAlgebraError {
        throw SingularMapError(step: step.name, reason: reason)
      }
    }
    factorizations = steps.indices.map { level in
      Array(flat[level * configuration.depth..<(level + 1) * configuration.depth])
    }
  }

  func foldedStep(_ level: Int, _ step: Int) -> UnsafeMutablePointer<S> {
    folded.base + layout.steps[level * configuration.depth + step]
  }

  // MARK: Workspaces

  /// Books the memory that passes over up to `batch` images need.
  public func workspace(batch: Int, purpose: Purpose) -> Workspace<S> {
    Workspace(plan: plan(batch: batch, purpose: purpose), threads: team.count)
  }

  /// The bytes that `workspace(batch:purpose:)` would book.
  public func workspaceBytes(batch: Int, purpose: Purpose) -> Int {
    plan(batch: batch, purpose: purpose).bytes(threads: team.count, S.self)
  }

  private func plan(batch: Int, purpose: Purpose) -> WorkspacePlan {
    WorkspacePlan(
      configuration: configuration, batch: batch, purpose: purpose, tileRows: tileRows,
      largestFoldedCount: layout.largest)
  }
}
