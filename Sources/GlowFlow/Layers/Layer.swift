import GlowKernels

/// What has parameters, and folds them once an update into what passes multiply with.
protocol Foldable: Sendable {
  /// For instance `level0.step3`, with which most of its parameters' names begin.
  var name: String { get }

  /// Writes the initial values of the parameters that are not to start at zero.
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) throws

  /// Writes the folded weights. Matrices and vectors that are not written stay what they were.
  ///
  /// - Parameter map: becomes the factors of the layer's channel map, if it has one: a linear map of the channels of each
  ///   position, whose log-determinant is the same at all of them and is not added by `forward`.
  /// - Throws: `LinearAlgebraError` if that map has no inverse.
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws

  /// The adjoint of `fold`: adds to `gradients`, given the gradients of the folded weights and of ln |det| of the channel
  /// map (positions times the sum over the batch of those of the log-determinants).
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>) throws

  /// Writes the folded weights that only the inverse needs.
  func foldInverse<S: Scalar>(_ folded: Folded<S>, into weights: Weights<S>) throws

  /// The logarithms of scales, or bounds of them, among the folded weights.
  var logarithms: [WeightColumns] { get }

  /// How far the channel map is from having no inverse, if the layer has one.
  func condition<S: Scalar>(_ folded: Folded<S>) -> MapCondition?
}

extension Foldable {
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) throws {}

  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {}

  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {}

  func foldInverse<S: Scalar>(_ folded: Folded<S>, into weights: Weights<S>) throws {}

  var logarithms: [WeightColumns] { [] }
  func condition<S: Scalar>(_ folded: Folded<S>) -> MapCondition? { nil }
}

/// One of a level's invertible maps, or a prior: all that training, scoring and sampling know of a model.
///
/// A layer is a value that knows where its parameters, folded weights and buffers are (`Blueprint`) and owns no memory. A
/// pass calls it once for every stage and tile, with the `Site` to work at. Whatever adds to a picture's log-determinant
/// or density says so to the site.
///
/// Whoever calls a layer through this protocol does not know the scalar type when it is compiled: the functions of a layer
/// that take an `S` carry `@specialized` lines, without which they run many times slower.
protocol Layer: Foldable {
  /// Whether the activations after the layer are those before it, changed or as they were. The first layer of a level is
  /// not in place.
  var isInPlace: Bool { get }

  /// The stages of a pass, in order. Where tiles are bands, all tiles leave a stage before any enters the next.
  func stages(_ direction: Direction) -> [Stage]

  /// `site.output` ← f(`site.input`).
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>)

  /// `site.input` ← f⁻¹(`site.output`), which it may change.
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>)

  /// Turns `site.gradient` at the output into that at the input, and adds to `site.weightGradient`.
  ///
  /// The log-determinant of the channel map is left to `foldBackward`.
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>)

  /// Blocks of the gradients of large matrices that `backward` leaves to `addGradient` where the tiles are many and small
  /// (`Tiling.sharesGradients`): each of them one piece of work.
  var gradientBlocks: [GradientBlock] { get }

  /// Adds a tile's share to a block of the gradient, after `backward` at the tile.
  func addGradient<S: Scalar>(to block: GradientBlock, _ site: Site<S>)

  /// Whether the layer has anything to be set from data before training.
  var isSetFromData: Bool { get }

  /// Sets from data what is to be set from data (section 3.1 of Kingma & Dhariwal 2018), given the input of a batch.
  func initialize<S: Scalar>(from data: DataPass<S>) throws

  /// Appends the statistics of a batch of training, those of the layer: for each of its parameters that are statistics
  /// (`ParameterEntry.Role`) what it follows, in their order.
  func append(_ statistics: StatisticsMemory, to values: inout [Double])

  /// What a person calls the layer.
  var title: String { get }

  /// The part of the layer that makes a channel of its output, for a person.
  func part(ofChannel channel: Int) -> String?
}

extension Layer {
  var isInPlace: Bool { false }
  var isSetFromData: Bool { false }
  var gradientBlocks: [GradientBlock] { [] }
  func addGradient<S: Scalar>(to block: GradientBlock, _ site: Site<S>) {}
  func initialize<S: Scalar>(from data: DataPass<S>) throws {}
  func append(_ statistics: StatisticsMemory, to values: inout [Double]) {}
  var title: String { name }
  func part(ofChannel channel: Int) -> String? { nil }
}

/// The pass that a layer takes part in.
enum Direction: CaseIterable, Sendable {
  case forward, inverse, backward
}

/// A part of a layer's work on a tile, between which neighboring bands wait for each other.
enum Stage: Sendable, Hashable {
  /// What comes first, from the tile's own positions.
  case start
  /// A round of the conditioner, which may read the halo of what was written before.
  case conditioner(round: Int)
  /// A round of a conditioner at which the tiles of a batch meet: it is visited once, with the first tile, after all tiles
  /// have left the stage before (`BatchStatistics`).
  case batch(round: Int)
  /// What is done with the conditioner's outputs, or with its gradient.
  case finish

  var isOfBatch: Bool { if case .batch = self { true } else { false } }
}

/// Random numbers for initial weights: a stream for each caller, in order.
struct WeightNoise {
  let seed: UInt64
  private var stream: UInt64 = 0

  init(seed: UInt64) { self.seed = seed }

  mutating func next() -> Philox {
    stream += 1
    return Philox(seed: seed, purpose: .weights, stream: stream)
  }
}
