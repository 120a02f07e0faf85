import GlowKernels

/// Everything that decides the shape of a model: two models with equal configurations have equal parameter lists.
public struct GlowConfiguration: Sendable, Hashable, Codable {
  /// Pixels from top to bottom.
  public var imageHeight = 32
  /// Pixels from left to right.
  public var imageWidth = 32
  /// Values a pixel: 1 for gray, 3 for RGB.
  public var imageChannels = 3
  /// What layers the model consists of.
  public var architecture = ArchitectureKind.glow
  /// Number of scales (L in the paper).
  public var levels = 3
  /// Flow steps at each scale (K in the paper).
  public var depth = 16
  /// Channels of the hidden layers of each conditioner.
  public var width = 64
  /// What the couplings do to half of the channels.
  public var coupling = CouplingKind.affine
  /// What the couplings' conditioners are.
  public var network = NetworkKind.plain
  /// Blocks of a residual network, or of the networks of a RealNVP.
  public var blocks = 2
  /// Side of the first filter of each block of a residual network: 1 or 3.
  public var kernel = 1
  /// How the channels are mixed between couplings.
  public var permutation = PermutationKind.convolution
  /// What convolutions read outside of the picture.
  public var padding = Padding.edge
  /// What follows each coupling of a RealNVP.
  public var flowNormalization = FlowNormalization.none
  /// The margin α of the logit of the images that a Glow begins with (`Logit`), 1e-5...0.25; 0 for a model without one.
  public var logit = 0.0
  /// Bits a channel value is scored at, 1...8.
  public var bits = 8
  /// Whether the mean and scale of the top latent are learned.
  public var learnsTopPrior = true
  /// Classes that the top prior depends on; 0 for an unconditional model.
  public var classCount = 0
  /// Channels of the hidden layers of the dequantizer, the network that learns what noise makes densities of pixel values
  /// (variational dequantization); 0 for a model without one, whose noise is uniform.
  public var dequantizerWidth = 0

  /// A model as `glow train` makes it by default, for images of 32×32×3: a Glow of three levels of sixteen steps of width 64,
  /// or a RealNVP of two scales whose networks have eight blocks of width 64.
  public init(_ architecture: ArchitectureKind = .glow) { begin(architecture) }

  /// Takes on an architecture with its defaults; images and bits stay.
  package mutating func begin(_ architecture: ArchitectureKind) {
    self.architecture = architecture
    architecture.design.setDefaults(&self)
  }

  /// A setting by its name.
  package enum Setting: String, CodingKey, CaseIterable {
    case imageHeight, imageWidth, imageChannels, architecture, levels, depth, width, coupling, network, blocks
    case kernel, permutation, padding, flowNormalization, logit, bits, learnsTopPrior, classCount
    case dequantizerWidth
  }

  /// Whether a setting means something to its architecture.
  package func has(_ setting: Setting) -> Bool { architecture.design.settings.contains(setting) }

  /// The settings that it has, in the order of their declarations.
  package var settings: [(name: String, value: String)] {
    Mirror(reflecting: self).children.compactMap { child in
      guard let setting = child.label.flatMap(Setting.init(rawValue:)), has(setting) else { return nil }
      return (setting.rawValue, "\(child.value)")
    }
  }

  /// The settings in which it differs from another model; of models of two architectures these alone.
  package func differences(
    from other: GlowConfiguration
  ) -> [(name: String, own: String, other: String)] {
    if architecture != other.architecture {
      return [(Setting.architecture.rawValue, "\(architecture)", "\(other.architecture)")]
    }
    return zip(settings, other.settings).compactMap { own, other in
      own.value == other.value ? nil : (own.name, own.value, other.value)
    }
  }

  /// What a person knows it by.
  package var outline: String { architecture.design.outline(self) }

