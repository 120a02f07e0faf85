import GlowKernels

extension Glow {
  /// Data-dependent initialization (section 3.1 of Kingma & Dhariwal 2018) on the `count` images in
  /// `workspace.images`: every actnorm, those in the coupling networks too, is set so that its output has
  /// mean 0 and variance 1 over the whole batch, one after the other in the order of the flow.
  ///
  /// Ends with the parameters folded. Any workspace will do.
  ///
  /// - Parameter shouldStop: asked before each flow step; if it says so, the model is left uninitialized.
  /// - Throws: `SingularMapError`.
  @specialized(where S == Float)
  @specialized(where S == Double)
  public func initialize(
    _ workspace: Workspace<S>, count: Int, shouldStop: () -> Bool = { false }
  ) throws {
    workspace.begin(count: count)
    for level in 0..<configuration.levels {
      enter(level, workspace)
      for index in 0..<configuration.depth {
        if shouldStop() { return }
        let step = steps[level][index]
        let folded = foldedStep(level, index)
        let buffers = workspace.levels[level]
        let x = buffers.activations(before: index)
        let y = buffers.activations(before: index + 1)
        step.map.actNorm.initialize(
          from: moments(buffers.tiling, channels: step.map.channels) { tile, _, add in
            add(x + tile.start * step.map.channels)
          }, values: values.base)
        _ = try step.map.fold(values.base, into: folded)
        buffers.tiling.forEachTile(team) { _, _, tile, _ in
          step.applyMap(tile, from: x, into: y, folded: folded)
        }
        initialize(step.network, buffers.tiling, input: y, stride: step.map.channels, folded, workspace)
        forwardSteps(level, index..<index + 1, workspace)
      }
    }
    isInitialized = true
    try parametersChanged()
  }

  /// Sets the two inner actnorms of a coupling network.
  private func initialize(
    _ network: CouplingNetwork, _ tiling: Tiling, input: UnsafeMutablePointer<S>, stride: Int,
    _ folded: UnsafeMutablePointer<S>, _ workspace: Workspace<S>
  ) {
    let actNorms = [
      ActNorm(channels: network.width, bias: network.first.bias, logs: network.first.logs),
      network.hiddenActNorm,
    ]
    for (layer, actNorm) in actNorms.enumerated() {
      // As new, an actnorm lets its input pass.
      for channel in 0..<network.width {
        values.base[actNorm.bias + channel] = 0
        values.base[actNorm.logs + channel] = 0
      }
      network.fold(values.base, into: folded)
      let moments = moments(tiling, channels: network.width) { tile, thread, add in
        let scratch = workspace.scratch[thread]
        network.gatherInput(tile: tile, activations: input, stride: stride, scratch: scratch)
        network.preActivations(
          ofLayer: layer, tile: tile, folded: folded, scratch: scratch)
        add(layer == 0 ? scratch.hidden1 : scratch.hidden2)
      }
      actNorm.initialize(from: moments, values: values.base)
    }
    network.fold(values.base, into: folded)
  }

  /// The moments over all positions of a batch; `body` hands each tile's [positions, channels] to `add`.
  private func moments(
    _ tiling: Tiling, channels: Int,
    _ body: (_ tile: Tile, _ thread: Int, _ add: (UnsafePointer<S>) -> Void) -> Void
  ) -> Moments {
    var parts = [Moments](repeating: Moments(channels: channels), count: tiling.tileCount)
    parts.withUnsafeMutableBufferPointer { parts in
      team.run(tiling.tileCount) { index, thread in
        // Rows of pictures that a tile has room for but does not hold must not count.
        let tile = tiling.tile(index).withoutEmptyRows
        body(tile, thread) { parts[index].add($0, rows: tile.positions) }
      }
    }
    return Moments.total(parts)
  }
}
