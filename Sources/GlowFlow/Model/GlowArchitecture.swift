import GlowKernels

/// The layers of a model, which know where their parameters stand and own no memory.
///
/// Everything else walks these lists: passes, memory plan, initialization, diagnosis. None of it knows kinds of layers.
struct GlowArchitecture: Sendable {
  let parameters: ParameterList
  /// The entry that says whether the actnorms have been initialized.
  let initialized: Parameter
  /// In the order of a pass: that of the dequantizer, if there is one, and those of the flow.
  let levels: [Level]
  /// Those of the flow.
  let flow: Range<Int>
  /// What has folded weights: the layers, and the classifier if there is one.
  let foldables: [Placed<any Foldable>]
  /// Of the level of each of these, and 0 for the classifier, which is at no position.
  let positions: [Int]
  let classifier: Placed<Classifier>?
  /// Backward level by level, and in runs as long as a message.
  let levelRuns: [GradientRun]
  let gradientRuns: [GradientRun]
  /// The numbers of these, those with the most folded weights first.
  let largestFirst: [Int]
  /// Of each, where its parameters stand that are learned, and those that are no filters.
  let learned: [[Range<Int>]]
  let smallParameters: [[Range<Int>]]
  /// All folded weights, the panels of their matrices and those of the transposes.
  let foldedCount: Int
  let panelCount: Int
  let transposedPanelCount: Int

  /// Whether any layer waits for data (`Glow.initialize(from:)`).
  var isSetFromData: Bool { levels.contains { $0.layers.contains { $0.layer.isSetFromData } } }

  /// - Throws: `ConfigurationError`.
  init(_ configuration: GlowConfiguration) throws {
    try configuration.validate()
    var blueprint = Blueprint()
    initialized = blueprint.parameter("initialised", [1], .fixed)
    let flow = configuration.architecture.design.levels(configuration, in: &blueprint)
    // After the flow, which so has the weights that it has without.
    let dequantizer =
      configuration.hasDequantizer ? [Level.dequantizer(configuration, in: &blueprint)] : []
    levels = dequantizer + flow
    self.flow = dequantizer.count..<levels.count
    let made = flow + dequantizer
    let top = levels.last!.shape
    classifier =
      configuration.isConditional
      ? blueprint.place {
        Classifier(top, classCount: configuration.classCount, in: &$0)
      } : nil
    levelRuns = GradientRun.all(levels, classifier)
    gradientRuns = GradientRun.all(levels, classifier, size: GradientRun.size)
    foldables =
      made.flatMap { $0.layers.map { $0.map { $0 as any Foldable } } }
      + (classifier.map { [$0.map { $0 as any Foldable }] } ?? [])
    positions =
      made.flatMap { level in level.layers.map { _ in level.shape.positions } }
      + (classifier == nil ? [] : [0])
    let sizes = foldables.map(\.needs.weights.count)
    largestFirst = sizes.indices.sorted { (sizes[$1], $0) < (sizes[$0], $1) }
    let learned = blueprint.parameters.trainableRanges
    self.learned = foldables.map { placed in
      learned.map { $0.clamped(to: placed.parameters) }.filter { !$0.isEmpty }
    }
    smallParameters = foldables.map(\.smallParameters)
    parameters = blueprint.parameters
    foldedCount = blueprint.weights.count
    panelCount = blueprint.panels.count
    transposedPanelCount = blueprint.transposedPanels.count
  }
}

/// One scale of the model.
struct Level: Sendable {
  /// Of the activations between its layers.
  let shape: LevelShape
  /// Of those before its first layer: of the images, or of the level before.
  let inputShape: LevelShape
  let layers: [Placed<any Layer>]

  init(shape: LevelShape, inputShape: LevelShape, layers: [Placed<any Layer>]) {
    self.shape = shape
    self.inputShape = inputShape
    self.layers = layers
    placeAfter = layers.indices.map { last in layers[...last].count { !$0.layer.isInPlace } - 1 }
  }

  /// Places for activations between the layers, the last of them after all.
  var places: Int { placeAfter.last! + 1 }

  /// Of the activations after each layer; −1 would be before the level.
  let placeAfter: [Int]

  /// The products that the rows of a tile go through.
  var products: [ProductShape] { layers.flatMap(\.needs.products) }

  var needs: LevelNeeds {
    LevelNeeds(
      shape: shape, products: products, meetsBatch: meetsBatch,
      hasGradientBlocks: layers.contains { !$0.layer.gradientBlocks.isEmpty })
  }

  /// Whether its layers take statistics of the batch.
  var meetsBatch: Bool { statisticsCount > 0 }

  /// Values of all statistics of the batch.
  var statisticsCount: Int { layers.reduce(0) { $0 + $1.needs.statisticsCount } }

  /// Sums from which any one of the statistics follows, in each tile.
  var tileSumCount: Int { layers.flatMap(\.needs.statistics).map { 2 * $0.channels }.max() ?? 0 }

  /// The shapes of one image's latents that leave here.
  var latentShapes: [LevelShape] {
    layers.flatMap(\.needs.buffers).compactMap { need in
      guard case .latents = need.life else { return nil }
      return LevelShape(height: shape.height, width: shape.width, channels: need.columns)
    }
  }
}

extension GlowConfiguration {
  /// The parameters of a model of this configuration, without the memory for their values.
  ///
  /// - Throws: `ConfigurationError`.
  package func parameters() throws -> ParameterList { try GlowArchitecture(self).parameters }

  /// Whether a model has filters that are learned as they are: those of a RealNVP are normalized.
  ///
  /// - Throws: `ConfigurationError`.
  package func hasFilters() throws -> Bool { try parameters().entries.contains(where: \.isFilter) }

  /// Of each level the shape of its activations, and the products that the rows of each tile go through in its layers.
  ///
  /// - Throws: `ConfigurationError`.
  package func products() throws -> [(shape: LevelShape, products: [ProductShape])] {
    try GlowArchitecture(self).levels.map { ($0.shape, $0.products) }
  }
}
