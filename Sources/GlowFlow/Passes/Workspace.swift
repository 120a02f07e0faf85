import GlowKernels

/// What a workspace is booked for.
package enum Purpose: Sendable, Hashable {
  /// Scoring, encoding and decoding: only two activations of a level exist at a time.
  case inference
  /// Forward and backward. With `keepsHidden` the hidden activations of every coupling are kept (3 units of
  /// work a step); without, backward computes them again from the steps' inputs (4 units, less memory).
  case training(keepsHidden: Bool)

  var isTraining: Bool { self != .inference }
}

/// All memory that passes over a batch need, booked at once and used again for each batch.
///
/// `WorkspacePlan.bytes` is the same plan without the memory. A workspace is of the thread that its
/// model is of.
package final class Workspace<S: Scalar> {
  package let batch: Int
  package let purpose: Purpose
  /// Images of the current pass, at most `batch`.
  package private(set) var count = 0
  /// The images as real values, [batch, H, W, C]: input of `forward`, output of `inverse`.
  package let images: UnsafeMutablePointer<S>
  /// Whether a dequantizer lets `images` pass, forward and inverse. Else their noise is uniform (`Dequantization.apply`, by
  /// parts), and it makes of it the one that the flow sees.
  package var imagesAreFinal = false
  private(set) var levels: [LevelMemory<S>]
  /// Each thread's own memory, for the buffers of the layer that it works at.
  let scratch: [UnsafeMutablePointer<S>]
  /// Each thread's room for gradients of weights (`multiplyTransposed`); none where OpenBLAS makes them.
  let packing: [UnsafeMutablePointer<S>]
  private(set) var clocks: [PhaseClock]
  /// Of the images of the current pass, in a conditional model.
  private(set) var labels: [Int]?
  /// What the current pass normalizes with.
  private(set) var normalization = Normalization.running
  var classifierResult: ClassifierResult<S>?
  /// Parts of sums of weights' gradients (`Tiling.sumOverTiles`): [parts, largest folded count].
  let partialGradients: UnsafeMutablePointer<S>?
  /// In backward: the gradient of each image's ln p.
  let likelihoodWeights: UnsafeMutablePointer<S>
  private var schedules: [PassKey: TileSchedule] = [:]
  private var sumSchedules: [PassKey: SumSchedule] = [:]
  private let slab: Slab<S>
  private let sums: Slab<Double>

  init(_ plan: WorkspacePlan<S>, threads: Int) throws {
    batch = plan.batch
    purpose = plan.purpose
    slab = try Slab(count: plan.count(threads: threads))
    sums = try Slab(count: plan.sumCount)
    let memory = plan.lay(out: slab.base, sums: sums.values, threads: threads)
    (images, levels, scratch, packing, partialGradients, likelihoodWeights) =
      (
        memory.images, memory.levels, memory.scratch, memory.packing, memory.partialGradients,
        memory.likelihoodWeights
      )
    clocks = scratch.map { _ in PhaseClock(nil) }
  }

  /// Seconds that all threads together have spent in each phase since `measurePhases`.
  package var phaseSeconds: [Phase: Double] {
    Dictionary(
      uniqueKeysWithValues: Phase.allCases.map { phase in (phase, clocks.reduce(0) { $0 + $1[phase] }) })
  }
  /// Of each thread `PhaseClock.count` values, which are whole numbers: a slab only lends them its aligned memory.
  private var phaseClocks: Slab<Double>?

  /// Switches the threads' clocks on, from zero.
  ///
  /// - Throws: `MemoryError`.
  package func measurePhases() throws {
    let slab = try Slab<Double>(count: clocks.count * PhaseClock.count)
    phaseClocks = slab
    for thread in clocks.indices {
      let own = UnsafeMutableRawPointer(slab.base + thread * PhaseClock.count)
      clocks[thread] = PhaseClock(own.bindMemory(to: UInt64.self, capacity: PhaseClock.count))
    }
  }

  func setLikelihoodWeight(_ weight: S, image: Int) { likelihoodWeights[image] = weight }

  /// A pass over some of a level's layers.
  struct PassKey: Hashable {
    let level: Int
    let layers: Range<Int>
    let direction: Direction

    init(_ level: Int, _ layers: Range<Int>, _ direction: Direction) {
      (self.level, self.layers, self.direction) = (level, layers, direction)
    }
  }

  /// The schedule of a pass, made for the first of all batches with as many images.
  func schedule(_ key: PassKey, _ make: (Tiling) -> TileSchedule) -> TileSchedule {
    let tiling = levels[key.level].tiling
    if let known = schedules[key], known.tiling.batch == tiling.batch { return known }
    let made = make(tiling)
    schedules[key] = made
    return made
  }

  func sumSchedule(_ key: PassKey, _ make: (Tiling) -> SumSchedule) -> SumSchedule {
    let tiling = levels[key.level].tiling
    if let known = sumSchedules[key], known.tiling.batch == tiling.batch { return known }
    let made = make(tiling)
    sumSchedules[key] = made
    return made
  }

  /// What a trace is told of a pass over some of a level's layers, given in its order: each position comes and goes, and
  /// with it what the layer keeps of it.
  func traffic(_ pass: String, _ level: Int, _ layers: [Int]) -> Traffic {
    let memory = levels[level]
    return Traffic(
      "\(pass), level \(level)",
      positions: layers.map { layer in
        let columns = memory.buffers[layer].reduce(2 * memory.shape.channels) { sum, placed in
          if case .level = placed.place { sum + placed.columns } else { sum }
        }
        return columns * MemoryLayout<S>.stride
      })
  }

  /// Starts a pass over `count` images.
  func begin(count: Int, labels: [Int]? = nil, normalization: Normalization = .running) {
    precondition((1...batch).contains(count), "\(count) images do not fit a workspace for \(batch)")
    for level in levels.indices { levels[level].begin(count: count) }
    self.count = count
    self.labels = labels
    self.normalization = normalization
    classifierResult = nil
  }

  /// Goes on with other classes of the images, and without the prior densities of a level so far.
  func setLabels(_ labels: [Int], ofLevel level: Int) {
    self.labels = labels
    levels[level].sums.logDensities.update(repeating: 0)
  }

  // MARK: Latents

  /// The latents of image `index`: ε of split 0, split 1, …, top, each in (row, column, channel) order.
  package func readLatents(_ index: Int, into target: UnsafeMutablePointer<S>) {
    var offset = 0
    for (latents, count) in latentBuffers {
      (target + offset).update(from: latents + index * count, count: count)
      offset += count
    }
  }

  /// Sets the latents of `count` images, each laid out as `readLatents` gives them, for `Glow.inverse`. It gives those that
  /// the flow sees.
  package func setLatents(_ source: UnsafePointer<S>, count: Int) {
    begin(count: count)
    imagesAreFinal = true
    for image in 0..<count {
      var offset = image * latentBuffers.reduce(0) { $0 + $1.count }
      for (latents, count) in latentBuffers {
        (latents + image * count).update(from: source + offset, count: count)
        offset += count
      }
    }
  }

  /// What leaves the flow, in its order, and the number of values of one image in it.
  private var latentBuffers: [(latents: UnsafeMutablePointer<S>, count: Int)] { levels.flatMap(\.latents) }
}

