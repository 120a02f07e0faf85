import GlowKernels

extension Glow {
  /// Maps the `count` images in `workspace.images` to latents, kept in the workspace, and returns the
  /// log-likelihood of each.
  ///
  /// - Parameters:
  ///   - labels: the class of each image, which a conditional model needs.
  ///   - normalization: what a model with batch normalization normalizes with. Likelihoods of `.batch` depend on the
  ///     images beside: for training alone.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func forward(
    _ workspace: Workspace<S>, count: Int, labels: [Int]? = nil, normalization: Normalization = .running
  ) -> [LogLikelihood] {
    pass(workspace, count: count, labels: labels, normalization: normalization)
    return (0..<count).map { logLikelihood(ofImage: $0, workspace) }
  }

  /// `forward`, less what it returns.
  func pass(_ workspace: Workspace<S>, count: Int, labels: [Int]?, normalization: Normalization) {
    requireFolded()
    let labels = checked(labels, count)
    workspace.begin(count: count, labels: labels, normalization: normalization)
    for level in architecture.levels.indices {
      forward(level, architecture.levels[level].layers.indices, workspace)
    }
    workspace.classifierResult = architecture.classifier.map { placed in
      placed.layer.forward(topLatents(workspace), labels: labels!, weights(of: placed.index))
    }
  }

  /// Some of a level's layers, one after the other.
  func forward(_ level: Int, _ layers: Range<Int>, _ workspace: Workspace<S>) {
    let all = architecture.levels[level].layers
    let schedule = workspace.schedule(.init(level, layers, .forward)) {
      TileSchedule(
        $0, stages: layers.map { all[$0].layer.stages(.forward) },
        workspace.traffic("forward", level, Array(layers)))
    }
    withPass(level, workspace) { pass in
      schedule.run(team) { place, stages, tile, thread in
        let layer = layers.lowerBound + place
        let site = pass.site(layer, tile, thread: thread)
        for stage in stages { all[layer].layer.forward(stage, site) }
      }
    }
  }

  /// Lends what a pass over a level needs.
  ///
  /// - Parameter imageGradient: in backward, where the gradient at the images goes, if anybody wants it.
  func withPass(
    _ level: Int, _ workspace: Workspace<S>, imageGradient: UnsafeMutablePointer<S>? = nil,
    _ body: (LevelPass<S>) -> Void
  ) {
    (workspace.labels ?? []).withUnsafeBufferPointer { labels in
      let facts = PassFacts(
        images: ImageFacts(
          labels: labels.isEmpty ? nil : labels.baseAddress, weights: workspace.likelihoodWeights,
          areFinal: workspace.imagesAreFinal),
        imageGradient: imageGradient)
      body(LevelPass(self, level, workspace, facts))
    }
  }

  func logLikelihood(ofImage image: Int, _ workspace: Workspace<S>) -> LogLikelihood {
    LogLikelihood(
      dequantizationConstant: dequantization.constant(dimensions: configuration.dimensions),
      dequantizer: configuration.hasDequantizer ? logDeterminant(ofLevel: 0, image, workspace) : nil,
      logDeterminants: architecture.flow.map { logDeterminant(ofLevel: $0, image, workspace) },
      priors: architecture.flow.map { logPrior(ofLevel: $0, image, workspace) },
      dimensions: configuration.dimensions,
      classifierBits: workspace.classifierResult?.bits[image])
  }

  /// The parts of a `LogLikelihood`.
  func logDeterminant(ofLevel level: Int, _ image: Int, _ workspace: Workspace<S>) -> Double {
    let memory = workspace.levels[level]
    return memory.tiling.slots(ofImage: image).reduce(
      Double(memory.shape.positions) * mapLogDeterminants[level]
    ) { $0 + memory.sums.logDeterminants[$1] }
  }

  func logPrior(ofLevel level: Int, _ image: Int, _ workspace: Workspace<S>) -> Double {
    let memory = workspace.levels[level]
    return memory.tiling.slots(ofImage: image).reduce(0) { $0 + memory.sums.logDensities[$1] }
  }

  func topLatents(_ workspace: Workspace<S>) -> UnsafeMutablePointer<S> {
    workspace.levels.last!.activations(at: architecture.levels.last!.places - 1)
  }

  /// The labels that the model needs: none if it is not conditional.
  func checked(_ labels: [Int]?, _ count: Int) -> [Int]? {
    guard configuration.isConditional else { return nil }
    precondition(
      labels?.count == count && labels!.allSatisfy { (0..<configuration.classCount).contains($0) },
      "a conditional model needs the class of every image")
    return labels
  }
}
