import GlowKernels

/// One tile of one layer on one thread: all that a stage of a pass works with.
struct Site<S: Scalar> {
  let tile: Tile
  /// The activations before the layer. Those of a level's first layer are of the level before, whose tile is larger.
  let input: Rows<S>
  /// The activations after the layer; for a layer that works in place the same as before.
  let output: Rows<S>
  /// In backward: the gradient at the activations after the layer, which the layer turns into that before it.
  let gradient: Rows<S>?
  /// In backward, of a level's first layer: where the gradient at `input` goes, if anybody wants it.
  let inputGradient: Rows<S>?
  /// The layer's folded weights.
  let weights: Weights<S>
  /// In the inverse, what `Foldable.foldInverse` has made.
  let inverse: Weights<S>?
  /// In backward: the gradient of the folded weights, to be added to.
  let weightGradient: Weights<S>?
  /// Whether the gradients of `Layer.gradientBlocks` are left to `Layer.addGradient`.
  let sharesGradients: Bool
  /// The thread's clock.
  let clock: PhaseClock

  /// What is known of each image of the batch.
  let images: ImageFacts<S>
  /// The border classes of the tile's batch-interleaved rows.
  let classes: RowClasses
  /// Sums of the tiles' pictures (`Tiling.slots`).
  let sums: LevelSums
  /// Of a layer that has any.
  let statistics: StatisticsMemory?
  let buffers: [PlacedBuffer<S>]
  /// The thread's own memory.
  let scratch: UnsafeMutablePointer<S>

  /// The rows of a buffer, wherever they are.
  subscript(buffer: Buffer) -> Rows<S> {
    let placed = buffers[buffer.index]
    switch placed.place {
    case .thread(let offset): return Rows(threads: scratch + offset, columns: placed.columns, tile: tile)
    case .level(let base): return Rows(levelWide: base, columns: placed.columns, tile: tile)
    case .nowhere: preconditionFailure("a buffer that this pass does not have")
    }
  }

  /// Whether this pass has a buffer at all.
  func has(_ buffer: Buffer) -> Bool {
    if case .nowhere = buffers[buffer.index].place { return false }
    return true
  }

  /// Whether a buffer lasts from forward to backward.
  func isKept(_ buffer: Buffer) -> Bool { buffers[buffer.index].isKept }

  /// The memory of a buffer that is the thread's own.
  func memory(_ buffer: Buffer) -> UnsafeMutablePointer<S> { self[buffer].own.base }

  /// The tile's batch-interleaved rows, a few at a time: what one product puts out, `width` values a row, is then still in
  /// the first cache for the next, or in the second where that would be too few rows for as many weights. All pictures'
  /// rows of a position are together. With OpenBLAS all at once, whose products want many rows.
  func fewRows(width: Int) -> RowParts {
    let rows = tile.multiplyRows
    let wanted = 64 * width * MemoryLayout<S>.stride <= firstCacheBytes ? 64 : 128
    let parts = weights.panels == nil ? 1 : max(1, (rows + wanted / 2) / wanted)
    return RowParts(positions: tile.positionsPerImage, step: tile.rowStep, count: parts)
  }

  /// The class of one of the tile's pictures, in a conditional model.
  func label(_ image: Int) -> Int? { images.labels?[tile.firstImage + image] }

  /// In backward: the gradient of one of the tile's pictures' ln p.
  func likelihoodWeight(_ image: Int) -> S { images.weights[tile.firstImage + image] }

  /// Adds to the log-determinant of one of the tile's pictures.
  func add(logDeterminant: Double, image: Int) {
    sums.logDeterminants[tile.firstSlot + image] += logDeterminant
  }

  /// Adds to ln of the density of one of the tile's pictures' latents.
  func add(logDensity: Double, image: Int) { sums.logDensities[tile.firstSlot + image] += logDensity }
}

/// Batch-interleaved rows in parts of about the same size.
struct RowParts: Sequence, IteratorProtocol {
  let positions: Int
  /// Rows of a position.
  let step: Int
  let count: Int
  private var part = 0

  init(positions: Int, step: Int, count: Int) {
    (self.positions, self.step, self.count) = (positions, step, count)
  }

  mutating func next() -> Range<Int>? {
    if part == count { return nil }
    defer { part += 1 }
    return positions * part / count * step..<positions * (part + 1) / count * step
  }
}

/// Of the processors' first caches what one product's results may take, beside the panels that stream by.
private let firstCacheBytes = 40 << 10

/// What a pass knows of each image of the batch.
struct ImageFacts<S: Scalar> {
  /// Classes, in a conditional model.
  let labels: UnsafePointer<Int>?
  /// In backward: the gradients of the images' ln p.
  let weights: UnsafePointer<S>
  /// Whether they have got the noise that the flow is to see (`Workspace.imagesAreFinal`).
  let areFinal: Bool
}

/// Sums over the positions of each picture of each tile of a level (`Tiling.slots`).
struct LevelSums {
  let logDeterminants: UnsafeMutableBufferPointer<Double>
  let logDensities: UnsafeMutableBufferPointer<Double>
}
