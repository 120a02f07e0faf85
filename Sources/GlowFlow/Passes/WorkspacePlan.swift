import GlowKernels

/// The sizes of a workspace: what every layer has booked, for a number of images.
struct WorkspacePlan<S: Scalar> {
  let batch: Int
  let purpose: Purpose
  private let dimensions: Int
  private let levels: [(level: Level, tiling: Tiling)]
  /// Each thread's room for gradients of weights (`multiplyTransposed`); 0 where OpenBLAS makes them.
  private let packingCount: Int

  /// What a workspace consists of.
  struct Memory {
    let images: UnsafeMutablePointer<S>
    let levels: [LevelMemory<S>]
    let scratch: [UnsafeMutablePointer<S>]
    let packing: [UnsafeMutablePointer<S>]
    let partialGradients: UnsafeMutablePointer<S>?
    let likelihoodWeights: UnsafeMutablePointer<S>
    /// Values in all.
    let count: Int
  }

  /// Sums in Double, which are not in the slab: two for each slot of each level, and those of statistics.
  var sumCount: Int {
    levels.reduce(0) {
      $0 + 2 * $1.tiling.slotCount + $1.level.tileSumCount * $1.tiling.tileCount + $1.level.statisticsCount
    }
  }

  init(_ architecture: GlowArchitecture, dimensions: Int, batch: Int, purpose: Purpose, grain: TileGrain) {
    self.batch = batch
    self.purpose = purpose
    self.dimensions = dimensions
    levels = architecture.levels.map { level in
      (level, .fitting(level.needs, batch: batch, grain, S.self))
    }
    let matrices = architecture.foldables.flatMap(\.needs.weights.matrices)
    packingCount =
      purpose.isTraining && S.hasPackedProducts && grain.kernels == .packed
      ? gradientScratchCount(columns: matrices.map(\.columns).max()!) : 0
  }

  /// Bytes for a number of threads.
  func bytes(threads: Int) -> Int { count(threads: threads) * MemoryLayout<S>.stride }

  /// Values for a number of threads.
  func count(threads: Int) -> Int {
    // Laid out at an address that nobody reads or writes.
    let nowhere = UnsafeMutablePointer<S>(bitPattern: 64)!
    let sums = UnsafeMutableBufferPointer<Double>(
      start: UnsafeMutablePointer(bitPattern: 64), count: sumCount)
    return lay(out: nowhere, sums: sums, threads: threads).count
  }

  /// Lays out all memory from `base` on.
  func lay(
    out base: UnsafeMutablePointer<S>, sums: UnsafeMutableBufferPointer<Double>, threads: Int
  ) -> Memory {
    var placing = Placing(base: base, sums: sums[...])
    let images = placing.reserve(batch * dimensions)
    let memory = levels.map { level, tiling in lay(level, tiling, &placing) }
    let threadMemory = (0..<threads).map { _ in placing.reserve(placing.mostScratch) }
    let packing = packingCount > 0 ? (0..<threads).map { _ in placing.reserve(packingCount) } : []
    let parts = levels.map { level, tiling in
      tiling.partCount * level.layers.map(\.needs.weights.count).max()!
    }
    let partialGradients = purpose.isTraining ? placing.reserve(parts.max()!) : nil
    return Memory(
      images: images, levels: memory, scratch: threadMemory, packing: packing,
      partialGradients: partialGradients, likelihoodWeights: placing.reserve(batch),
      count: placing.booking.count)
  }

  /// Where memory goes.
  private struct Placing {
    let base: UnsafeMutablePointer<S>
    var booking = Reservation()
    var sums: Slice<UnsafeMutableBufferPointer<Double>>
    /// What the most demanding layer needs of each thread's own memory.
    var mostScratch = 0

    mutating func reserve(_ count: Int) -> UnsafeMutablePointer<S> { base + booking.reserve(count) }

    mutating func takeSums(_ count: Int) -> UnsafeMutableBufferPointer<Double> {
      defer { sums = sums.dropFirst(count) }
      return UnsafeMutableBufferPointer(rebasing: sums.prefix(count))
    }
  }

  /// Where the buffers of one layer go.
  private struct LayerPlacing {
    let tiling: Tiling
    /// The level's memory for what other tiles must see.
    let halo: UnsafeMutablePointer<S>
    var shared = Reservation()
    /// The level's memory for what gradients of weights are made of.
    let contributions: UnsafeMutablePointer<S>
    var contributed = Reservation()
    /// In each thread's own memory.
    var scratch = Reservation()
    var placed: [PlacedBuffer<S>] = []
  }

