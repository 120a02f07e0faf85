/// The layers of a model, which know where their parameters stand and own no memory.
struct GlowLayers {
  let parameters: ParameterList
  /// Offset of the entry that says whether the actnorms have been initialized.
  let initialized: Int
  let steps: [[FlowStep]]
  let splits: [Split]
  let top: TopPrior
  let classifier: Classifier?

  /// - Throws: `ConfigurationError`.
  init(_ configuration: GlowConfiguration) throws {
    try configuration.validate()
    var list = ParameterList()
    initialized = list.add("initialised", [1], isTrainable: false)
    var steps: [[FlowStep]] = []
    var splits: [Split] = []
    for level in 0..<configuration.levels {
      let shape = configuration.shape(ofLevel: level)
      steps.append(
        (0..<configuration.depth).map {
          FlowStep(
            configuration: configuration, shape: shape, name: "level\(level).step\($0)", in: &list)
        })
      if level < configuration.levels - 1 {
        splits.append(Split(shape: shape, name: "level\(level).split", in: &list))
      }
    }
    top = TopPrior(configuration: configuration, in: &list)
    classifier = configuration.isConditional ? Classifier(configuration: configuration, in: &list) : nil
    self.steps = steps
    self.splits = splits
    parameters = list
  }
}

extension GlowConfiguration {
  /// The parameters of a model of this configuration, without the memory for their values.
  ///
  /// - Throws: `ConfigurationError`.
  public func parameters() throws -> ParameterList { try GlowLayers(self).parameters }
}
