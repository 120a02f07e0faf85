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
  package func backward(
    _ workspace: Workspace<S>, weights: [Double], classifierWeight: Double = 0,
    gradients: UnsafeMutablePointer<S>, imageGradient: UnsafeMutablePointer<S>? = nil
  ) throws {
    precondition(weights.count == workspace.count, "a weight for every image")
    for (image, weight) in weights.enumerated() { workspace.setLikelihoodWeight(S(weight), image: image) }
    pullBack(
      workspace, classifierWeight: classifierWeight, imageGradient: imageGradient,
      runs: architecture.levelRuns)
    try foldBackward(totalWeight: weights.reduce(0, +), into: ParameterValues(base: gradients))
  }

  /// The gradients of the folded weights, and of the images if they are wanted, once the workspace has the weights.
  ///
  /// - Parameters:
  ///   - runs: all of backward.
  ///   - whenFinal: is told after each where its gradients stand.
  func pullBack(
    _ workspace: Workspace<S>, classifierWeight: Double, imageGradient: UnsafeMutablePointer<S>?,
    runs: [GradientRun], whenFinal: (Range<Int>) -> Void = { _ in }
  ) {
    precondition(workspace.purpose.isTraining)
    precondition(!(configuration.hasDequantizer && workspace.imagesAreFinal), "the dequantizer had no part")
    for run in runs {
      switch run.work {
      case .layers(let layers, let level): backward(level, layers, workspace, imageGradient: imageGradient)
      case .classifier(let classifier):
        classifier.layer.backward(
          workspace.classifierResult!, weight: classifierWeight, weights(of: classifier.index),
          into: weightGradient(of: classifier.index), topGradient: workspace.levels.last!.gradient!)
      }
      whenFinal(run.values)
    }
  }

  /// Some of a level's layers, the last first.
  func backward(
    _ level: Int, _ layers: Range<Int>, _ workspace: Workspace<S>, imageGradient: UnsafeMutablePointer<S>?
  ) {
    let all = architecture.levels[level].layers
    let schedule = workspace.sumSchedule(.init(level, layers, .backward)) { tiling in
      let order = layers.reversed().map { all[$0] }
      return SumSchedule(
        tiling, stages: order.map { $0.layer.stages(.backward) },
        sums: order.map {
          TileSum(
            offset: $0.offset, count: $0.needs.weights.count, vectors: $0.needs.weights.vectors,
            shared: tiling.sharesGradients ? $0.layer.gradientBlocks : [])
        }, workspace.traffic("backward", level, layers.reversed()))
    }
    withPass(level, workspace, imageGradient: imageGradient) { pass in
      let last = layers.upperBound - 1
      schedule.run(team, into: foldedGradient!.base, parts: workspace.partialGradients!) { task, thread in
        switch task {
        case .visit(let place, let stages, let tile, let part):
          let site = pass.site(last - place, tile, thread: thread, weightGradient: part)
          for stage in stages { all[last - place].layer.backward(stage, site) }
        case .add(let place, let block, let tile, let sum):
          let site = pass.site(last - place, tile, thread: thread, weightGradient: sum)
          all[last - place].layer.addGradient(to: block, site)
        }
      }
    }
  }

  /// From the gradient of the folded weights to that of the parameters, in parallel over the layers.
  ///
  /// - Parameter overwrites: whether what was in `gradients` goes.
  func foldBackward(totalWeight: Double, into gradients: ParameterValues<S>, overwrites: Bool = false) throws
  {
    var gradients = gradients
    gradients.lacksFilters = overwrites
    let squares = squares!.values
    try onEachLayer("backward of folding", streams: (parameters: 2, weights: 2)) { [gradients] index in
      let placed = architecture.foldables[index]
      if overwrites {
        for range in architecture.smallParameters[index] {
          (gradients.base + range.lowerBound).clear(range.count)
        }
      }
      defer {
        squares[index] = architecture.learned[index].reduce(0) {
          $0 + sumOfSquares(gradients.base + $1.lowerBound, count: $1.count)
        }
      }
      try placed.layer.foldBackward(
        folded(index), gradient: weightGradient(of: index),
        logDeterminantGradient: totalWeight * Double(architecture.positions[index]), into: gradients)
    }
  }

  /// The 2-norm of what the latest `objective` has written as the gradient of all parameters that are learned.
  package var gradientNorm: Double { squares!.values.reduce(0, +).squareRoot() }
}
