import GlowFiles

/// Per-image scores that tell images of other data sets from those a model knows: higher means more foreign.
package enum DetectionScore: String, Sendable, CaseIterable {
  /// −log2 p(x) a dimension.
  case likelihood = "bits_per_dim"
  /// Bits/dim less those of the image as a compressed file, because a flow rates simple images as likely whatever it was
  /// trained on (the score S of Serrà et al. 2020).
  case complexity
  /// Distance of bits/dim, with the first draw of the noise alone, to their mean on the training images, which is of one
  /// draw too (the single-image case of Nalisnick et al. 2019,
  /// "Detecting out-of-distribution inputs to deep generative models using typicality", section 3).
  case typicality

  /// - Parameter meanTrainingBits: mean bits/dim of the training images; typicality needs it.
  /// - Returns: nil if what the score needs is not there.
  package func value(_ score: ImageScore, meanTrainingBits: Double?) -> Double? {
    switch self {
    case .likelihood: score.bitsPerDimension
    case .complexity: score.compressedBitsPerDimension.map { score.bitsPerDimension - $0 }
    case .typicality: meanTrainingBits.map { abs(score.likelihood.bitsPerDimension - $0) }
    }
  }
}

/// The mean bits/dim of a model's training images and the noise it was taken with, kept in the metadata of its file.
package struct TrainingBits: Sendable, Equatable {
  package let mean: Double
  /// Nil if the file does not say.
  package let dequantization: DequantizationKind?

  package init(mean: Double, dequantization: DequantizationKind?) {
    self.mean = mean
    self.dequantization = dequantization
  }

  package static let key = "glow.mean_training_bits_per_dim"
  static let dequantizationKey = "glow.mean_training_dequantization"

  /// What a model's file keeps of it.
  var metadata: [String: String] {
    var metadata = [Self.key: "\(mean)"]
    metadata[Self.dequantizationKey] = dequantization?.rawValue
    return metadata
  }

  /// Images that the mean is taken over at the end of a run that trained on so many: enough for a mean that is sharp
  /// beside the spread of single images, and few enough to add but a few percent to the run.
  static func imageCount(trainedOn images: Int, batch: Int) -> Int { min(2000, max(batch, images / 10)) }

  /// The mean that a file's metadata hold, if any.
  ///
  /// - Throws: `FileError` if what they hold is not a finite number or no kind of noise.
  package static func read(_ metadata: [String: String], path: String) throws -> TrainingBits? {
    guard let text = metadata[key] else { return nil }
    guard let value = Double(text), value.isFinite else {
      throw FileError(path, "\(key): is '\(text.prefix(40))', expected a number")
    }
    let kind = try metadata[dequantizationKey].map { text in
      guard let kind = DequantizationKind(rawValue: text) else {
        let kinds = DequantizationKind.allCases.map(\.rawValue).joined(separator: ", ")
        throw FileError(path, "\(dequantizationKey): is '\(text.prefix(40))', expected one of \(kinds)")
      }
      return kind
    }
    return TrainingBits(mean: value, dequantization: kind)
  }
}
