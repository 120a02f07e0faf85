import GlowKernels

/// What a workspace is booked for.
public enum Purpose: Sendable, Hashable {
  /// Scoring, encoding and decoding: only two activations of a level exist at a time.
  case inference
  /// Forward and backward. With `keepsHidden` the hidden activations of every coupling are kept (3 units of
  /// work a step); without, backward computes them again from the steps' inputs (4 units, less memory).
  case training(keepsHidden: Bool)

  var isTraining: Bool { self != .inference }
}

/// One thread's own buffers, each large enough for a tile of any level.
struct Scratch<S: Scalar> {
  /// A band with a border, [rows + 2, width + 2, channels].
  let bordered: UnsafeMutablePointer<S>
  /// [tile rows, 9·in]
  let patches: UnsafeMutablePointer<S>
  /// [tile rows, 9·in]: the gradient of `patches`.
  let patchesGradient: UnsafeMutablePointer<S>
  /// [tile rows, width]
  let hidden1: UnsafeMutablePointer<S>
  let hidden2: UnsafeMutablePointer<S>
  let hiddenGradient1: UnsafeMutablePointer<S>
  let hiddenGradient2: UnsafeMutablePointer<S>
  /// [tile rows, 9·channels]: couplings and splits put out at most as many channels as the level has.
  let outputPatches: UnsafeMutablePointer<S>
  /// [tile rows, 2·channels]: the top prior has a mean and a scale for every channel.
  let output: UnsafeMutablePointer<S>
  /// Two planes of [tile rows, channels].
  let first: UnsafeMutablePointer<S>
  let second: UnsafeMutablePointer<S>
  var clock = PhaseClock(nil)
}

/// The buffers of one level. Rows are positions of the batch; in the hidden activations a tile's pictures take turns.
struct LevelBuffers<S: Scalar> {
  let shape: LevelShape
  /// Of the images in the workspace, which may be fewer than it has room for.
  var tiling: Tiling
  /// Inputs of the steps and, last, the output of the level: [rows, channels] each. In inference two take turns.
  let activations: [UnsafeMutablePointer<S>]
  /// [rows, channels/2] of each step, affine coupling in training only.
  let scales: [UnsafeMutablePointer<S>]
  /// [rows, width] of each step, kept in training only.
  let hidden1: [UnsafeMutablePointer<S>]
  let hidden2: [UnsafeMutablePointer<S>]
  /// The standardized latents that leave at this level: [rows, channels/2], at the top [rows, channels].
  let epsilon: UnsafeMutablePointer<S>
  /// exp(−logs) of their prior, the same shape, training only.
  let inverseDeviation: UnsafeMutablePointer<S>?
  /// [rows, channels], training only: the gradient on its way down.
  let gradient: UnsafeMutablePointer<S>?
  /// Only if tiles are bands, whose neighbors must see them: [rows, 9·channels],
  /// [rows, channels], [rows, 9·channels/2].
  let sharedOutputPatches: UnsafeMutablePointer<S>?
  let sharedOutput: UnsafeMutablePointer<S>?
  let sharedPatches: UnsafeMutablePointer<S>?

  /// Activations before step `step`; `step` = depth is the output of the level.
  func activations(before step: Int) -> UnsafeMutablePointer<S> {
    activations[activations.count == 2 ? step % 2 : step]
  }
}

/// All memory that passes over a batch need, booked at once and used again for each batch.
///
/// `Workspace.bytes` is the same plan without the memory. Not for concurrent use.
public final class Workspace<S: Scalar>: @unchecked Sendable {
  public let batch: Int
  public let purpose: Purpose
  /// Images of the current pass, at most `batch`.
  public private(set) var count = 0
  /// The images as real values, [batch, H, W, C]: input of `forward`, output of `inverse`.
  public let images: UnsafeMutablePointer<S>
  private(set) var levels: [LevelBuffers<S>]
  private(set) var scratch: [Scratch<S>]
  var classifierResult: ClassifierResult<S>?
  /// Parts of sums of parameter gradients (`Tiling.sumOverTiles`): [parts, largest folded count].
  let partialGradients: UnsafeMutablePointer<S>?
  /// Sums over the parts of each image, by level (`Tiling.slots`), in Double.
  var logDeterminantSlots: [[Double]]
  var priorSlots: [[Double]]
  private let slab: Slab<S>

  init(plan: WorkspacePlan, threads: Int) {
    batch = plan.batch
    purpose = plan.purpose
    var booking = Reservation()
    _ = plan.lay(out: &booking, threads: threads, at: UnsafeMutablePointer<S>(bitPattern: 64)!)
    slab = Slab(count: booking.count)
    booking = Reservation()
    (images, levels, scratch, partialGradients) = plan.lay(out: &booking, threads: threads, at: slab.base)
    logDeterminantSlots = []
    priorSlots = []
  }

  /// Seconds that all threads together have spent in each phase since `measurePhases`.
  public var phaseSeconds: [Phase: Double] {
    Dictionary(
      uniqueKeysWithValues: Phase.allCases.map { phase in
        (phase, scratch.reduce(0) { $0 + $1.clock[phase] })
      })
  }
  /// Of each thread `PhaseClock.count` values, which are whole numbers: a slab only lends them its aligned memory.
  private var phaseClocks: Slab<Double>?

  /// Switches the threads' clocks on, from zero.
  public func measurePhases() {
    let clocks = Slab<Double>(count: scratch.count * PhaseClock.count)
    phaseClocks = clocks
    for thread in scratch.indices {
      let own = UnsafeMutableRawPointer(clocks.base + thread * PhaseClock.count)
      scratch[thread].clock = PhaseClock(own.bindMemory(to: UInt64.self, capacity: PhaseClock.count))
    }
  }

