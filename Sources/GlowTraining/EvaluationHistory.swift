/// What a run remembers of its evaluations, as part of its checkpoints, to end when they no longer get better,
/// and to tell when only the training images do.
struct EvaluationHistory: Codable, Equatable {
  /// The lowest test bits/dim.
  private(set) var best: Double?
  private(set) var bestStep = 0
  private var latestStep = 0
  /// Evaluations since the best.
  private(set) var withoutGain = 0
  /// Of the latest evaluation; nil if they are not finite, and in checkpoints of earlier versions, as what follows.
  private var latestTest, latestTraining: Double?
  /// The digest of the held-out images, where it is known.
  private var images: String?
  /// Evaluations in a row in which test images got worse and training images better.
  private var partings: Int?
  /// So many of them are no chance.
  private static let clearPartings = 3

  /// Begins anew if the held-out images are others than before: bits/dim of those do not tell which of these is the best.
  mutating func goOn(with images: String?) {
    if let images, let former = self.images, former != images { self = EvaluationHistory() }
    self.images = images ?? self.images
  }

  /// Takes in an evaluation. One that a run which goes on does again changes nothing.
  ///
  /// - Parameter training: bits/dim of training images.
  /// - Returns: whether test images have now got worse so often while training images got better that the model learns
  ///   these by heart.
  mutating func add(_ bitsPerDimension: Double, training: Double, step: Int) -> Bool {
    let isNew = step > latestStep
    if isNew { compare(bitsPerDimension, training) }
    if bitsPerDimension < best ?? .infinity {
      (best, bestStep, withoutGain) = (bitsPerDimension, step, 0)
    } else if step > max(latestStep, bestStep) {
      withoutGain += 1
    }
    latestStep = step
    return isNew && partings == Self.clearPartings
  }

  private mutating func compare(_ test: Double, _ training: Double) {
    if let latestTest, let latestTraining, test > latestTest, training < latestTraining {
      partings = (partings ?? 0) + 1
    } else {
      partings = 0
    }
    (latestTest, latestTraining) = test.isFinite && training.isFinite ? (test, training) : (nil, nil)
  }
}
