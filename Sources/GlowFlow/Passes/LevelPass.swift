import GlowKernels

/// A pass over one level: makes the site of each tile and layer.
struct LevelPass<S: Scalar> {
  private let level: Level
  private let memory: LevelMemory<S>
  private let workspace: Workspace<S>
  private let glow: Glow<S>
  private let images: ImageFacts<S>
  /// The activations before the level, and where their gradient goes, if anybody wants it.
  private let source: UnsafeMutablePointer<S>
  private let sourceGradient: UnsafeMutablePointer<S>?

  init(
    _ glow: Glow<S>, _ number: Int, _ workspace: Workspace<S>, _ facts: PassFacts<S>
  ) {
    self.glow = glow
    self.workspace = workspace
    images = facts.images
    level = glow.architecture.levels[number]
    memory = workspace.levels[number]
    if number > 0 {
      let before = workspace.levels[number - 1]
      source = before.activations(at: glow.architecture.levels[number - 1].places - 1)
      sourceGradient = before.gradient
    } else {
      source = workspace.images
      sourceGradient = facts.imageGradient
    }
  }

  /// - Parameter weightGradient: in backward, what the tile adds to.
  func site(
    _ layer: Int, _ tile: Tile, thread: Int, weightGradient: Weights<S>? = nil
  ) -> Site<S> {
    let placed = level.layers[layer]
    let place = level.placeAfter[layer]
    let before = placed.layer.isInPlace ? place : place - 1
    var weightGradient = weightGradient
    weightGradient?.scratch = workspace.packing.isEmpty ? nil : workspace.packing[thread]
    let output = rows(memory.activations(at: place), tile)
    let isFirst = before < 0
    return Site(
      tile: tile,
      input: isFirst
        ? sourceRows(source, tile) : before == place ? output : rows(memory.activations(at: before), tile),
      output: output, gradient: memory.gradient.map { rows($0, tile) },
      inputGradient: isFirst ? sourceGradient.map { sourceRows($0, tile) } : nil,
      weights: glow.weights(of: placed.index), inverse: glow.inverseWeights(of: placed.index),
      weightGradient: weightGradient, sharesGradients: memory.tiling.sharesGradients,
      clock: workspace.clocks[thread], images: images,
      classes: memory.classes.rows(from: tile.firstRow, pictures: tile.rowStep), sums: memory.sums,
      statistics: memory.statistics(layer, of: tile, workspace.normalization),
      buffers: memory.buffers[layer], scratch: workspace.scratch[thread])
  }

  private func rows(_ base: UnsafeMutablePointer<S>, _ tile: Tile) -> Rows<S> {
    Rows(levelWide: base, columns: level.shape.channels, tile: tile)
  }

  private func sourceRows(_ base: UnsafeMutablePointer<S>, _ tile: Tile) -> Rows<S> {
    Rows(levelWide: base, columns: level.inputShape.channels, tile: tile.unsqueezed(to: level.inputShape))
  }
}

/// What a pass is told besides the images.
struct PassFacts<S: Scalar> {
  var images: ImageFacts<S>
  /// Where the gradient at the images goes, if anybody wants it.
  var imageGradient: UnsafeMutablePointer<S>?
}
