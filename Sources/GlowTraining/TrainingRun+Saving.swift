import Foundation
import GlowFlow
import GlowKernels
import GlowRanks
import GlowStorage

/// The model files and checkpoints of a run.
extension TrainingRun {
  /// Writes model and checkpoint, and removes checkpoints that are older than those to keep. Later ones, which were
  /// damaged and passed over, do not count.
  func save(meanTrainingBits: Double? = nil) throws {
    try ranks.first { try write(meanTrainingBits: meanTrainingBits) }
  }

  private func write(meanTrainingBits: Double?) throws {
    let start = ContinuousClock.now
    defer { trainer.limit?.saved(in: start.duration(to: .now)) }
    let bits = meanTrainingBits.map { TrainingBits(mean: $0, dequantization: training.dequantization) }
    let values = valuesOfModel()
    try withExtendedLifetime(values) {
      try ModelFile.write(
        trainer.evaluated, values: values.map { UnsafePointer($0.base) },
        metadata: metadata(bits?.metadata ?? [:]), to: trainer.folder.model)
    }
    let folder = trainer.folder
    try Checkpoint.write(
      state, trainer.configuration, metadata: metadata([:]), to: folder.checkpoint(state.step))
    let steps = folder.checkpointSteps().filter { $0 <= state.step }
    for step in steps.dropLast(training.checkpointsKept) {
      try? FileManager.default.removeItem(atPath: folder.checkpoint(step))
    }
    // After the weights, which are worth more than the lines.
    try log?.synchronize()
  }

  /// An image that cannot be read must not cost the steps so far: the weights know nothing of it.
  func savingOnFailure<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch {
      // Of two errors, that of the image comes first.
      do {
        try save()
        progress.note("saved at step \(state.step)")
      } catch let second where !(second is RankFailure && error is RankFailure) {
        progress.note("\(second)")
      } catch {}
      throw error
    }
  }

  /// Writes `best.safetensors` if no evaluation before gave fewer bits/dim.
  func keepIfBest(_ bitsPerDimension: Double) throws {
    guard bitsPerDimension < best?.bitsPerDimension ?? .infinity else { return }
    var more = [RunFolder.bestKey: "\(bitsPerDimension)"]
    more[RunFolder.bestImagesKey] = trainer.configuration.testDigest
    try ModelFile.write(trainer.evaluated, metadata: try metadata(more), to: trainer.folder.best)
    best = (bitsPerDimension, state.step)
  }

  /// What every model file of the run keeps, and `more`.
  private func metadata(_ more: [String: String]) throws -> [String: String] {
    var metadata = more
    metadata[Checkpoint.stepKey] = String(state.step)
    let classNames = trainer.train.classNames
    if glow.configuration.isConditional && classNames.count == glow.configuration.classCount {
      metadata[ClassNames.key] = try ClassNames.text(classNames)
    }
    return metadata
  }

  /// Nil for the weights of `evaluated`. A signal may come while they are suspect, or before they have been judged
  /// and no model can be made of them: then those of the last good state, if there is one.
  private func valuesOfModel() -> Slab<Float>? {
    guard training.guards, let good = state.good else { return nil }
    let isSuspect = !isLast && state.safeguard.isSuspect(at: state.step)
    let evaluated = trainer.evaluated
    let isModel =
      evaluated.values.values.allSatisfy { $0.isFinite } && (try? evaluated.parametersChanged()) != nil
    return isModel && !isSuspect ? nil : good.slabs[training.keepsAverage ? 1 : 0]
  }
}
