import ArgumentParser
import GlowFlow
import GlowImages
import GlowTraining

extension ArchitectureKind: ExpressibleByArgument {}
extension CouplingKind: ExpressibleByArgument {}
extension NetworkKind: ExpressibleByArgument {}
extension PermutationKind: ExpressibleByArgument {}
extension Padding: ExpressibleByArgument {}
extension FlowNormalization: ExpressibleByArgument {}

/// What models and their couplings are made of. What is not given stays as it is.
struct CouplingArguments: ParsableArguments {
  @Option(help: "glow (default) or realnvp.") var architecture: ArchitectureKind?
  @Option(help: "Scales of a realnvp (2 by default).") var scales: Int?
  @Option(
    help: """
      Channels of the hidden layers of the couplings' networks (default: 64; of a realnvp doubled at each scale).
      """)
  var width: Int?
  @Option(help: "What a flow step does to half of the channels (default: affine).") var coupling:
    CouplingKind?
  @Option(help: "The couplings' networks (default: plain).") var network: NetworkKind?
  @Option(help: "Blocks of a residual network (2 by default) or of a realnvp's networks (8 by default).")
  var blocks: Int?
  @Option(help: "Side of the first filter of a residual network's blocks: 1 (the default) or 3.") var kernel:
    Int?
  @Option(help: "Normalization of the output of each coupling of a realnvp: batch (default) or none.")
  var flowNormalization: FlowNormalization?

  /// - Throws: `ConfigurationError` if what is given does not belong to the architecture or the network.
  func set(_ configuration: inout GlowConfiguration) throws {
    if let architecture, architecture != configuration.architecture {
      configuration.begin(architecture)
    }
    try refuse(
      scales != nil ? "scales" : flowNormalization != nil ? "flow-normalization" : nil, unless: .realNVP,
      configuration)
    try refuse(
      coupling != nil ? "coupling" : network != nil ? "network" : kernel != nil ? "kernel" : nil,
      unless: .glow, configuration)
    configuration.levels = scales ?? configuration.levels
    configuration.width = width ?? configuration.width
    configuration.coupling = coupling ?? configuration.coupling
    configuration.network = network ?? configuration.network
    configuration.blocks = blocks ?? configuration.blocks
    configuration.kernel = kernel ?? configuration.kernel
    configuration.flowNormalization = flowNormalization ?? configuration.flowNormalization
    if configuration.architecture == .glow, configuration.network != .residual,
      let name = blocks != nil ? "blocks" : kernel != nil ? "kernel" : nil
    {
      throw ConfigurationError(
        "--\(name) is of residual networks, and --network is \(configuration.network)")
    }
  }

  /// What the settings of a configuration are called here.
  static func naming(_ architecture: ArchitectureKind) -> (String) -> String {
    let others = [
      "size": "image-size", "flowNormalization": "flow-normalization", "learnsTopPrior": "learn-top",
      "dequantizerWidth": "dequantizer-width",
    ]
    return { setting in
      switch setting {
      case "levels" where architecture == .realNVP: "--scales"
      case "classCount": "the number of classes"
      default: "--" + (others[setting] ?? setting)
      }
    }
  }

  /// Refuses an option that was given and belongs to another architecture.
  func refuse(
    _ option: String?, unless architecture: ArchitectureKind, _ configuration: GlowConfiguration
  ) throws {
    guard let option, configuration.architecture != architecture else { return }
    throw ConfigurationError(
      "--\(option) is of --architecture \(architecture), and this model is a \(configuration.architecture)")
  }
}

