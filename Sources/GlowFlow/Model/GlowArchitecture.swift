import GlowKernels

/// The layers of a model, which know where their parameters stand and own no memory.
///
/// Everything else walks these lists: passes, memory plan, initialization, diagnosis. None of it knows kinds of layers.
struct GlowArchitecture: Sendable {
  let parameters: ParameterList
  /// The entry that says whether the actnorms have been initialized.
  let initialized: Parameter
  /// In the order of the flow.
  let levels: [Level]
  /// What has folded weights: the layers, and the classifier if there is one.
  let foldables: [Placed<any Foldable>]
  let classifier: Placed<Classifier>?
  /// All folded weights, the panels of their matrices and those of the transposes.
  let foldedCount: Int
  let panelCount: Int
  let transposedPanelCount: Int

  /// - Throws: `ConfigurationError`.
  init(_ configuration: GlowConfiguration) throws {
    try configuration.validate()
    var blueprint = Blueprint()
    initialized = blueprint.parameter("initialised", [1], isTrainable: false)
    var levels: [Level] = []
    for number in 0..<configuration.levels {
      levels.append(Level(number, of: configuration, in: &blueprint))
    }
    classifier =
      configuration.isConditional
      ? blueprint.place {
        Classifier(levels.last!.shape, classCount: configuration.classCount, in: &$0)
      } : nil
    self.levels = levels
    foldables =
      levels.flatMap { $0.layers.map { $0.map { $0 as any Foldable } } }
      + (classifier.map { [$0.map { $0 as any Foldable }] } ?? [])
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

  /// Squeeze, flow steps, and a split or the top prior.
  fileprivate init(_ number: Int, of configuration: GlowConfiguration, in blueprint: inout Blueprint) {
    let name = "level\(number)"
    let shape = configuration.shape(ofLevel: number)
    self.shape = shape
    inputShape = number > 0 ? configuration.shape(ofLevel: number - 1) : configuration.imageShape
    var layers: [Placed<any Layer>] = [
      blueprint.place { _ in
        Squeeze(
          name: "\(name).squeeze", title: number == 0 ? "the images" : "the input of \(name)", shape: shape)
      }
    ]
    for step in 0..<configuration.depth {
      layers.append(
        blueprint.place {
          FlowStep(configuration, channels: shape.channels, name: "\(name).step\(step)", in: &$0)
        })
    }
    layers.append(
      number < configuration.levels - 1
        ? blueprint.place {
          Split(
            channels: shape.channels, padding: configuration.padding, name: "\(name).split", in: &$0)
        }
        : blueprint.place { TopPrior(configuration, channels: shape.channels, in: &$0) })
    self.layers = layers
    placeAfter = layers.indices.map { last in layers[...last].count { !$0.layer.isInPlace } - 1 }
  }

  /// Places for activations between the layers, the last of them after all.
  var places: Int { placeAfter.last! + 1 }

  /// Of the activations after each layer; −1 would be before the level.
  let placeAfter: [Int]

  /// The products that the rows of a tile go through.
  var products: [ProductShape] { layers.flatMap(\.needs.products) }
}

extension GlowConfiguration {
  /// The parameters of a model of this configuration, without the memory for their values.
  ///
  /// - Throws: `ConfigurationError`.
  public func parameters() throws -> ParameterList { try GlowArchitecture(self).parameters }

  /// Of each level the shape of its activations, and the products that the rows of each tile go through in its layers.
  ///
  /// - Throws: `ConfigurationError`.
  package func products() throws -> [(shape: LevelShape, products: [ProductShape])] {
    try GlowArchitecture(self).levels.map { ($0.shape, $0.products) }
  }
}
