import GlowKernels

extension Glow {
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
      let constant = factorizations[level].reduce(0) { $0 + $1.logAbsoluteDeterminant }
      logDeterminants.append(
        slots.reduce(Double(buffers.shape.positions) * constant) {
          $0 + workspace.logDeterminantSlots[level][$1]
        })
      priors.append(slots.reduce(0) { $0 + workspace.priorSlots[level][$1] })
    }
    return LogLikelihood(
      dequantizationConstant: dequantization.constant(dimensions: configuration.dimensions),
      logDeterminants: logDeterminants, priors: priors, dimensions: configuration.dimensions,
      classifierBits: workspace.classifierResult?.bits[image])
  }

  func topLatents(_ workspace: Workspace<S>) -> UnsafeMutablePointer<S> {
    workspace.levels[configuration.levels - 1].activations(before: configuration.depth)
  }

  func check(_ labels: [Int]?, _ count: Int) {
    guard configuration.isConditional else { return }
    precondition(
      labels?.count == count && labels!.allSatisfy { (0..<configuration.classCount).contains($0) },
      "a conditional model needs the class of every image")
  }
}
