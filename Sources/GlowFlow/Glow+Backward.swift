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
      let failures = failures
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
            inverse: try factorizations[level][index % configuration.depth].inverse(),
            values: values.base, into: gradients)
        } catch { failures[index] = error }
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
}