/// The memory of one level. Rows are positions of the batch; those of kept hidden activations are batch-interleaved within
/// their tile.
struct LevelMemory<S: Scalar> {
  let shape: LevelShape
  let classes: BorderClasses
  /// Of the images in the workspace, which may be fewer than it has room for.
  private(set) var tiling: Tiling
  /// [rows, channels] each. In inference there are two, used alternately.
  let activations: [UnsafeMutablePointer<S>]
  /// [rows, channels], training only: the gradient on its way down.
  let gradient: UnsafeMutablePointer<S>?
  /// Of each layer.
  let buffers: [[PlacedBuffer<S>]]
  /// What leaves the flow at this level, and the number of values of one image in it.
  let latents: [(UnsafeMutablePointer<S>, count: Int)]
  /// Sums over the parts of each image.
  let sums: LevelSums
  /// Of each layer that has statistics of the batch, where they are, and where the tiles' sums are from which they follow.
  let statistics: [(results: UnsafeMutablePointer<Double>, tileSums: UnsafeMutablePointer<Double>)?]

  /// Activations at one of the level's places (`Level.places`).
  func activations(at place: Int) -> UnsafeMutablePointer<S> { activations[place % activations.count] }

  /// The statistics of a layer, if it has any, as a tile sees them.
  func statistics(_ layer: Int, of tile: Tile, _ normalization: Normalization) -> StatisticsMemory? {
    statistics[layer].map {
      StatisticsMemory(
        results: $0.results, tiles: ($0.tileSums, tiling.tileCount), tile: tiling.index(of: tile),
        positions: tiling.batch * shape.positions, normalization: normalization)
    }
  }

  /// Starts a pass.
  mutating func begin(count: Int) {
    if count != tiling.batch { tiling = tiling.resized(batch: count) }
    sums.logDeterminants.update(repeating: 0)
    sums.logDensities.update(repeating: 0)
  }
}
