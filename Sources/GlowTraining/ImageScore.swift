import Foundation
import GlowFiles
import GlowFlow
import GlowKernels

/// What is done with an image that cannot be read or scored.
public enum ErrorPolicy: String, Sendable, Codable, CaseIterable {
  /// The first such image ends the job.
  case fail
  /// It is named, and the job goes on without it.
  case skip
}

/// How images are scored.
public struct ScoringSettings: Sendable {
  public var dequantization = DequantizationKind.uniform
  /// Seed of the dequantization noise.
  public var seed: UInt64 = 0
  /// Draws of the noise for each image.
  public var importanceSamples = 1
  public var onError = ErrorPolicy.fail
  /// Also compresses each image (`ImageScore.compressedBitsPerDimension`).
  public var measuresComplexity = false

  public init() {}
}

/// What a model says of one image.
public struct ImageScore: Sendable, Hashable {
  /// With the first draw of the dequantization noise, in its parts.
  public let likelihood: LogLikelihood
  /// Nats by which the bound of all draws exceeds that of the first; 0 with one draw.
  public let importanceGain: Double
  /// Bits a dimension of the image as a PNG file at zlib's level 9, if it was asked for.
  public let compressedBitsPerDimension: Double?

  /// A lower bound of the log-probability of the discrete image, in nats.
  public var nats: Double { likelihood.nats + importanceGain }

  public var bitsPerDimension: Double { -nats / (Double(likelihood.dimensions) * Elementary.ln2) }

  /// - Parameter draws: one log-likelihood for each draw u_k of the noise. The bound is log 1/K Σ p(x + u_k), the
  ///   importance-weighted bound with the uniform noise as proposal (Burda et al. 2016, section 3).
  init(draws: [LogLikelihood], compressedBitsPerDimension: Double? = nil) {
    likelihood = draws[0]
    importanceGain = logMeanExponential(draws.map { $0.nats - draws[0].nats })
    self.compressedBitsPerDimension = compressedBitsPerDimension
  }
}

/// log 1/n Σ exp(values), without overflow.
func logMeanExponential(_ values: [Double]) -> Double {
  let largest = values.max()!
  return largest
    + Elementary.log(values.reduce(0) { $0 + Elementary.exp($1 - largest) } / Double(values.count))
}

/// One image of a data set and its score, or why it has none.
public struct ScoreRecord: Sendable {
  /// Index in the data set.
  public let index: Int
  /// Where the image comes from: "dir/a.png", "dir/data_batch_1.bin#17".
  public let path: String
  public let label: Int?
  public let result: Result<ImageScore, FileError>
}
