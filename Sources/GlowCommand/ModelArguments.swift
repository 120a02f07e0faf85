import ArgumentParser
import GlowFlow
import GlowImages

extension CouplingKind: ExpressibleByArgument {}
extension NetworkKind: ExpressibleByArgument {}
extension PermutationKind: ExpressibleByArgument {}

/// What couplings are made of.
struct CouplingArguments: ParsableArguments {
  @Option(help: "Channels of the hidden layers of the couplings' networks.") var width = 128
  @Option(help: "What a flow step does to half of the channels.") var coupling = CouplingKind.affine
  @Option(help: "The couplings' networks.") var network = NetworkKind.plain
  @Option(help: "Blocks of a residual network (2 by default).") var blocks: Int?
  @Option(help: "Side of the first filter of a residual network's blocks: 1 (the default) or 3.") var kernel:
    Int?

  func validate() throws {
    if network != .residual, let name = blocks != nil ? "blocks" : kernel != nil ? "kernel" : nil {
      throw ValidationError("--\(name) is of residual networks, and --network is \(network)")
    }
  }

  func set(_ configuration: inout GlowConfiguration) {
    configuration.width = width
    configuration.coupling = coupling
    configuration.network = network
    configuration.blocks = blocks ?? configuration.blocks
    configuration.kernel = kernel ?? configuration.kernel
  }
}

/// The shape of a new model.
struct ModelArguments: ParsableArguments {
  @Option(help: "Scales (L in the paper).") var levels = 3
  @Option(help: "Flow steps a scale (K in the paper).") var depth = 8
  @OptionGroup var couplings: CouplingArguments
  @Option(help: "How a flow step mixes the channels.") var permutation = PermutationKind.convolution
  @Option(help: "Bits a channel value, 1 to 8.") var bits = 8
  @Flag(help: "Keep the top prior at mean 0 and variance 1.") var noLearnTop = false
  @Flag(help: "Let the top prior depend on the class.") var conditional = false

  /// - Throws: `ConfigurationError`.
  func configuration(for dataset: any Dataset) throws -> GlowConfiguration {
    var configuration = GlowConfiguration()
    configuration.imageHeight = dataset.shape.height
    configuration.imageWidth = dataset.shape.width
    configuration.imageChannels = dataset.shape.channels
    configuration.levels = levels
    configuration.depth = depth
    couplings.set(&configuration)
    configuration.permutation = permutation
    configuration.bits = bits
    configuration.learnsTopPrior = !noLearnTop
    if conditional {
      if dataset.classNames.isEmpty {
        throw ConfigurationError("--conditional needs data with classes, and these images have none")
      }
      configuration.classCount = dataset.classNames.count
    }
    try configuration.validate()
    return configuration
  }
}