/// The shape of a new model. Of one that is there, what is given must agree with it.
struct ModelArguments: ParsableArguments {
  @Option(help: "Scales, L in the paper (default: 3).") var levels: Int?
  @Option(help: "Flow steps a scale, K in the paper (default: 16).") var depth: Int?
  @OptionGroup var couplings: CouplingArguments
  @Option(help: "How a flow step mixes the channels (default: invconv).") var permutation: PermutationKind?
  @Option(
    help: ArgumentHelp(
      "What 3×3 convolutions read outside of the image (default: edge).",
      discussion:
        "edge: zeros and an indicator of the outside, as the original does; zeros, with which a model can be exported "
        + "to y0ast; ones (zeros in the first convolution of a network), with which it can to rosinality."))
  var padding: Padding?
  @Option(
    help: ArgumentHelp(
      "Begin with the logit of the pixels, with this margin at black and white (default: 0, none).",
      discussion:
        "1e-5 suits drawings and digits, most of whose pixels are black or white; photographs come out worse."
    ))
  var logit: Double?
  @Option(help: "Bits a channel value, 1 to 8 (default: 8).") var bits: Int?
  @Flag(
    inversion: .prefixedNo,
    help: "Learn mean and variance of the top prior (default), or keep them at 0 and 1.")
  var learnTop: Bool?
  @Flag(inversion: .prefixedNo, help: "Let the top prior depend on the class (default: no).")
  var conditional: Bool?

  @Option(
    help: "Channels of the hidden layers of the dequantizer, of --dequantization variational (default: 64).")
  var dequantizerWidth: Int?

  /// The model for images of a data set.
  ///
  /// - Parameters:
  ///   - present: a model that is there, and what it is.
  ///   - dequantization: what is asked for.
  /// - Throws: `ConfigurationError`, with both values of options that do not agree with the present model.
  func configuration(
    for dataset: any Dataset, of present: (model: GlowConfiguration, name: String)?,
    dequantization: DequantizationKind?
  ) throws -> GlowConfiguration {
    var result = present?.model ?? .standard(for: dataset.shape)
    try couplings.set(&result)
    try couplings.refuse(
      levels != nil
        ? "levels"
        : depth != nil
          ? "depth"
          : permutation != nil
            ? "permutation"
            : padding != nil
              ? "padding"
              : logit != nil
                ? "logit"
                : learnTop != nil
                  ? "learn-top" : conditional == true ? "conditional" : nil, unless: .glow, result)
    result.levels = levels ?? result.levels
    result.depth = depth ?? result.depth
    result.permutation = permutation ?? result.permutation
    result.padding = padding ?? result.padding
    result.logit = logit ?? result.logit
    result.bits = bits ?? result.bits
    result.learnsTopPrior = learnTop ?? result.learnsTopPrior
    try setDequantizer(dequantization, &result)
    if let conditional, conditional != result.isConditional {
      if conditional && dataset.classNames.isEmpty {
        throw ConfigurationError("--conditional needs data with classes, and these images have none")
      }
      result.classCount = conditional ? dataset.classNames.count : 0
    }
    let name = CouplingArguments.naming(result.architecture)
    try result.validate(naming: name)
    let differences = present?.model.differences(from: result) ?? []
    if let present, !differences.isEmpty {
      throw ConfigurationError(
        "\(present.name) is another model: "
          + differences.map { "\(name($0.name)) is \($0.own), asked for \($0.other)" }.joined(separator: ", ")
          + "; leave these options out")
    }
    return result
  }

  private func setDequantizer(
    _ kind: DequantizationKind?, _ configuration: inout GlowConfiguration
  ) throws {
    if let dequantizerWidth, dequantizerWidth < 1 {
      throw ConfigurationError("--dequantizer-width must be 1 to 16384, not \(dequantizerWidth)")
    }
    if kind == .variational && !configuration.hasDequantizer {
      configuration.dequantizerWidth = dequantizerWidth ?? 64
    } else if let kind, kind != .variational, configuration.hasDequantizer {
      throw ConfigurationError(
        "--dequantization is \(kind.rawValue), and the model has a dequantizer, of variational noise: leave it out"
      )
    }
    if let dequantizerWidth {
      if !configuration.hasDequantizer {
        throw ConfigurationError("--dequantizer-width is of --dequantization variational")
      }
      configuration.dequantizerWidth = dequantizerWidth
    }
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
