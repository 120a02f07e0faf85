import GlowFiles
import GlowImages

/// What is kept of many scored images for a summary: 8 bytes an image and score, and 8 more an image for its first draw
/// where that is asked for.
package struct CollectedScores {
  /// Of the images that have a score, in their order.
  package private(set) var values: [DetectionScore: [Double]] = [:]
  /// Bits/dim of the bounds of the first draws: of 1, and of each of `ImageScore.gainCounts`. Empty of one draw.
  package private(set) var bounds: [[Double]] = []
  /// Images whose most probable class is theirs, of those whose class is known.
  package private(set) var recognized = (right: 0, labeled: 0)
  package private(set) var skipped = 0
  package private(set) var firstFailure: FileError?
  /// Of the images that were decoded.
  package private(set) var traits = TraitCounts()
  private var digests = SHA256()
  private let meanTrainingBits: Double?

  /// - Parameters:
  ///   - draws: of the noise for each image.
  ///   - meanTrainingBits: for typicality, which is else left out.
  package init(draws: Int = 1, meanTrainingBits: Double? = nil) {
    if draws > 1 { bounds = [[]] + ImageScore.gainCounts(draws).map { _ in [] } }
    self.meanTrainingBits = meanTrainingBits
  }

  /// Of the SHA-256 of each image's bytes so far, 32 bytes each, in their order.
  package var dataSha256: String { digests.digest() }

  package mutating func add(_ record: ScoreRecord) {
    if let digest = record.digest {
      let bytes = stride(from: 0, to: digest.utf8.count, by: 2).map { place in
        UInt8(digest.dropFirst(place).prefix(2), radix: 16) ?? 0
      }
      bytes.withUnsafeBytes { digests.update($0) }
    }
    if let found = record.traits { traits.add(found) }
    switch record.result {
    case .success(let score):
      for (place, gain) in ([0] + score.gains).enumerated() where place < bounds.count {
        bounds[place].append(score.bitsPerDimension(gain: gain))
      }
      if let label = record.label, let found = score.label {
        recognized.labeled += 1
        if label == found { recognized.right += 1 }
      }
      for detection in DetectionScore.allCases {
        if let value = detection.value(score, meanTrainingBits: meanTrainingBits) {
          values[detection, default: []].append(value)
        }
      }
    case .failure(let error):
      skipped += 1
      if firstFailure == nil { firstFailure = error }
    }
  }

  /// Bits/dim of the images.
  ///
  /// - Throws: `TrainingError` if there is no image with a score.
  package func summary() throws -> Score {
    guard let bits = values[.likelihood] else {
      throw TrainingError(
        "none of \(counted(skipped, "image")) has a score" + (firstFailure.map { "; the first: \($0)" } ?? "")
      )
    }
    return Score(bits)
  }
}
