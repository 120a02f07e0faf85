import GlowFiles
import GlowImages

/// The metrics and samples of a run for TensorBoard: one event file each time that the run starts.
final class EventLog {
  private let file: EventFile

  /// Begins a file for what follows update `step`.
  ///
  /// What earlier files say of `step` and later is declared void: evaluation and samples at `step` are done again,
  /// as are later steps.
  ///
  /// - Parameter kept: metrics at `step` that are not measured again.
  /// - Throws: `FileError`.
  init(folder: String, after step: Int, kept: [Metrics] = []) throws {
    let isResumed = EventFile.exist(in: folder)
    file = try EventFile(in: folder)
    if isResumed {
      try file.restart(at: step)
      for metrics in kept { try append(metrics) }
    }
  }

  /// Records those of the metrics that are there.
  ///
  /// - Throws: `FileError`.
  func append(_ metrics: Metrics) throws {
    let scalars: [(tag: String, value: Double?)] = [
      ("bits_per_dim/train", metrics.trainBitsPerDim), ("bits_per_dim/test", metrics.testBitsPerDim),
      ("bits_per_dim/test_raw", metrics.testBitsPerDimRaw), ("inverse_error", metrics.inverseError),
      ("bits_per_dim/evaluated_train", metrics.trainBitsPerDimEvaluated),
      ("training/loss", metrics.loss),
      ("training/gradient_norm", metrics.gradientNorm), ("training/learning_rate", metrics.learningRate),
      ("training/images_per_second", metrics.imagesPerSecond),
    ]
    try file.append(
      step: metrics.step, scalars: scalars.compactMap { tag, value in value.map { (tag: tag, value: $0) } })
  }

  /// Brings all events onto the disk.
  ///
  /// - Throws: `FileError`.
  func synchronize() throws { try file.synchronize() }

  /// - Throws: `FileError`.
  func append(samples: ByteImage, step: Int) throws {
    let shape = samples.shape
    try file.append(
      step: step, tag: "samples", png: PNG.encode(samples), height: shape.height, width: shape.width,
      channels: shape.channels)
  }
}
