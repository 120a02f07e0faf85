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
  public func forward(
    _ workspace: Workspace<S>, count: Int, labels: [Int]? = nil, normalization: Normalization = .running
  ) -> [LogLikelihood] {
    precondition(!mapLogDeterminants.isEmpty, "the model's values have never been folded (parametersChanged)")
    let labels = checked(labels, count)
    workspace.begin(count: count, labels: labels, normalization: normalization)
    for (level, layers) in architecture.levels.map(\.layers.indices).enumerated() {
      forward(level, layers, workspace)
    }
    workspace.classifierResult = architecture.classifier.map { placed in
      placed.layer.forward(topLatents(workspace), labels: labels!, weights(of: placed.index))
    }
    return (0..<count).map { logLikelihood(ofImage: $0, workspace) }
  }

  /// Some of a level's layers, one after the other.
  func forward(_ level: Int, _ layers: Range<Int>, _ workspace: Workspace<S>) {
    let all = architecture.levels[level].layers.map(\.layer)
    withPass(level, workspace) { pass in
      workspace.levels[level].tiling.forEachTile(team, stages: layers.map { all[$0].stages(.forward) }) {
        place, stages, tile, thread in
        let layer = layers.lowerBound + place
        let site = pass.site(layer, tile, thread: thread)
        for stage in stages { all[layer].forward(stage, site) }
      }
    }
  }

  /// Lends what a pass over a level needs.
  ///
  /// - Parameters:
  ///   - weights: in backward, the gradients of the images' ln p.
  ///   - imageGradient: in backward, where the gradient at the images goes, if anybody wants it.
  func withPass(
    _ level: Int, _ workspace: Workspace<S>, weights: [S]? = nil,
    imageGradient: UnsafeMutablePointer<S>? = nil, _ body: (LevelPass<S>) -> Void
  ) {
    func lend(_ labels: UnsafePointer<Int>?, _ weights: UnsafePointer<S>?) {
      let facts = PassFacts(
        images: ImageFacts(labels: labels, weights: weights), imageGradient: imageGradient)
      body(LevelPass(self, level, workspace, facts))
    }
    (workspace.labels ?? []).withUnsafeBufferPointer { labels in
      (weights ?? []).withUnsafeBufferPointer { weights in
        lend(
          labels.isEmpty ? nil : labels.baseAddress, weights.isEmpty ? nil : weights.baseAddress)
      }
    }
  }

  func logLikelihood(ofImage image: Int, _ workspace: Workspace<S>) -> LogLikelihood {
    var logDeterminants: [Double] = []
    var priors: [Double] = []
    for (memory, mapLogDeterminant) in zip(workspace.levels, mapLogDeterminants) {
      let slots = memory.tiling.slots(ofImage: image)
      logDeterminants.append(
        slots.reduce(Double(memory.shape.positions) * mapLogDeterminant) {
          $0 + memory.sums.logDeterminants[$1]
        })
      priors.append(slots.reduce(0) { $0 + memory.sums.logDensities[$1] })
    }
    return LogLikelihood(
      dequantizationConstant: dequantization.constant(dimensions: configuration.dimensions),
      logDeterminants: logDeterminants, priors: priors, dimensions: configuration.dimensions,
      classifierBits: workspace.classifierResult?.bits[image])
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
