/// What a run remembers of its evaluations, as part of its checkpoints, to end when they no longer get better.
struct EvaluationHistory: Codable, Equatable {
  private var best: Double?
  private var bestStep = 0
  private var latestStep = 0
  /// Evaluations since the best.
  private(set) var withoutGain = 0

  /// Takes in an evaluation. One that a run which goes on does again changes nothing.
  mutating func add(_ bitsPerDimension: Double, step: Int) {
    if bitsPerDimension < best ?? .infinity {
      (best, bestStep, withoutGain) = (bitsPerDimension, step, 0)
    } else if step > max(latestStep, bestStep) {
      withoutGain += 1
    }
    latestStep = step
  }
}