  private func lay(_ level: Level, _ tiling: Tiling, _ placing: inout Placing) -> LevelMemory<S> {
    let shape = level.shape
    let rows = batch * shape.positions
    let activations = (0..<(purpose.isTraining ? level.places : 2)).map { _ in
      placing.reserve(rows * shape.channels)
    }
    // What lasts from stage to stage is shared by the level's layers, which work one after the other.
    let halo = placing.reserve(level.layers.map { sharedCount($0.needs.buffers, tiling) }.max()!)
    // While what one layer contributes is being used, the next one in the pass writes its own.
    let contributions = (0..<2).map { turn in
      let counts = level.layers.indices.map { index in
        index % 2 == turn ? contributedCount(level.layers[index].needs.buffers, tiling) : 0
      }
      return placing.reserve(counts.max()!)
    }
    var latents: [(UnsafeMutablePointer<S>, count: Int)] = []
    let buffers = level.layers.enumerated().map { index, layer in
      var own = LayerPlacing(tiling: tiling, halo: halo, contributions: contributions[index % 2])
      for need in layer.needs.buffers {
        let placed = place(need, &own, &placing)
        own.placed.append(placed)
        if case .latents = need.life, case .level(let start) = placed.place {
          latents.append((start, need.columns * shape.positions))
        }
      }
      placing.mostScratch = max(placing.mostScratch, own.scratch.count)
      return own.placed
    }
    let tileSums = placing.takeSums(level.tileSumCount * tiling.tileCount).baseAddress
    let statistics = level.layers.map { layer in
      layer.needs.statistics.isEmpty ? nil : placing.takeSums(layer.needs.statisticsCount).baseAddress
    }
    return LevelMemory(
      shape: shape, classes: BorderClasses(height: shape.height, width: shape.width), tiling: tiling,
      activations: activations,
      gradient: purpose.isTraining ? placing.reserve(rows * shape.channels) : nil, buffers: buffers,
      latents: latents,
      sums: LevelSums(
        logDeterminants: placing.takeSums(tiling.slotCount), logDensities: placing.takeSums(tiling.slotCount)),
      statistics: statistics.map { results in
        results.map { (results: $0, tileSums: tileSums!) }
      })
  }

  private func isUsed(_ need: BufferNeed) -> Bool { purpose.isTraining || !need.isForBackward }

  /// Level-wide values for what one layer keeps from stage to stage.
  private func sharedCount(_ needs: [BufferNeed], _ tiling: Tiling) -> Int {
    if !tiling.isStaged { return 0 }
    var count = Reservation()
    for need in needs {
      if lastsBetweenStages(need) { _ = count.reserve(batch * tiling.shape.positions * need.columns) }
    }
    return count.count
  }

  /// Level-wide values for what one layer contributes to the gradients of weights that are shared out.
  private func contributedCount(_ needs: [BufferNeed], _ tiling: Tiling) -> Int {
    if !tiling.sharesGradients { return 0 }
    var count = Reservation()
    for need in needs where isContribution(need) {
      _ = count.reserve(batch * tiling.shape.positions * need.columns)
    }
    return count.count
  }

  private func isContribution(_ need: BufferNeed) -> Bool {
    switch need.life {
    case .contribution: isUsed(need)
    case .recomputable(let other): other != nil && purpose == .training(keepsHidden: false)
    case .stage, .halo, .kept, .latents: false
    }
  }

  private func lastsBetweenStages(_ need: BufferNeed) -> Bool {
    switch need.life {
    case .halo: isUsed(need)
    case .recomputable(let other): other == nil && purpose == .training(keepsHidden: false)
    case .stage, .contribution, .kept, .latents: false
    }
  }

  private func place(
    _ need: BufferNeed, _ own: inout LayerPlacing, _ placing: inout Placing
  ) -> PlacedBuffer<S> {
    let rows = batch * own.tiling.shape.positions * need.columns
    func level(_ start: UnsafeMutablePointer<S>, isKept: Bool) -> PlacedBuffer<S> {
      PlacedBuffer(columns: need.columns, place: .level(start), isKept: isKept)
    }
    func thread() -> PlacedBuffer<S> {
      let offset = own.scratch.reserve(need.count(own.tiling))
      return PlacedBuffer(columns: need.columns, place: .thread(offset: offset), isKept: false)
    }
    func betweenStages() -> PlacedBuffer<S> {
      own.tiling.isStaged
        ? level(own.halo + own.shared.reserve(rows), isKept: false) : thread()
    }
    let nowhere = PlacedBuffer<S>(columns: need.columns, place: .nowhere, isKept: false)
    guard isUsed(need) else { return nowhere }
    if own.tiling.sharesGradients && isContribution(need) {
      return level(own.contributions + own.contributed.reserve(rows), isKept: false)
    }
    switch need.life {
    case .stage, .contribution: return thread()
    case .halo: return betweenStages()
    case .kept: return purpose.isTraining ? level(placing.reserve(rows), isKept: true) : nowhere
    case .recomputable(let other):
      if purpose == .training(keepsHidden: true) { return level(placing.reserve(rows), isKept: true) }
      if let other { return own.placed[other.index] }
      return purpose.isTraining ? betweenStages() : nowhere
    case .latents: return level(placing.reserve(rows), isKept: true)
    }
  }
}
