import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels

/// What is done with an image that cannot be read or scored.
public enum ErrorPolicy: String, Sendable, Codable, CaseIterable {
  /// The first such image ends the job.
  case fail
  /// It is named, and the job goes on without it.
  case skip
}

/// As of which class a conditional model scores images.
package enum ClassChoice: Sendable, Equatable {
  /// That which the data set gives each image.
  case ofImages
  case one(Int)
  /// All, as equally probable: log 1/C Σ p(x|y).
  case marginal
  /// For each image that with the highest likelihood.
  case best
}

/// How images are scored.
package struct ScoringSettings: Sendable {
  package var dequantization = DequantizationKind.uniform
  /// Seed of the dequantization noise.
  package var seed: UInt64 = 0
  /// Draws of the noise for each image.
  package var importanceSamples = 1
  package var onError = ErrorPolicy.fail
  /// As of which class images are scored, by a conditional model.
  package var classes = ClassChoice.ofImages
  /// Also takes the SHA-256 of each image's bytes (`ScoreRecord.digest`).
  package var takesDigests = false
  /// Also compresses each image with it (`ImageScore.compressedBitsPerDimension`).
  package var compressor: Compressor?

  package init() {}
}

/// What a model says of one image.
package struct ImageScore: Sendable, Hashable, Codable {
  /// With the first draw of the dequantization noise, in its parts.
  package let likelihood: LogLikelihood
  /// Nats by which the bound of the first J draws exceeds that of the first, for each J of `gainCounts`.
  package let gains: [Double]
  /// The class that it is the score of; of all classes together, the most probable. Nil without classes.
  package let label: Int?
  /// Bits a dimension of the image as a compressed file, if it was asked for.
  package let compressedBitsPerDimension: Double?

  /// Nats by which the bound of all draws exceeds that of the first; 0 with one draw.
  package var importanceGain: Double { gains.last! }

  /// A lower bound of the log-probability of the discrete image, in nats.
  package var nats: Double { likelihood.nats + importanceGain }

  package var bitsPerDimension: Double { -nats / (Double(likelihood.dimensions) * Elementary.ln2) }

  /// - Parameter draws: one log-likelihood for each draw u_k of the noise. The bound is log 1/K Σ p(x + u_k)/q(u_k | x), the
  ///   importance-weighted bound with the noise as proposal (Burda et al. 2016, section 3); q is 1 if it is uniform.
  init(draws: [LogLikelihood], label: Int? = nil, compressedBitsPerDimension: Double? = nil) {
    let differences = draws.map { $0.nats - draws[0].nats }
    self.init(
      likelihood: draws[0],
      gains: ImageScore.gainCounts(draws.count).map { logMeanExponential(Array(differences[..<$0])) },
      label: label, compressedBitsPerDimension: compressedBitsPerDimension)
  }

  /// - Parameters:
  ///   - ofClasses: for the one class that counts, or for all of them, the draws.
  ///   - label: the one class, if there are classes.
  init(
    ofClasses: [[LogLikelihood]], _ choice: ClassChoice, label: Int?, compressedBitsPerDimension: Double?
  ) {
    if ofClasses.count == 1 && label != nil || choice == .ofImages {
      self.init(draws: ofClasses[0], label: label, compressedBitsPerDimension: compressedBitsPerDimension)
      return
    }
    let bounds = ofClasses.map { logMeanExponential($0.map(\.nats)) }
    let best = bounds.indices.max { bounds[$0] < bounds[$1] } ?? 0
    let draws =
      choice == .best
      ? ofClasses[best]
      : ofClasses[0].indices.map { draw in LogLikelihood(mixing: ofClasses.map { $0[draw] }) }
    self.init(draws: draws, label: best, compressedBitsPerDimension: compressedBitsPerDimension)
  }

  init(likelihood: LogLikelihood, gains: [Double], label: Int?, compressedBitsPerDimension: Double?) {
    self.likelihood = likelihood
    self.gains = gains
    self.label = label
    self.compressedBitsPerDimension = compressedBitsPerDimension
  }

  /// Numbers of draws whose bounds are kept, to show how they converge: 2, 4, 8, … and all.
  package static func gainCounts(_ draws: Int) -> [Int] {
    sequence(first: 2) { 2 * $0 }.prefix { $0 < draws } + [draws]
  }

  /// Bits/dim of the bound of the first draws, 1 or one of `gainCounts`.
  func bitsPerDimension(gain: Double) -> Double {
    -(likelihood.nats + gain) / (Double(likelihood.dimensions) * Elementary.ln2)
  }
}

extension LogLikelihood {
  /// Of an image as of classes that are equally probable, log 1/C Σ p(x|y). They differ in the top prior alone.
  init(mixing classes: [LogLikelihood]) {
    let one = classes[0]
    self.init(
      dequantizationConstant: one.dequantizationConstant, dequantizer: one.dequantizer,
      logDeterminants: one.logDeterminants,
      priors: one.priors.dropLast() + [logMeanExponential(classes.map { $0.priors.last! })],
      dimensions: one.dimensions)
  }
}

/// log 1/n Σ exp(values), without overflow.
func logMeanExponential(_ values: [Double]) -> Double {
  let largest = values.max()!
  return largest
    + Elementary.log(values.reduce(0) { $0 + Elementary.exp($1 - largest) } / Double(values.count))
}

/// One image of a data set and its score, or why it has none.
package struct ScoreRecord: Sendable {
  /// Index in the data set.
  package var index: Int
  /// Where the image comes from: "dir/a.png", "dir/data_batch_1.bin#17".
  package let path: String
  package let label: Int?
  package let result: Result<ImageScore, FileError>
  /// SHA-256 of its bytes, if it was asked for and the image could be read.
  package var digest: String?
  /// What a person should know about it; nil if it was not decoded for this record, which is an earlier job's.
  package var traits: ImageTraits?

  init(index: Int, path: String, label: Int?, result: Result<ImageScore, FileError>) {
    self.index = index
    self.path = path
    self.label = label
    self.result = result
  }
}

/// As one process sends it to another.
extension ScoreRecord: Codable {
  private enum CodingKeys: CodingKey { case index, path, label, score, failedPath, reason, digest, traits }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(index, forKey: .index)
    try container.encode(path, forKey: .path)
    try container.encodeIfPresent(label, forKey: .label)
    try container.encodeIfPresent(digest, forKey: .digest)
    try container.encodeIfPresent(traits, forKey: .traits)
    switch result {
    case .success(let score): try container.encode(score, forKey: .score)
    case .failure(let error):
      try container.encode(error.path, forKey: .failedPath)
      try container.encode(error.reason, forKey: .reason)
    }
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    index = try container.decode(Int.self, forKey: .index)
    path = try container.decode(String.self, forKey: .path)
    label = try container.decodeIfPresent(Int.self, forKey: .label)
    digest = try container.decodeIfPresent(String.self, forKey: .digest)
    traits = try container.decodeIfPresent(ImageTraits.self, forKey: .traits)
    if let score = try container.decodeIfPresent(ImageScore.self, forKey: .score) {
      result = .success(score)
    } else {
      result = .failure(
        FileError(
          try container.decode(String.self, forKey: .failedPath),
          try container.decode(String.self, forKey: .reason)))
    }
  }
}
