import GlowKernels

/// The network of a coupling: from z1, the first channels of `site.output`, to the outputs that the coupling's transform
/// needs for each value of z2.
///
/// A conditioner works in rounds, between which neighboring bands wait for each other: one that sees neighbors of what it
/// has computed itself needs more than one. As in `Layer`, the functions carry `@specialized` lines.
protocol Conditioner: Sendable {
  /// What `--network` calls it.
  static var name: String { get }

  /// Weights between hidden layers that a network of these settings has at least, counted without making it.
  static func hiddenWeights(_ settings: NetworkSettings) -> Int

  /// - Parameter prefix: that of the parameters' names: the flow step's and `.coupling`.
  init(_ shape: ConditionerShape, prefix: String, in blueprint: inout Blueprint)

  /// Writes initial weights, with which the outputs are zero.
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise)

  /// Sets the network's actnorms, one after the other, so that over a batch what leaves them has mean 0 and variance 1
  /// (section 3.1 of Kingma & Dhariwal 2018).
  func initialize<S: Scalar>(from data: DataPass<S>) throws

  /// As in `Foldable`.
  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>)

  /// As in `Foldable`.
  func foldBackward<S: Scalar>(_ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>)

  /// How many rounds a pass takes; forward and inverse both run `forward`.
  func rounds(_ direction: Direction) -> Int

  /// All but the last step of the network, on a tile.
  func forward<S: Scalar>(round: Int, _ site: Site<S>)

  /// After the last round of `forward`: the outputs for the tile's part of a picture, as planes
  /// [`shape.outputsPerValue`, positions, `shape.values`].
  func collect<S: Scalar>(_ image: Int, into planes: UnsafeMutablePointer<S>, _ site: Site<S>)

  /// From the gradient at the outputs to that at the input, which stays the conditioner's own, adding to
  /// `site.weightGradient`.
  ///
  /// - Parameter outputGradient: [positions, `shape.outputs`], the pictures one after the other.
  func backward<S: Scalar>(round: Int, outputGradient: Rows<S>, _ site: Site<S>)

  /// After the last round of `backward`: adds the gradient at z1 for the tile's part of a picture.
  ///
  /// - Parameter gradient: [positions, `shape.inChannels`]
  func addInputGradient<S: Scalar>(_ image: Int, to gradient: Matrix<S>, _ site: Site<S>)

  /// As in `Layer`.
  var gradientBlocks: [GradientBlock] { get }
  func addGradient<S: Scalar>(to block: GradientBlock, _ site: Site<S>)
}

extension Conditioner {
  var gradientBlocks: [GradientBlock] { [] }
  func addGradient<S: Scalar>(to block: GradientBlock, _ site: Site<S>) {}
}

/// What goes into a conditioner and comes out of it.
struct ConditionerShape: Sendable {
  /// Channels of z1.
  let inChannels: Int
  /// Channels of z2.
  let values: Int
  /// Outputs for each value of z2. They are stored interleaved, as by the original: shift and scale of channel 0, of
  /// channel 1, and so on.
  let outputsPerValue: Int
  /// The settings of the network.
  let settings: NetworkSettings

  /// Outputs for each position.
  var outputs: Int { values * outputsPerValue }
}

/// The kind of the conditioners.
public struct NetworkKind: Choice {
  /// All conditioners that there are.
  static let registered: [any Conditioner.Type] = [
    PlainConditioner.self, ResidualConditioner.self,
  ]

  public static var names: [String] { registered.map { $0.name } }
  public let rawValue: String
  public init(name: String) { rawValue = name }

  var conditioner: any Conditioner.Type { NetworkKind.registered.first { $0.name == rawValue }! }
}

/// What decides the shape of the conditioners of a model.
struct NetworkSettings: Sendable {
  let kind: NetworkKind
  /// Channels of the hidden layers.
  let width: Int
  /// Of a residual network.
  let blocks: Int
  /// Side of the first filter of each block of a residual network.
  let kernel: Int
  let padding: Padding
  /// Whether z1 depends on no parameter, so that nobody needs the gradient at it, and a network may leave it out.
  var readsConstants = false
}