  /// Starts a pass over `count` images.
  func begin(count: Int) {
    precondition((1...batch).contains(count), "\(count) images do not fit a workspace for \(batch)")
    if count != self.count {
      self.count = count
      for level in levels.indices { levels[level].tiling = levels[level].tiling.resized(batch: count) }
    }
    logDeterminantSlots = levels.map { [Double](repeating: 0, count: $0.tiling.slotCount) }
    priorSlots = logDeterminantSlots
    classifierResult = nil
  }

  // MARK: Latents

  /// The latents of image `index`: ε of split 0, split 1, …, top, each in (row, column, channel) order.
  public func readLatents(_ index: Int, into target: UnsafeMutablePointer<S>) {
    var offset = 0
    for (latents, count) in latentBuffers {
      (target + offset).update(from: latents + index * count, count: count)
      offset += count
    }
  }

  /// Sets the latents of `count` images, each laid out as `readLatents` gives them, for `Glow.inverse`.
  public func setLatents(_ source: UnsafePointer<S>, count: Int) {
    begin(count: count)
    for image in 0..<count {
      var offset = image * latentBuffers.reduce(0) { $0 + $1.count }
      for (latents, count) in latentBuffers {
        (latents + image * count).update(from: source + offset, count: count)
        offset += count
      }
    }
  }

  /// Each level's ε and the number of values of one image in it.
  private var latentBuffers: [(latents: UnsafeMutablePointer<S>, count: Int)] {
    levels.enumerated().map { index, level in
      (level.epsilon, index == levels.count - 1 ? level.shape.count : level.shape.count / 2)
    }
  }
}

/// The sizes of a workspace.
struct WorkspacePlan {
  let configuration: GlowConfiguration
  let batch: Int
  let purpose: Purpose
  let tileRows: Int
  /// Folded weights of the largest layer.
  let largestFoldedCount: Int

  /// Bytes for a number of threads.
  func bytes<S: Scalar>(threads: Int, _: S.Type) -> Int {
    var booking = Reservation()
    _ = lay(out: &booking, threads: threads, at: UnsafeMutablePointer<S>(bitPattern: 64)!)
    return booking.count * MemoryLayout<S>.stride
  }

  func lay<S: Scalar>(
    out booking: inout Reservation, threads: Int, at base: UnsafeMutablePointer<S>
  ) -> (UnsafeMutablePointer<S>, [LevelBuffers<S>], [Scratch<S>], UnsafeMutablePointer<S>?) {
    func reserve(_ count: Int) -> UnsafeMutablePointer<S> {
      UnsafeMutablePointer(base + booking.reserve(count))
    }
    let images = reserve(batch * configuration.dimensions)
    let depth = configuration.depth
    let width = configuration.width
    var levels: [LevelBuffers<S>] = []
    var most = (bordered: 0, input: 0, plane: 0, hidden: 0, parts: 0)
    for level in 0..<configuration.levels {
      let shape = configuration.shape(ofLevel: level)
      let tiling = Tiling(
        shape: shape, batch: batch, purpose: purpose, targetRows: tileRows,
        products: configuration.couplingProducts(ofLevel: level), S.self)
      let rows = batch * shape.positions
      let half = shape.channels / 2
      let isTop = level == configuration.levels - 1
      let keepsHidden = purpose == .training(keepsHidden: true)
      let areBands = !tiling.holdsWholeImages
      levels.append(
        LevelBuffers(
          shape: shape, tiling: tiling,
          activations: (0..<(purpose.isTraining ? depth + 1 : 2)).map { _ in
            reserve(rows * shape.channels)
          },
          scales: purpose.isTraining && configuration.coupling == .affine
            ? (0..<depth).map { _ in reserve(rows * half) } : [],
          hidden1: keepsHidden ? (0..<depth).map { _ in reserve(rows * width) } : [],
          hidden2: keepsHidden ? (0..<depth).map { _ in reserve(rows * width) } : [],
          epsilon: reserve(rows * (isTop ? shape.channels : half)),
          inverseDeviation: purpose.isTraining ? reserve(rows * (isTop ? shape.channels : half)) : nil,
          gradient: purpose.isTraining ? reserve(rows * shape.channels) : nil,
          sharedOutputPatches: areBands ? reserve(rows * 9 * shape.channels) : nil,
          sharedOutput: areBands && purpose.isTraining ? reserve(rows * shape.channels) : nil,
          sharedPatches: areBands && purpose.isTraining ? reserve(rows * 9 * half) : nil))
      let band = tiling.tile(0).band
      most.bordered = max(most.bordered, band.borderedCount(channels: shape.channels))
      most.input = max(most.input, tiling.tileRows * 9 * half)
      most.plane = max(most.plane, tiling.tileRows * shape.channels)
      most.hidden = max(most.hidden, tiling.tileRows * width)
      most.parts = max(most.parts, tiling.partCount)
    }
    let scratch = (0..<threads).map { _ in
      Scratch(
        bordered: reserve(most.bordered), patches: reserve(most.input),
        patchesGradient: reserve(most.input), hidden1: reserve(most.hidden), hidden2: reserve(most.hidden),
        hiddenGradient1: reserve(purpose.isTraining ? most.hidden : 0),
        hiddenGradient2: reserve(purpose.isTraining ? most.hidden : 0),
        outputPatches: reserve(9 * most.plane), output: reserve(2 * most.plane),
        first: reserve(most.plane), second: reserve(most.plane))
    }
    let parts = purpose.isTraining ? reserve(most.parts * largestFoldedCount) : nil
    return (images, levels, scratch, parts)
  }
}