  /// Settings that an earlier version did not have stand at their defaults.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Setting.self)
    imageHeight = try values.decode(Int.self, forKey: .imageHeight)
    imageWidth = try values.decode(Int.self, forKey: .imageWidth)
    imageChannels = try values.decode(Int.self, forKey: .imageChannels)
    architecture =
      try values.decodeIfPresent(ArchitectureKind.self, forKey: .architecture) ?? architecture
    levels = try values.decode(Int.self, forKey: .levels)
    depth = try values.decode(Int.self, forKey: .depth)
    width = try values.decode(Int.self, forKey: .width)
    coupling = try values.decode(CouplingKind.self, forKey: .coupling)
    network = try values.decodeIfPresent(NetworkKind.self, forKey: .network) ?? network
    blocks = try values.decodeIfPresent(Int.self, forKey: .blocks) ?? blocks
    kernel = try values.decodeIfPresent(Int.self, forKey: .kernel) ?? kernel
    permutation = try values.decode(PermutationKind.self, forKey: .permutation)
    padding = try values.decodeIfPresent(Padding.self, forKey: .padding) ?? padding
    flowNormalization =
      try values.decodeIfPresent(FlowNormalization.self, forKey: .flowNormalization) ?? flowNormalization
    logit = try values.decodeIfPresent(Double.self, forKey: .logit) ?? logit
    bits = try values.decode(Int.self, forKey: .bits)
    learnsTopPrior = try values.decode(Bool.self, forKey: .learnsTopPrior)
    classCount = try values.decode(Int.self, forKey: .classCount)
    dequantizerWidth =
      try values.decodeIfPresent(Int.self, forKey: .dequantizerWidth) ?? dequantizerWidth
  }

  /// Files of a Glow with uniform noise and no logit are those that versions without other architectures or noise read and
  /// wrote, and those of a RealNVP without normalization between its couplings name none.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Setting.self)
    try values.encode(imageHeight, forKey: .imageHeight)
    try values.encode(imageWidth, forKey: .imageWidth)
    try values.encode(imageChannels, forKey: .imageChannels)
    if architecture != .glow { try values.encode(architecture, forKey: .architecture) }
    try values.encode(levels, forKey: .levels)
    try values.encode(depth, forKey: .depth)
    try values.encode(width, forKey: .width)
    try values.encode(coupling, forKey: .coupling)
    try values.encode(network, forKey: .network)
    try values.encode(blocks, forKey: .blocks)
    try values.encode(kernel, forKey: .kernel)
    try values.encode(permutation, forKey: .permutation)
    try values.encode(padding, forKey: .padding)
    if flowNormalization != .none { try values.encode(flowNormalization, forKey: .flowNormalization) }
    if logit != 0 { try values.encode(logit, forKey: .logit) }
    try values.encode(bits, forKey: .bits)
    try values.encode(learnsTopPrior, forKey: .learnsTopPrior)
    try values.encode(classCount, forKey: .classCount)
    if hasDequantizer { try values.encode(dequantizerWidth, forKey: .dequantizerWidth) }
  }

  /// H·W·C of an image: the number of dimensions that bits/dim divides by.
  public var dimensions: Int { imageHeight * imageWidth * imageChannels }

  /// Whether the model knows classes.
  public var isConditional: Bool { classCount > 0 }

  /// Whether the model learns the noise that makes densities of pixel values.
  public var hasDequantizer: Bool { dequantizerWidth > 0 }

  /// The shape of the activations of a level of a Glow, after its squeeze.
  package func shape(ofLevel level: Int) -> LevelShape {
    LevelShape(
      height: imageHeight >> (level + 1), width: imageWidth >> (level + 1),
      channels: imageChannels << (level + 2))
  }

  /// The shape of an image.
  package var imageShape: LevelShape {
    LevelShape(height: imageHeight, width: imageWidth, channels: imageChannels)
  }

  /// Parameters that a model has at least, counted without making it.
  package var leastParameters: Double {
    architecture.design.leastParameters(self) + Double(dequantizerWidth) * Double(dequantizerWidth)
  }

  /// Outputs of the conditioners for each value that a coupling changes.
  package var outputsPerValue: Int { coupling.transform.outputsPerValue }

  var networkSettings: NetworkSettings {
    NetworkSettings(kind: network, width: width, blocks: blocks, kernel: kernel, padding: padding)
  }

  /// - Parameter givenName: what a setting is called where it was given, from the name that it has here (or `size`, the side
  ///   that images are brought to); nil for what cannot be given there.
  /// - Throws: `ConfigurationError` with the first setting that no model can be built from.
  package func validate(naming givenName: (String) -> String? = { $0 }) throws {
    func name(_ setting: String) -> String { givenName(setting) ?? setting }
    func require(_ holds: Bool, _ message: @autoclosure () -> String) throws {
      if !holds { throw ConfigurationError(message()) }
    }
    try require((1...12).contains(levels), "\(name("levels")) must be 1 to 12, not \(levels)")
    try require((1...1024).contains(depth), "\(name("depth")) must be 1 to 1024, not \(depth)")
    try require((1...16384).contains(width), "\(name("width")) must be 1 to 16384, not \(width)")
    try require((1...64).contains(blocks), "\(name("blocks")) must be 1 to 64, not \(blocks)")
    try require(kernel == 1 || kernel == 3, "\(name("kernel")) must be 1 or 3, not \(kernel)")
    try require((1...8).contains(bits), "\(name("bits")) must be 1 to 8, not \(bits)")
    try require(
      (0...65536).contains(classCount), "the number of classes must be 0 to 65536, not \(classCount)")
    try require(
      (1...16).contains(imageChannels), "images must have 1 to 16 channels, not \(imageChannels)")
    try require(
      (1...16384).contains(imageHeight) && (1...16384).contains(imageWidth),
      "images must have sides of 1 to 16384 pixels, not \(imageHeight)×\(imageWidth)")
    try require(
      (0...16384).contains(dequantizerWidth),
      "the dequantizer's width must be 1 to 16384, or 0 for none, not \(dequantizerWidth)")
    try architecture.design.validate(self, naming: name)
    let halvings = architecture.design.halvings(self)
    let factor = 1 << halvings
    if imageHeight % factor != 0 || imageWidth % factor != 0 {
      let most = max(0, min(imageHeight.trailingZeroBitCount, imageWidth.trailingZeroBitCount))
      let padded = (max(imageHeight, imageWidth) + factor - 1) / factor * factor
      let fixes = [("size", padded), ("levels", levels - halvings + most)].compactMap { setting, value in
        value > 0 ? givenName(setting).map { "\($0) \(value)" } : nil
      }
      throw ConfigurationError(
        "images of \(imageHeight)×\(imageWidth) cannot be halved \(halvings == 1 ? "once" : "\(halvings) times")"
          + " (both sides must divide by \(factor)): use \(fixes.joined(separator: " or "))")
    }
  }
}

/// A setting that no model can be built from; `description` names it and what to change.
public struct ConfigurationError: Error, CustomStringConvertible, Equatable {
  public let description: String
  /// An error that says this.
  package init(_ description: String) { self.description = description }
}

/// The shape of one picture of activations: [height, width, channels].
package struct LevelShape: Sendable, Hashable {
  package let height: Int
  package let width: Int
  package let channels: Int

  package init(height: Int, width: Int, channels: Int) {
    self.height = height
    self.width = width
    self.channels = channels
  }

  /// height·width.
  package var positions: Int { height * width }
  /// height·width·channels.
  package var count: Int { positions * channels }
}
