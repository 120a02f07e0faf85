import GlowKernels

/// A model whose parameters no longer describe an invertible map.
public struct SingularMapError: Error, CustomStringConvertible {
  /// The flow step, for instance `level0.step3`.
  public let step: String
  /// What is wrong with its matrix.
  public let reason: LinearAlgebraError
  public var description: String { "\(step): the channel map cannot be inverted: \(reason)" }
}

/// A normalizing flow, a Glow (Kingma & Dhariwal 2018) or a RealNVP (Dinh et al. 2017): an invertible map from an image
/// to standard normal latents of the same number of dimensions.
///
/// In a Glow an image of real values x [H, W, C] is squeezed, passes `depth` flow steps at each of `levels` scales, and
/// leaves half of its channels as ε at each split, the rest at the top. ln p(x) is the log-determinants plus
/// the prior densities.
///
/// Change `values` and then call `parametersChanged()`. Passes work in a `Workspace`, and one after the other: a model
/// is of the thread that made it, and its team shares out the work.
package final class Glow<S: Scalar> {
  package let configuration: GlowConfiguration
  /// What `values`, and every slab of gradients or moments, holds.
  package var parameters: ParameterList { architecture.parameters }
  package let values: Slab<S>
  package let team: ThreadTeam
  package let dequantization: Dequantization

  let architecture: GlowArchitecture
  let tileRows: Int
  /// What makes the products: those of the team, where there are such for the type.
  package let kernels: ProductKernels

  /// Folded weights of all layers; the gradient of them has the same layout.
  let folded: Slab<S>
  /// Booked with the first workspace for training, as are the panels of the transposes.
  package private(set) var foldedGradient: Slab<S>?
  /// Of each layer, Σ of the squares of its parameters' gradients.
  private(set) var squares: Slab<Double>?
  /// The matrices among the folded weights as packed products take them; nil if OpenBLAS makes the products.
  private let panels: Slab<S>?
  /// The same of the transposes, which only backward needs.
  private var transposedPanels: Slab<S>?
  /// Of each layer's channel map, if it has one.
  private var maps: [Factorization?]
  /// Of each level: Σ ln |det| of the channel maps, for each position.
  private(set) var mapLogDeterminants: [Double]
  /// Whether `values` have ever been folded: passes need it.
  private var isFolded = false
  /// What only the inverse needs, of each layer; made when something is first decoded.
  private var inverses: [Inverse]?

  private struct Inverse {
    let weights: Slab<S>
    let panels: Slab<S>?
  }

  /// A new model with random weights. Its actnorms still wait for `initialize(from:)`.
  ///
  /// - Parameter seed: of the weights; nil for a model whose `values` will all be set, and which is of no use before.
  /// - Throws: `ConfigurationError`; `MemoryError` if there is no room for it.
  package convenience init(
    configuration: GlowConfiguration, seed: UInt64? = 0, team: ThreadTeam = ThreadTeam()
  ) throws {
    try self.init(configuration: configuration, seed: seed, team: team, tileRows: TileGrain.defaultRows)
  }

  /// - Parameter tileRows: positions of a tile; other than the default only to try the edges of tiles.
  package init(
    configuration: GlowConfiguration, seed: UInt64? = 0, team: ThreadTeam, tileRows: Int
  ) throws {
    architecture = try GlowArchitecture(configuration)
    self.configuration = configuration
    self.team = team
    self.tileRows = tileRows
    dequantization = Dequantization(bits: configuration.bits)
    values = try Slab(count: architecture.parameters.count)
    folded = try Slab(count: architecture.foldedCount)
    maps = [Factorization?](repeating: nil, count: architecture.foldables.count)
    mapLogDeterminants = [Double](repeating: 0, count: architecture.levels.count)
    kernels = S.hasPackedProducts ? team.kernels : .openBLAS
    panels = kernels == .packed ? try Slab(count: architecture.panelCount) : nil
    guard let seed else { return }
    var noise = WeightNoise(seed: seed)
    for placed in architecture.foldables { try placed.layer.initialize(parameterValues, noise: &noise) }
    isInitialized = !architecture.isSetFromData
    try parametersChanged()
  }

  var parameterValues: ParameterValues<S> { ParameterValues(base: values.base) }

  /// Whether any layer is to be set from data (`initialize(from:)`).
  package var isSetFromData: Bool { architecture.isSetFromData }

  /// Whether the actnorms have been set from data, or read from a file.
  package var isInitialized: Bool {
    get { parameterValues[architecture.initialized][0] != 0 }
    set { parameterValues[architecture.initialized][0] = newValue ? 1 : 0 }
  }

  /// The classes of a conditional model that training has not reached: their embeddings are still the zeros that they
  /// begin as. None if that is all that there is.
  package var untrainedClasses: Set<Int> {
    guard let embeddings = parameters["top.class_embedding.weight"] else { return [] }
    let rows = (0..<configuration.classCount).filter { row in
      let count = embeddings.shape[1]
      return UnsafeBufferPointer(start: values.base + embeddings.offset + row * count, count: count)
        .allSatisfy { $0 == 0 }
    }
    return rows.count == configuration.classCount ? [] : Set(rows)
  }

  /// Levels that log-likelihoods are told of one by one (`LogLikelihood`).
  package var levelCount: Int { architecture.flow.count }

  /// Whether an image's gradient depends on the images beside it, through batch normalization.
  package var normalizesByBatch: Bool { architecture.levels.contains(where: \.meetsBatch) }

  /// Positions of an image where fewest are normalized together; nil where nothing is normalized by the batch.
  package var fewestNormalizedPositions: Int? {
    architecture.levels.filter(\.meetsBatch).map(\.shape.positions).min()
  }

  /// The total number of channel values that leave as latents, equal to the image's H·W·C.
  package var latentCount: Int { configuration.dimensions }

  /// The shapes of one image's latents: split 0, split 1, …, top.
  package var latentShapes: [LevelShape] { architecture.levels.flatMap(\.latentShapes) }

  // MARK: Folding

  /// Folds the parameters; to be called after any change of `values`.
  ///
  /// - Parameter change: makes the change of some of the values, those of one layer, which are then in the cache when they are
  ///   folded. Called for each layer, by any thread of the team.
  /// - Throws: `SingularMapError` naming the step whose channel map has no inverse or is not finite; all values are changed
  ///   nevertheless.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func parametersChanged(by change: (Range<Int>) -> Void = { _ in }) throws {
    inverses = nil
    try maps.withUnsafeMutableBufferPointer { maps in
      // Each piece changes its own.
      let maps = maps
      // Of the optimizer: weights, moments and average in and out, and the gradient in.
      try onEachLayer("folding", streams: (parameters: 9, weights: 3)) { index in
        change(architecture.foldables[index].parameters)
        try fold(index, map: &maps[index])
      }
    }
    for (index, level) in architecture.levels.enumerated() {
      mapLogDeterminants[index] = level.layers.reduce(0) { sum, placed in
        maps[placed.index].map { sum + $0.logAbsoluteDeterminant } ?? sum
      }
    }
    isFolded = true
  }

  /// Folds one layer, whose parameters alone have changed.
  func fold(_ placed: Placed<any Layer>) throws {
    inverses = nil
    try fold(placed.index, map: &maps[placed.index])
  }

  /// - Throws: `SingularMapError`.
  private func fold(_ index: Int, map: inout Factorization?) throws {
    let placed = architecture.foldables[index]
    let weights = weights(of: index)
    defer {
      weights.pack(placed.needs.weights.matrices)
      weights.packTransposed(placed.needs.weights.matrices)
    }
    do { try placed.layer.fold(parameterValues, into: weights, map: &map) } catch let reason
      as LinearAlgebraError
    {
      throw SingularMapError(step: placed.layer.name, reason: reason)
    }
  }

  /// A layer whose parameters are finite, but make together what no training gives.
  package struct AbsurdWeights {
    /// For instance `level0.step3`.
    package let layer: String
    package let reason: String
  }

  /// The largest weight that folding gives: the scale of an actnorm for a channel without variance is 10⁶, and weights and
  /// biases are multiplied by it.
  private static var largestWeight: S { 1e9 }
  /// Beyond it neither exp(x) nor exp(−x) is of use in `Float`.
  private static var largestLogarithm: S { 80 }

  /// The first layer with absurd weights, with which images would have scores that are not finite or mean nothing.
  package func firstAbsurdWeights() -> AbsurdWeights? {
    for placed in architecture.foldables {
      let weights = weights(of: placed.index)
      if let reason = absurdity(of: weights, placed) {
        return AbsurdWeights(layer: placed.layer.name, reason: reason)
      }
    }
    return nil
  }

  private func absurdity(of weights: Weights<S>, _ placed: Placed<any Foldable>) -> String? {
    let values = UnsafeBufferPointer(start: weights.base, count: placed.needs.weights.count)
    // Written so that a NaN is found, too.
    if let weight = values.first(where: { !(abs($0) <= Self.largestWeight) }) {
      return "its parameters make a weight of \(weight)"
    }
    for part in placed.layer.logarithms {
      if let value = weights.firstBeyond(Self.largestLogarithm, in: part) {
        return "its parameters make a scale of exp(\(value))"
      }
    }
    if let map = maps[placed.index] {
      let logarithm = map.logAbsoluteDeterminant / Double(map.size)
      if !(abs(logarithm) <= Elementary.log(Double(Self.largestWeight))) {
        return "its channel map has a scale of exp(\(logarithm))"
      }
    }
    return nil
  }

  /// Calls `body` with each layer's index, on the team.
  ///
  /// - Parameters:
  ///   - part: what a trace calls it.
  ///   - streams: how often a layer's parameters, and what of them has been folded, come from memory or go there.
  /// - Throws: the error of the first layer that throws one, after all.
  func onEachLayer(
    _ part: String, streams: (parameters: Int, weights: Int), _ body: (Int) throws -> Void
  ) throws {
    let failures = FirstFailure()
    // The largest first, so that no thread is left alone with one at the end.
    let order = architecture.largestFirst
    team.run(order.count, as: layerPlan(part, streams)) { place, _ in
      failures.catching(order[place]) { try body(order[place]) }
    }
    try failures.rethrow()
  }

  /// What a trace is told of `onEachLayer`.
  private func layerPlan(_ part: String, _ streams: (parameters: Int, weights: Int)) -> WorkPlan {
    let bytes = architecture.largestFirst.map { index in
      let placed = architecture.foldables[index]
      return MemoryLayout<S>.stride
        * (streams.parameters * placed.parameters.count + streams.weights * placed.needs.weights.count)
    }
    return WorkPlan(part, bytes: { bytes[$0] })
  }

  /// The folded weights of a layer.
  func weights(of index: Int) -> Weights<S> {
    let placed = architecture.foldables[index]
    return Weights(
      base: folded.base + placed.offset, panels: panels.map { $0.base + placed.panels },
      transposedPanels: transposedPanels.map { $0.base + placed.transposedPanels })
  }

  /// Books what backward needs besides a workspace.
  private func bookGradient() throws {
    foldedGradient = try foldedGradient ?? Slab(count: folded.count)
    squares = try squares ?? Slab(count: architecture.foldables.count)
    if panels == nil || transposedPanels != nil { return }
    transposedPanels = try Slab(count: architecture.transposedPanelCount)
    if !isFolded { return }
    team.run(architecture.foldables.count) { index, _ in
      weights(of: index).packTransposed(architecture.foldables[index].needs.weights.matrices)
    }
  }

  /// The gradient of the folded weights of a layer.
  func weightGradient(of index: Int) -> Weights<S> {
    Weights(base: foldedGradient!.base + architecture.foldables[index].offset)
  }

  func folded(_ index: Int) -> Folded<S> {
    Folded(values: parameterValues, weights: weights(of: index), map: maps[index])
  }

  /// What `foldInverse` has made for a layer, if anything has been decoded.
  func inverseWeights(of index: Int) -> Weights<S>? {
    inverses.map { Weights(base: $0[index].weights.base, panels: $0[index].panels?.base) }
  }

  /// Sees to it that `inverseWeights` are there.
  ///
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse; `MemoryError`.
  func makeInverses() throws {
    if inverses != nil { return }
    requireFolded()
    let made = try architecture.foldables.map { placed in
      let needs = placed.needs.inverse
      return Inverse(
        weights: try Slab(count: needs.count), panels: panels == nil ? nil : try Slab(count: needs.panelCount)
      )
    }
    try onEachLayer("inverses", streams: (parameters: 1, weights: 1)) { index in
      let placed = architecture.foldables[index]
      let weights = Weights(base: made[index].weights.base, panels: made[index].panels?.base)
      try placed.layer.foldInverse(folded(index), into: weights)
      weights.pack(placed.needs.inverse.matrices)
    }
    inverses = made
  }

  func requireFolded() {
    precondition(isFolded, "the model's values have never been folded (parametersChanged)")
  }

  // MARK: Statistics

  /// The statistics of the batch that `objective`, or its first half, has seen last in a workspace: a value for each one that
  /// is kept, in the order of the parameters.
  package func statistics(of workspace: Workspace<S>) -> [Double] {
    var values: [Double] = []
    for (level, memory) in zip(architecture.levels, workspace.levels) {
      for (index, placed) in level.layers.enumerated() {
        guard let statistics = memory.statistics(index, of: memory.tiling.tile(0), .batch) else { continue }
        placed.layer.append(statistics, to: &values)
      }
    }
    return values
  }

  /// Lets what evaluation normalizes with follow the statistics of a batch: kept ← 0.9·kept + 0.1·batch. Of a step that is
  /// taken: `parametersChanged()` comes after.
  package func followStatistics(_ batch: [Double]) {
    let kept = parameters.ranges(of: .statistic).joined()
    precondition(batch.count == kept.count, "a value for each statistic that is kept")
    let momentum = BatchNormalization.momentum
    for (index, value) in zip(kept, batch) {
      values.base[index] = S((1 - momentum) * Double(values.base[index]) + momentum * value)
    }
  }

  // MARK: Workspaces

  /// Books the memory that passes over up to `batch` images need.
  ///
  /// - Throws: `MemoryError` if the system grants no more.
  package func workspace(batch: Int, purpose: Purpose) throws -> Workspace<S> {
    if purpose.isTraining { try bookGradient() }
    return try Workspace(plan(batch: batch, purpose: purpose), threads: team.count)
  }

  /// The bytes that `workspace(batch:purpose:)` would book.
  package func workspaceBytes(batch: Int, purpose: Purpose) -> Int {
    plan(batch: batch, purpose: purpose).bytes(threads: team.count)
  }

  private func plan(batch: Int, purpose: Purpose) -> WorkspacePlan<S> {
    WorkspacePlan(
      architecture, dimensions: configuration.dimensions, batch: batch, purpose: purpose,
      grain: TileGrain(purpose, kernels, rows: tileRows))
  }
}
