import GlowKernels

extension Glow {
  /// Data-dependent initialization (section 3.1 of Kingma & Dhariwal 2018) on the `count` images in
  /// `workspace.images`: every actnorm, those in the conditioners too, is set so that its output has
  /// mean 0 and variance 1 over the whole batch, one after the other in the order of the flow.
  ///
  /// Ends with the parameters folded. Any workspace will do.
  ///
  /// - Parameter shouldStop: asked before each layer, and told how many of how many are done; if it says so, the model stays
  ///   as it was.
  /// - Returns: whether it was not stopped.
  /// - Throws: `SingularMapError`, or what `shouldStop` throws; the model stays as it was.
  @discardableResult
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func initialize(
    _ workspace: Workspace<S>, count: Int,
    shouldStop: (_ done: Int, _ count: Int) throws -> Bool = { _, _ in false }
  ) throws -> Bool {
    let former = Array(values.values)
    do {
      if try setActNorms(workspace, count: count, shouldStop) { return true }
    } catch {
      try goBack(to: former)
      throw error
    }
    try goBack(to: former)
    return false
  }

  private func goBack(to former: [S]) throws {
    former.withUnsafeBufferPointer { values.base.update(from: $0.baseAddress!, count: $0.count) }
    try parametersChanged()
  }

  /// - Returns: false, with some of the layers set, if it was stopped.
  @specialized(where S == Float)
  @specialized(where S == Double)
  private func setActNorms(
    _ workspace: Workspace<S>, count: Int, _ shouldStop: (_ done: Int, _ count: Int) throws -> Bool
  ) throws -> Bool {
    workspace.begin(count: count, normalization: .batch)
    let layerCount = architecture.levels.reduce(0) { $0 + $1.layers.count }
    var done = 0
    for (level, layers) in architecture.levels.map(\.layers).enumerated() {
      for (index, placed) in layers.enumerated() {
        if try shouldStop(done, layerCount) { return false }
        done += 1
        try placed.layer.initialize(from: DataPass(self, workspace, level: level, layer: index))
        // What leaves the flow has nothing after it to be initialized.
        if !placed.emitsLatents { forward(level, index..<index + 1, workspace) }
      }
    }
    isInitialized = true
    try parametersChanged()
    return true
  }
}

/// What a layer sets its parameters from: the batch that has come to its input.
struct DataPass<S: Scalar> {
  private let glow: Glow<S>
  private let workspace: Workspace<S>
  private let level: Int
  private let layer: Int

  fileprivate init(_ glow: Glow<S>, _ workspace: Workspace<S>, level: Int, layer: Int) {
    self.glow = glow
    self.workspace = workspace
    self.level = level
    self.layer = layer
  }

  /// The parameters, to be set.
  var values: ParameterValues<S> { glow.parameterValues }

  /// Folds the layer as its parameters are now.
  func fold() throws { try glow.fold(glow.architecture.levels[level].layers[layer]) }

  /// Calls `body` at every tile.
  func forEachTile(_ body: (Site<S>) -> Void) {
    let tiling = workspace.levels[level].tiling
    glow.withPass(level, workspace) { pass in
      glow.team.run(tiling.tileCount) { index, thread in
        body(pass.site(layer, tiling.tile(index), thread: thread))
      }
    }
  }

  /// The moments over all positions of the batch of what `body` makes of each tile, [positions, channels].
  ///
  /// - Parameters:
  ///   - rounds: what has to be done with each tile before; neighboring bands wait for each other between them.
  func moments(
    channels: Int, after rounds: [(Site<S>) -> Void] = [], _ body: (Site<S>) -> Matrix<S>
  ) -> Moments {
    let tiling = workspace.levels[level].tiling
    var parts = [Moments](repeating: Moments(channels: channels), count: tiling.tileCount)
    parts.withUnsafeMutableBufferPointer { parts in
      glow.withPass(level, workspace) { pass in
        let stages = [Stage](repeating: .start, count: rounds.count) + [.finish]
        TileSchedule(tiling, stages: [stages]).run(glow.team) { _, places, tile, thread in
          // Rows of pictures that a tile has room for but does not hold must not count.
          let site = pass.site(layer, tile.withoutEmptyRows, thread: thread)
          for place in places.indices {
            if place < rounds.count {
              rounds[place](site)
            } else {
              let rows = body(site)
              parts[tiling.index(of: tile)].add(rows.base, rows: rows.rows)
            }
          }
        }
      }
    }
    return Moments.total(parts)
  }
}
