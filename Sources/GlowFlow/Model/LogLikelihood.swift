import GlowKernels

/// The parts of one image's log-likelihood in nats, and their sum.
package struct LogLikelihood: Sendable, Hashable, Codable {
  /// −D·ln 2^b.
  package let dequantizationConstant: Double
  /// −ln q(u | v), of a model that learns the density q of the noise u that pixel values v get; 0 of uniform noise.
  package let dequantizer: Double?
  /// Log-determinant of each level's flow steps.
  package let logDeterminants: [Double]
  /// ln of the prior density of the latents that leave at each level, the top's last.
  package let priors: [Double]
  /// H·W·C of the image.
  package let dimensions: Int
  /// −log2 of the label's probability under the classifier of a conditional model.
  package let classifierBits: Double?

  package init(
    dequantizationConstant: Double, dequantizer: Double? = nil, logDeterminants: [Double],
    priors: [Double], dimensions: Int, classifierBits: Double? = nil
  ) {
    self.dequantizationConstant = dequantizationConstant
    self.dequantizer = dequantizer
    self.logDeterminants = logDeterminants
    self.priors = priors
    self.dimensions = dimensions
    self.classifierBits = classifierBits
  }

  /// log p(x) in nats, less log q of a learned noise.
  package var nats: Double {
    dequantizationConstant + logDeterminants.reduce(0, +) + priors.reduce(0, +) + (dequantizer ?? 0)
  }

  /// −log p(x)/(D·ln 2).
  package var bitsPerDimension: Double { -nats / (Double(dimensions) * Elementary.ln2) }
}
