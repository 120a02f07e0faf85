import GlowFiles

/// What is kept of many scored images for a summary: 8 bytes an image and score, and 8 more an image for its first draw
/// where that is asked for.
public struct CollectedScores {
  /// Of the images that have a score, in their order.
  public private(set) var values: [DetectionScore: [Double]] = [:]
  /// With the first draw of the noise alone; empty unless it was asked for.
  public private(set) var firstDrawBits: [Double] = []
  public private(set) var skipped = 0
  public private(set) var firstFailure: FileError?
  private let meanTrainingBits: Double?

  private let keepsFirstDraw: Bool

  /// - Parameters:
  ///   - keepsFirstDraw: with several draws of the noise, also keep what the first alone gives.
  ///   - meanTrainingBits: for typicality, which is else left out.
  public init(keepsFirstDraw: Bool = false, meanTrainingBits: Double? = nil) {
    self.keepsFirstDraw = keepsFirstDraw
    self.meanTrainingBits = meanTrainingBits
  }

  public mutating func add(_ record: ScoreRecord) {
    switch record.result {
    case .success(let score):
      if keepsFirstDraw { firstDrawBits.append(score.likelihood.bitsPerDimension) }
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
  public func summary() throws -> Score {
    guard let bits = values[.likelihood] else {
      throw TrainingError(
        "none of \(skipped) images has a score" + (firstFailure.map { "; the first: \($0)" } ?? ""))
    }
    return Score(bits)
  }
}
