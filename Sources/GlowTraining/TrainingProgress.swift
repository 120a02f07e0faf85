/// How far a run has come.
public struct TrainingProgress: Sendable {
  /// Updates so far.
  public let step: Int
  /// Updates in all.
  public let steps: Int
  /// What training minimizes, of the latest batch.
  public let loss: Double
  /// Of the latest batch. Nil for a model that normalizes by the statistics of the batch, in which an image's share depends on
  /// the others: its loss is no score.
  public let bitsPerDimension: Double?
  /// Speed of the latest updates.
  public let imagesPerSecond: Double
  /// At the present speed, without evaluations still to come.
  public let secondsLeft: Double
  /// True where `metrics.jsonl` has a line too.
  public let isLogged: Bool
  /// What is worth knowing of what happened since the step before: a checkpoint taken up or passed over, an image that cannot
  /// be read, a step that was taken back. The `train` of a program has them here; the command writes them as they come.
  public package(set) var notes: [String] = []
}

/// What a trainer tells while it works.
package protocol ProgressReport {
  func step(_ progress: TrainingProgress)
  /// A line worth reading: a checkpoint taken up, an evaluation, a warning.
  func note(_ message: String)
  /// How far work besides the steps has come, such as an evaluation: so many of `count` things.
  func work(_ done: Int, of count: Int, _ things: String)
}

extension ProgressReport {
  /// Says nothing.
  package func work(_ done: Int, of count: Int, _ things: String) {}
}
