import GlowKernels

extension Glow {
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
    _ workspace: Workspace<S>, weights: [Double], classifierWeight: Double = 0,
    gradients: UnsafeMutablePointer<S>, imageGradient: UnsafeMutablePointer<S>? = nil
  ) throws {
    precondition(workspace.purpose.isTraining && weights.count == workspace.count)
    packTransposes()
    let scalarWeights = weights.map { S($0) }
    for level in architecture.levels.indices.reversed() {
      let layers = architecture.levels[level].layers
      // The classifier looks at the latents of the top prior, the last layer.
      guard level == architecture.levels.count - 1, let classifier = architecture.classifier,
        let result = workspace.classifierResult
      else {
        backward(level, layers.indices, workspace, weights: scalarWeights, imageGradient: imageGradient)
        continue
      }
      backward(
        level, layers.count - 1..<layers.count, workspace, weights: scalarWeights,
        imageGradient: imageGradient)
      classifier.layer.backward(
        result, weight: classifierWeight, self.weights(of: classifier.index),
        into: weightGradient(of: classifier.index), topGradient: workspace.levels[level].gradient!)
      backward(
        level, 0..<layers.count - 1, workspace, weights: scalarWeights, imageGradient: imageGradient)
    }
    try foldBackward(totalWeight: weights.reduce(0, +), into: ParameterValues(base: gradients))
  }

  /// Some of a level's layers, the last first.
  func backward(
    _ level: Int, _ layers: Range<Int>, _ workspace: Workspace<S>, weights: [S],
    imageGradient: UnsafeMutablePointer<S>?
  ) {
    let all = architecture.levels[level].layers
    let order = layers.reversed().map { all[$0] }
    withPass(level, workspace, weights: weights, imageGradient: imageGradient) { pass in
      workspace.levels[level].tiling.sumOverTiles(
        team, stages: order.map { $0.layer.stages(.backward) },
        into: order.map {
          TileSum(
            target: weightGradient(of: $0.index).base, count: $0.needs.weights.count,
            vectors: $0.needs.weights.vectors)
        }, parts: workspace.partialGradients!
      ) { place, stages, tile, part, thread in
        let layer = layers.upperBound - 1 - place
        let site = pass.site(layer, tile, thread: thread, weightGradient: part)
        for stage in stages { all[layer].layer.backward(stage, site) }
      }
    }
  }

  /// From the gradient of the folded weights to that of the parameters, in parallel over the layers.
  func foldBackward(totalWeight: Double, into gradients: ParameterValues<S>) throws {
    let positions = architecture.levels.flatMap { level in level.layers.map { _ in level.shape.positions } }
    let results = onEachLayer { index in
      try architecture.foldables[index].layer.foldBackward(
        folded(index), gradient: weightGradient(of: index),
        logDeterminantGradient: index < positions.count ? totalWeight * Double(positions[index]) : 0,
        into: gradients)
    }
    for result in results { try result.get() }
  }
}
