import GlowFiles
import GlowImages

/// The metrics and samples of a run for TensorBoard: one event file each time that the run starts.
final class EventLog {
  private let file: EventFile
  /// The step of the last record, here or in the files of earlier starts.
  private var newest: Int
  /// Steps up to this one stand in the files of earlier starts.
  private var recorded: Int

  /// Begins a file for what follows update `step`.
  ///
  /// What earlier files say of later steps, which are done again, is declared void.
  ///
  /// - Throws: `FileError`.
  init(folder: String, after step: Int) throws {
    let isResumed = EventFile.exist(in: folder)
    file = try EventFile(in: folder)
    newest = step
    recorded = isResumed ? step : -1
    if isResumed { try file.restart(at: step + 1) }
  }

  /// Records those of the metrics that are there.
  ///
  /// - Throws: `FileError`.
  func append(_ metrics: Metrics) throws {
    guard try begin(metrics.step) else { return }
    let scalars: [(tag: String, value: Double?)] = [
      ("bits_per_dim/train", metrics.trainBitsPerDim), ("bits_per_dim/test", metrics.testBitsPerDim),
      ("bits_per_dim/test_raw", metrics.testBitsPerDimRaw), ("training/loss", metrics.loss),
      ("training/gradient_norm", metrics.gradientNorm), ("training/learning_rate", metrics.learningRate),
      ("training/images_per_second", metrics.imagesPerSecond),
    ]
    try file.append(
      step: metrics.step, scalars: scalars.compactMap { tag, value in value.map { (tag: tag, value: $0) } })
  }

  /// - Throws: `FileError`.
  func append(samples: ByteImage, step: Int) throws {
    guard try begin(step) else { return }
    let shape = samples.shape
    try file.append(
      step: step, tag: "samples", png: PNG.encode(samples), height: shape.height, width: shape.width,
      channels: shape.channels)
  }

  /// Follows a run that goes back some steps.
  ///
  /// - Returns: false if the step is recorded already.
  private func begin(_ step: Int) throws -> Bool {
    if step < newest {
      try file.restart(at: step)
      recorded = step - 1
    }
    newest = step
    return step > recorded
  }
}
