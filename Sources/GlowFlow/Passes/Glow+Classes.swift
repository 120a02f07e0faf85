import GlowKernels

extension Glow {
  /// As `forward`, of each image as of every class of a conditional model. The classes differ in the top prior alone, so
  /// that the flow is gone through once.
  ///
  /// - Returns: for each class the log-likelihood of each image, with the bits of one that `forward` gives for it.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func forwardOfAllClasses(_ workspace: Workspace<S>, count: Int) -> [[LogLikelihood]] {
    precondition(configuration.isConditional, "the model has no classes")
    precondition(architecture.levels.last!.layers.last!.layer is TopPrior)
    workspace.begin(count: count, labels: [Int](repeating: 0, count: count))
    for (level, layers) in architecture.levels.map(\.layers.indices).enumerated() {
      let isTop = level == architecture.levels.count - 1
      forward(level, isTop ? layers.dropLast() : layers, workspace)
    }
    let (level, top) = (architecture.levels.count - 1, architecture.levels.last!)
    let latents = topLatents(workspace)
    let shape = workspace.levels[level].shape
    let z = Array(UnsafeBufferPointer(start: latents, count: count * shape.positions * shape.channels))
    return (0..<configuration.classCount).map { label in
      workspace.setLabels([Int](repeating: label, count: count), ofLevel: level)
      latents.update(from: z, count: z.count)
      forward(level, top.layers.count - 1..<top.layers.count, workspace)
      return (0..<count).map { logLikelihood(ofImage: $0, workspace) }
    }
  }
}
