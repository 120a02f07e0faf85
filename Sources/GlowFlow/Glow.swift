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
  public let dequantisation: Dequantisation

  let steps: [[FlowStep]]
  let splits: [Split]
  let top: TopPrior
  let classifier: Classifier?
  let tileRows: Int

  /// Folded weights of all layers; the gradient of them has the same layout.
  private let folded: Slab<S>
  private lazy var foldedGradient = Slab<S>(count: folded.count)
  private let layout: FoldedLayout
  /// Of each step's channel map, by level and step.
  private(set) var factorisations: [[Factorisation]] = []
  /// A⁻¹ and −c·A⁻¹ of each step's channel map; made when something is first decoded.
  private var inverses: [[Slab<S>]]?
  private let initialised: Int

  /// A new model with random weights. Its actnorms still wait for `initialise(from:)`.
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
    dequantisation = Dequantisation(bits: configuration.bits)
    initialised = layers.initialised
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
      try step.map.mixing.initialise(values.base, generator: generator())
      step.network.initialise(values.base) { _ in generator() }
    }
  }

  /// Whether the actnorms have been set from data, or read from a file.
  public var isInitialised: Bool {
    get { values.base[initialised] != 0 }
    set { values.base[initialised] = newValue ? 1 : 0 }
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
    var results = [Result<Factorisation, any Error>?](repeating: nil, count: all.count)
    results.withUnsafeMutableBufferPointer { results in
      let results = UncheckedBox(results)
      team.run(all.count) { index, _ in
        let target = folded.base + layout.steps[index]
        all[index].network.fold(values.base, into: target)
        results.value[index] = Result { try all[index].map.fold(values.base, into: target) }
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
    factorisations = steps.indices.map { level in
      Array(flat[level * configuration.depth..<(level + 1) * configuration.depth])
    }
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

  // MARK: Forward

  /// Maps the `count` images in `workspace.images` to latents, kept in the workspace, and returns the
  /// log-likelihood of each.
  ///
  /// - Parameters:
  ///   - labels: the class of each image, which a conditional model needs.
  @specialized(where S == Float)
  @specialized(where S == Double)
  public func forward(_ workspace: Workspace<S>, count: Int, labels: [Int]? = nil) -> [LogLikelihood] {
    check(labels, count)
    workspace.begin(count: count)
    for level in 0..<configuration.levels {
      enter(level, workspace)
      forwardSteps(level, 0..<configuration.depth, workspace)
      leave(level, workspace, labels: labels)
    }
    workspace.classifierResult = classifier.map { classifier in
      classifier.forward(
        topLatents(workspace), labels: labels!, folded: folded.base + layout.classifier)
    }
    return (0..<count).map { logLikelihood(ofImage: $0, workspace) }
  }

  /// Squeezes into the first activations of a level.
  func enter(_ level: Int, _ workspace: Workspace<S>) {
    let buffers = workspace.levels[level]
    let shape = buffers.shape
    let target = buffers.activations(before: 0)
    let isFirst = level == 0
    let source =
      isFirst
      ? workspace.images : workspace.levels[level - 1].activations(before: configuration.depth)
    // The second half of the channels of the level before has left the flow.
    let stride = isFirst ? configuration.imageChannels : shape.channels / 2
    team.run(workspace.count) { image, _ in
      Squeeze.forward(
        source + image * shape.positions * 4 * stride, stride: stride,
        into: target + image * shape.count, shape: shape)
    }
  }

  /// The steps of a range, one after the other.
  func forwardSteps(_ level: Int, _ range: Range<Int>, _ workspace: Workspace<S>) {
    let buffers = workspace.levels[level]
    workspace.logDeterminantSlots[level].withUnsafeMutableBufferPointer { slots in
      buffers.tiling.forEachTile(team, steps: range.count, phases: FlowStep.forwardPhases) {
        index, phase, tile, thread in
        let step = range.lowerBound + index
        steps[level][step].forward(
          phase: phase, tile, buffers, step: step, folded: foldedStep(level, step),
          scratch: workspace.scratch[thread], logDeterminants: slots.baseAddress!)
      }
    }
  }

  /// Sends the latents of a level out of the flow.
  func leave(_ level: Int, _ workspace: Workspace<S>, labels: [Int]?) {
    let buffers = workspace.levels[level]
    workspace.priorSlots[level].withUnsafeMutableBufferPointer {
      if level < splits.count {
        splits[level].forward(
          buffers, depth: configuration.depth, folded: folded.base + layout.splits[level],
          scratch: workspace.scratch, logDensities: $0.baseAddress!, team: team)
      } else {
        top.forward(
          buffers, depth: configuration.depth, labels: labels, folded: folded.base + layout.top,
          scratch: workspace.scratch, logDensities: $0.baseAddress!, team: team)
      }
    }
  }

  private func logLikelihood(ofImage image: Int, _ workspace: Workspace<S>) -> LogLikelihood {
    var logDeterminants: [Double] = []
    var priors: [Double] = []
    for (level, buffers) in workspace.levels.enumerated() {
      let slots = buffers.tiling.slots(ofImage: image)
      let constant = factorisations[level].reduce(0) { $0 + $1.logAbsoluteDeterminant }
      logDeterminants.append(
        slots.reduce(Double(buffers.shape.positions) * constant) {
          $0 + workspace.logDeterminantSlots[level][$1]
        })
      priors.append(slots.reduce(0) { $0 + workspace.priorSlots[level][$1] })
    }
    return LogLikelihood(
      dequantisationConstant: dequantisation.constant(dimensions: configuration.dimensions),
      logDeterminants: logDeterminants, priors: priors, dimensions: configuration.dimensions,
      classifierBits: workspace.classifierResult?.bits[image])
  }

  // MARK: Backward

  /// Adds to `gradients` those of Σ weights[n]·ln p(x_n) + classifierWeight·Σ classifier bits, after `forward`
  /// in the same workspace.
  ///
  /// - Parameters:
  ///   - weights: one an image.
  ///   - gradients: a slab that follows `parameters`.
  ///   - imageGradient: receives the gradient at the images, [count, H, W, C], if wanted.
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  @specialized(where S == Float)
  @specialized(where S == Double)
  public func backward(
    _ workspace: Workspace<S>, labels: [Int]? = nil, weights: [Double], classifierWeight: Double = 0,
    gradients: UnsafeMutablePointer<S>, imageGradient: UnsafeMutablePointer<S>? = nil
  ) throws {
    precondition(workspace.purpose.isTraining && weights.count == workspace.count)
    let scalarWeights = weights.map { S($0) }
    let topLevel = configuration.levels - 1
    top.backward(
      workspace.levels[topLevel], labels: labels, workspace: workspace, weights: scalarWeights,
      foldedGradient: foldedGradient.base + layout.top, team: team)
    if let classifier, let result = workspace.classifierResult {
      classifier.backward(
        result, weight: classifierWeight, folded: folded.base + layout.classifier,
        topGradient: workspace.levels[topLevel].gradient!,
        foldedGradient: foldedGradient.base + layout.classifier)
    }
    for level in (0..<configuration.levels).reversed() {
      if level < topLevel {
        splits[level].backward(
          workspace.levels[level], depth: configuration.depth, folded: folded.base + layout.splits[level],
          workspace: workspace, weights: scalarWeights,
          foldedGradient: foldedGradient.base + layout.splits[level], team: team)
      }
      backwardSteps(level, workspace, weights: scalarWeights)
      unsqueezeGradient(level, workspace, imageGradient: imageGradient)
    }
    try foldBackward(totalWeight: weights.reduce(0, +), gradients: gradients)
  }

  /// All steps of a level, the last first.
  private func backwardSteps(_ level: Int, _ workspace: Workspace<S>, weights: [S]) {
    let buffers = workspace.levels[level]
    let depth = configuration.depth
    weights.withUnsafeBufferPointer { weights in
      buffers.tiling.sumOverTiles(
        team, phases: FlowStep.backwardPhases, parts: workspace.partialGradients!,
        count: steps[level][0].foldedCount,
        into: (0..<depth).reversed().map { foldedGradient.base + layout.steps[level * depth + $0] }
      ) { index, phase, tile, part, isFirst, thread in
        let step = depth - 1 - index
        steps[level][step].backward(
          phase: phase, tile, buffers, step: step, folded: foldedStep(level, step),
          scratch: workspace.scratch[thread], logDeterminantGradients: weights.baseAddress!, part: part,
          isFirst: isFirst)
      }
    }
  }

  /// Hands the gradient at a level's input down to z1 of the level before, or to the images.
  private func unsqueezeGradient(
    _ level: Int, _ workspace: Workspace<S>, imageGradient: UnsafeMutablePointer<S>?
  ) {
    let buffers = workspace.levels[level]
    let shape = buffers.shape
    guard let target = level > 0 ? workspace.levels[level - 1].gradient : imageGradient else { return }
    let stride = level > 0 ? shape.channels / 2 : configuration.imageChannels
    team.run(workspace.count) { image, _ in
      Squeeze.inverse(
        buffers.gradient! + image * shape.count, into: target + image * shape.positions * 4 * stride,
        stride: stride, shape: shape)
    }
  }

  /// From the gradient of the folded weights to that of the parameters, in parallel over the steps.
  private func foldBackward(totalWeight: Double, gradients: UnsafeMutablePointer<S>) throws {
    let all = Array(steps.joined())
    var failures = [(any Error)?](repeating: nil, count: all.count)
    failures.withUnsafeMutableBufferPointer { failures in
      let failures = UncheckedBox(failures)
      team.run(all.count) { index, _ in
        let level = index / configuration.depth
        let source = folded.base + layout.steps[index]
        let gradient = foldedGradient.base + layout.steps[index]
        all[index].network.foldBackward(
          folded: source, foldedGradient: gradient, values: values.base, into: gradients)
        do {
          all[index].map.foldBackward(
            foldedGradient: gradient,
            logDeterminantGradient: totalWeight
              * Double(configuration.shape(ofLevel: level).positions),
            inverse: try factorisations[level][index % configuration.depth].inverse(),
            values: values.base, into: gradients)
        } catch { failures.value[index] = error }
      }
    }
    for failure in failures { if let failure { throw failure } }
    for (index, split) in splits.enumerated() {
      split.convolution.foldBackward(
        folded: folded.base + layout.splits[index],
        foldedGradient: foldedGradient.base + layout.splits[index], values: values.base, into: gradients)
    }
    top.foldBackward(
      folded: folded.base + layout.top, foldedGradient: foldedGradient.base + layout.top,
      values: values.base, into: gradients)
    classifier?.layer.foldBackward(
      folded: folded.base + layout.classifier, foldedGradient: foldedGradient.base + layout.classifier,
      values: values.base, into: gradients)
  }

  // MARK: Inverse

  /// Maps the workspace's latents (`setLatents`) to `count` images in `workspace.images`.
  ///
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  @specialized(where S == Float)
  @specialized(where S == Double)
  public func inverse(_ workspace: Workspace<S>, count: Int, labels: [Int]? = nil) throws {
    check(labels, count)
    precondition(workspace.count == count, "set the latents of all \(count) images first")
    let inverses = try self.inverses ?? makeInverses()
    self.inverses = inverses
    for level in (0..<configuration.levels).reversed() {
      let buffers = workspace.levels[level]
      if level == configuration.levels - 1 {
        top.inverse(
          buffers, depth: configuration.depth, labels: labels, folded: folded.base + layout.top,
          scratch: workspace.scratch, team: team)
      } else {
        splits[level].inverse(
          buffers, depth: configuration.depth, folded: folded.base + layout.splits[level],
          scratch: workspace.scratch, team: team)
      }
      buffers.tiling.forEachTile(team, steps: configuration.depth, phases: FlowStep.inversePhases) {
        index, phase, tile, thread in
        let step = configuration.depth - 1 - index
        steps[level][step].inverse(
          phase: phase, tile, buffers, step: step, folded: foldedStep(level, step),
          inverse: inverses[level][step].base, scratch: workspace.scratch[thread])
      }
      unsqueeze(level, workspace)
    }
  }

  private func makeInverses() throws -> [[Slab<S>]] {
    try steps.indices.map { level in
      try steps[level].indices.map { step in
        let map = steps[level][step].map
        let (matrix, bias) = try map.inverse(foldedStep(level, step), factorisations[level][step])
        let slab = Slab<S>(count: matrix.count + bias.count)
        for (index, value) in (matrix + bias).enumerated() { slab.base[index] = S(value) }
        return slab
      }
    }
  }

  private func unsqueeze(_ level: Int, _ workspace: Workspace<S>) {
    let shape = workspace.levels[level].shape
    let source = workspace.levels[level].activations(before: 0)
    let target =
      level > 0
      ? workspace.levels[level - 1].activations(before: configuration.depth) : workspace.images
    let stride = level > 0 ? shape.channels / 2 : configuration.imageChannels
    team.run(workspace.count) { image, _ in
      Squeeze.inverse(
        source + image * shape.count, into: target + image * shape.positions * 4 * stride, stride: stride,
        shape: shape)
    }
  }

  // MARK: Pieces

  func foldedStep(_ level: Int, _ step: Int) -> UnsafeMutablePointer<S> {
    folded.base + layout.steps[level * configuration.depth + step]
  }

  private func topLatents(_ workspace: Workspace<S>) -> UnsafeMutablePointer<S> {
    workspace.levels[configuration.levels - 1].activations(before: configuration.depth)
  }

  private func check(_ labels: [Int]?, _ count: Int) {
    guard configuration.isConditional else { return }
    precondition(
      labels?.count == count && labels!.allSatisfy { (0..<configuration.classCount).contains($0) },
      "a conditional model needs the class of every image")
  }
}

/// Where each layer's folded weights start in the slab of all of them.
private struct FoldedLayout {
  private(set) var steps: [Int] = []
  private(set) var splits: [Int] = []
  private(set) var top = 0
  private(set) var classifier = 0
  private(set) var count = 0
  /// The largest layer's count.
  private(set) var largest = 0

  init(steps: [[FlowStep]], splits: [Split], top: TopPrior, classifier: Classifier?) {
    var reservation = Reservation()
    func reserve(_ count: Int) -> Int {
      largest = max(largest, count)
      return reservation.reserve(count)
    }
    self.steps = steps.joined().map { reserve($0.foldedCount) }
    self.splits = splits.map { reserve($0.foldedCount) }
    self.top = reserve(top.foldedCount)
    self.classifier = reserve(classifier?.foldedCount ?? 0)
    count = reservation.count
  }
}

/// Hands a buffer to the team, whose pieces write to different elements of it.
private struct UncheckedBox<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
