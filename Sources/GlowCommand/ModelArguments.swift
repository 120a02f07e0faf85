import ArgumentParser
import GlowFlow
import GlowImages

extension CouplingKind: ExpressibleByArgument {}
extension PermutationKind: ExpressibleByArgument {}

/// The shape of a new model.
struct ModelArguments: ParsableArguments {
  @Option(help: "Scales (L in the paper).") var levels = 3
  @Option(help: "Flow steps a scale (K in the paper).") var depth = 8
  @Option(help: "Channels of the hidden layers of the coupling networks.") var width = 128
  @Option(help: "affine or additive.") var coupling = CouplingKind.affine
  @Option(help: "invconv, invconv-lu, shuffle or reverse.") var permutation = PermutationKind.convolution
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
    configuration.width = width
    configuration.coupling = coupling
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
