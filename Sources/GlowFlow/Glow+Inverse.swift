import GlowKernels

extension Glow {
  /// Maps the workspace's latents (`setLatents`) to `count` images in `workspace.images`.
  ///
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  @specialized(where S == Float)
  @specialized(where S == Double)
  public func inverse(_ workspace: Workspace<S>, count: Int, labels: [Int]? = nil) throws {
    check(labels, count)
    precondition(workspace.count == count, "set the latents of all \(count) images first")
    let inverses = try self.inverses ?? makeInverses()
    self.inverses = inverses
    for level in (0..<configuration.levels).reversed() {
      let buffers = workspace.levels[level]
      if level == configuration.levels - 1 {
        top.inverse(
          buffers, depth: configuration.depth, labels: labels, folded: folded.base + layout.top,
          scratch: workspace.scratch, team: team)
      } else {
        splits[level].inverse(
          buffers, depth: configuration.depth, folded: folded.base + layout.splits[level],
          scratch: workspace.scratch, team: team)
      }
      buffers.tiling.forEachTile(team, steps: configuration.depth, phases: FlowStep.inversePhases) {
        index, phase, tile, thread in
        let step = configuration.depth - 1 - index
        steps[level][step].inverse(
          phase: phase, tile, buffers, step: step, folded: foldedStep(level, step),
          inverse: inverses[level][step].base, scratch: workspace.scratch[thread])
      }
      unsqueeze(level, workspace)
    }
  }

  private func makeInverses() throws -> [[Slab<S>]] {
    try steps.indices.map { level in
      try steps[level].indices.map { step in
        let map = steps[level][step].map
        let (matrix, bias) = try map.inverse(foldedStep(level, step), factorizations[level][step])
        let slab = Slab<S>(count: matrix.count + bias.count)
        for (index, value) in (matrix + bias).enumerated() { slab.base[index] = S(value) }
        return slab
      }
    }
  }

  private func unsqueeze(_ level: Int, _ workspace: Workspace<S>) {
    let shape = workspace.levels[level].shape
    let source = workspace.levels[level].activations(before: 0)
    let target =
      level > 0
      ? workspace.levels[level - 1].activations(before: configuration.depth) : workspace.images
    let stride = level > 0 ? shape.channels / 2 : configuration.imageChannels
    team.run(workspace.count) { image, _ in
      Squeeze.inverse(
        source + image * shape.count, into: target + image * shape.positions * 4 * stride, stride: stride,
        shape: shape)
    }
  }
}
