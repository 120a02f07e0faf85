import GlowKernels

extension Glow {
  /// Maps the workspace's latents (`setLatents`) to `count` images in `workspace.images`.
  ///
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func inverse(_ workspace: Workspace<S>, count: Int, labels: [Int]? = nil) throws {
    precondition(workspace.count == count, "set the latents of all \(count) images first")
    workspace.begin(count: count, labels: checked(labels, count))
    try makeInverses()
    for level in architecture.levels.indices.reversed() {
      inverse(level, architecture.levels[level].layers.indices, workspace)
    }
  }

  /// Some of a level's layers, the last first. `makeInverses` comes before.
  func inverse(_ level: Int, _ layers: Range<Int>, _ workspace: Workspace<S>) {
    let all = architecture.levels[level].layers
    let schedule = workspace.schedule(.init(level, layers, .inverse)) {
      TileSchedule(
        $0, stages: layers.reversed().map { all[$0].layer.stages(.inverse) },
        workspace.traffic("inverse", level, layers.reversed()))
    }
    withPass(level, workspace) { pass in
      schedule.run(team) { place, stages, tile, thread in
        let layer = layers.upperBound - 1 - place
        let site = pass.site(layer, tile, thread: thread)
        for stage in stages { all[layer].layer.inverse(stage, site) }
      }
    }
  }
}
