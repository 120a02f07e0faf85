import ArgumentParser
import GlowFlow
import GlowImages

extension CouplingKind: ExpressibleByArgument {}
extension NetworkKind: ExpressibleByArgument {}
extension PermutationKind: ExpressibleByArgument {}
extension Padding: ExpressibleByArgument {}

/// What couplings are made of. What is not given stays as it is.
struct CouplingArguments: ParsableArguments {
  @Option(help: "Channels of the hidden layers of the couplings' networks (default: 128).") var width: Int?
  @Option(help: "What a flow step does to half of the channels (default: affine).") var coupling:
    CouplingKind?
  @Option(help: "The couplings' networks (default: plain).") var network: NetworkKind?
  @Option(help: "Blocks of a residual network (2 by default).") var blocks: Int?
  @Option(help: "Side of the first filter of a residual network's blocks: 1 (the default) or 3.") var kernel:
    Int?

  /// - Throws: `ConfigurationError` if what is given does not belong to the network.
  func set(_ configuration: inout GlowConfiguration) throws {
    configuration.width = width ?? configuration.width
    configuration.coupling = coupling ?? configuration.coupling
    configuration.network = network ?? configuration.network
    configuration.blocks = blocks ?? configuration.blocks
    configuration.kernel = kernel ?? configuration.kernel
    if configuration.network != .residual,
      let name = blocks != nil ? "blocks" : kernel != nil ? "kernel" : nil
    {
      throw ConfigurationError(
        "--\(name) is of residual networks, and --network is \(configuration.network)")
    }
  }
}

/// The shape of a new model. Of one that is there, what is given must agree with it.
struct ModelArguments: ParsableArguments {
  @Option(help: "Scales, L in the paper (default: 3).") var levels: Int?
  @Option(help: "Flow steps a scale, K in the paper (default: 8).") var depth: Int?
  @OptionGroup var couplings: CouplingArguments
  @Option(help: "How a flow step mixes the channels (default: invconv).") var permutation: PermutationKind?
  @Option(
    help: ArgumentHelp(
      "What 3×3 convolutions read outside of the image (default: edge).",
      discussion:
        "edge: zeros and an indicator of the outside, as the original does; zeros, with which a model can be exported "
        + "to y0ast; ones (zeros in the first convolution of a network), with which it can to rosinality."))
  var padding: Padding?
  @Option(help: "Bits a channel value, 1 to 8 (default: 8).") var bits: Int?
  @Flag(
    inversion: .prefixedNo,
    help: "Learn mean and variance of the top prior (default), or keep them at 0 and 1.")
  var learnTop: Bool?
  @Flag(inversion: .prefixedNo, help: "Let the top prior depend on the class (default: no).")
  var conditional: Bool?

  /// The model for images of a data set.
  ///
  /// - Parameter present: a model that is there, and what it is.
  /// - Throws: `ConfigurationError`, with both values of options that do not agree with the present model.
  func configuration(
    for dataset: any Dataset, of present: (model: GlowConfiguration, name: String)?
  ) throws -> GlowConfiguration {
    var result = present?.model ?? .standard(for: dataset.shape)
    result.levels = levels ?? result.levels
    result.depth = depth ?? result.depth
    try couplings.set(&result)
    result.permutation = permutation ?? result.permutation
    result.padding = padding ?? result.padding
    result.bits = bits ?? result.bits
    result.learnsTopPrior = learnTop ?? result.learnsTopPrior
    if let conditional, conditional != result.isConditional {
      if conditional && dataset.classNames.isEmpty {
        throw ConfigurationError("--conditional needs data with classes, and these images have none")
      }
      result.classCount = conditional ? dataset.classNames.count : 0
    }
    if let present, present.model != result {
      throw ConfigurationError(
        "\(present.name) is another model: \(difference(present.model, result)); leave these options out")
    }
    try result.validate()
    return result
  }

  /// The settings in which two models differ, with both values.
  private func difference(_ old: GlowConfiguration, _ new: GlowConfiguration) -> String {
    zip(Mirror(reflecting: old).children, Mirror(reflecting: new).children).compactMap { old, new in
      "\(old.value)" == "\(new.value)" ? nil : "\(old.label ?? "") is \(old.value), asked for \(new.value)"
    }.joined(separator: ", ")
  }
}

extension GlowConfiguration {
  fileprivate static func standard(for shape: ImageShape) -> GlowConfiguration {
    var configuration = GlowConfiguration()
    configuration.imageHeight = shape.height
    configuration.imageWidth = shape.width
    configuration.imageChannels = shape.channels
    return configuration
  }
}
