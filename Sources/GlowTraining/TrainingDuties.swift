import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage

/// Condition number from which on a channel map is warned of: decoding in Float then errs by about 1/1000.
private let highCondition = 1e4

/// What a trainer does besides steps: log lines, evaluation, samples, model and checkpoints.
extension Trainer {
  func isDue(_ interval: Int) -> Bool { interval > 0 && state.step > 0 && state.step % interval == 0 }

  private var epoch: Double { Double(state.step * training.batch) / Double(train.count) }

  func report(
    _ objective: Objective, gradientNorm: Double, rate: Double, _ clock: StepClock, _ log: MetricsLog
  ) throws {
    progress.step(
      TrainingProgress(
        step: state.step, steps: training.steps, bitsPerDimension: objective.bitsPerDimension,
        imagesPerSecond: clock.imagesPerSecond,
        secondsLeft: Double((training.steps - state.step) * training.batch) / clock.imagesPerSecond,
        isLogged: isDue(training.logEvery)))
    guard isDue(training.logEvery) else { return }
    try log.append(
      Metrics(
        step: state.step, images: state.step * training.batch, epoch: epoch, loss: objective.loss.ifFinite,
        trainBitsPerDim: objective.bitsPerDimension.ifFinite, gradientNorm: gradientNorm.ifFinite,
        learningRate: rate, largestCondition: watchConditions().ifFinite,
        imagesPerSecond: clock.imagesPerSecond, seconds: clock.seconds))
  }

  /// The largest condition number of a channel map; those that come near to having no inverse are warned of, and
  /// again when they are ten times worse.
  private func watchConditions() -> Double {
    let maps = glow.channelMapConditions()
    for map in maps where map.condition > max(highCondition, 10 * (warned[map.step] ?? 0)) {
      warned[map.step] = map.condition
      progress.note(
        String(
          format: "warning: step %d: the channel map of %@ comes near to having no inverse: condition number "
            + "%.1e (%.1e without the actnorm), ln |det W| %.2f. Decoding loses digits; a lower --lr may help",
          state.step, map.step, map.condition, map.mixingCondition, map.mixingLogDeterminant))
    }
    return maps.map(\.condition).max() ?? 1
  }

  /// What is due at a step besides the log line, by schedule or since an earlier step.
  func dutiesDue() -> Duties {
    let isLast = state.step >= training.steps
    var due = state.safeguard.postponed ?? []
    if isDue(training.evaluateEvery) || (isLast && training.evaluateEvery > 0) { due.insert(.evaluation) }
    if isDue(training.sampleEvery) { due.insert(.samples) }
    if isDue(training.checkpointEvery) { due.insert(.checkpoint) }
    return due
  }

  func perform(_ duties: Duties, _ clock: StepClock, _ log: MetricsLog) throws {
    if let test, duties.contains(.evaluation) {
      try clock.pausing { try evaluate(test, clock, log) }
    }
    if duties.contains(.samples) { try clock.pausing { try drawSamples(log) } }
    if duties.contains(.checkpoint) { try clock.pausing { try save() } }
  }

  private func drawSamples(_ log: MetricsLog) throws {
    let images: [ByteImage]
    do {
      try evaluated.parametersChanged()
      images = try Sampler(evaluated, batch: 16).sample(
        count: 16, temperature: 0.7, seed: training.seed,
        labels: Array(0..<max(1, glow.configuration.classCount)))
    } catch let error where error is SingularMapError || error is LinearAlgebraError {
      return progress.note("step \(state.step): no samples: \(error)")
    }
    let grid = ImageGrid.arrange(images)
    try PNG.write(grid, to: folder.samples(state.step))
    try log.events?.append(samples: grid, step: state.step)
  }

  private func evaluate(_ test: any Dataset, _ clock: StepClock, _ log: MetricsLog) throws {
    let stop = { self.interruption() != nil }
    func score(_ glow: Glow<Float>) throws -> Score {
      try Scorer(glow, batch: training.batch).score(
        test, dequantization: training.dequantization, seed: training.seed, shouldStop: stop)
    }
    do { try evaluated.parametersChanged() } catch let error as SingularMapError {
      return progress.note("step \(state.step): no evaluation: \(error)")
    }
    let (averaged, raw) = try savingOnFailure {
      let averaged = try score(evaluated)
      return (averaged, training.averageDecay > 0 ? try score(glow) : averaged)
    }
    if stop() { return }
    progress.note(
      String(
        format: "step %d (%d images): test bits/dim %@ with the averaged weights, %.4f raw",
        state.step, state.step * training.batch, averaged.description as NSString, raw.bitsPerDimension))
    try log.append(
      Metrics(
        step: state.step, images: state.step * training.batch, epoch: epoch, seconds: clock.seconds,
        testBitsPerDim: averaged.bitsPerDimension.ifFinite, testBitsPerDimRaw: raw.bitsPerDimension.ifFinite,
        testStandardError: averaged.standardError?.ifFinite))
    if averaged.bitsPerDimension < best ?? .infinity {
      try ModelFile.write(
        evaluated,
        metadata: try metadata([RunFolder.bestKey: "\(averaged.bitsPerDimension)"]),
        to: folder.best)
      best = averaged.bitsPerDimension
    }
  }

  /// What a finished model keeps for `DetectionScore.typicality`; nil if a signal asks to end or there is none.
  func meanTrainingBits() throws -> Double? {
    do { try evaluated.parametersChanged() } catch is SingularMapError { return nil }
    let count = TrainingBits.imageCount(trainedOn: state.step * training.batch, batch: training.batch)
    let mean = try Scorer(evaluated, batch: training.batch).score(
      train.spread(over: count), dequantization: training.dequantization, seed: training.seed,
      shouldStop: { self.interruption() != nil }
    ).bitsPerDimension
    return interruption() == nil ? mean.ifFinite : nil
  }

  /// What every model file of the run keeps, and `more`.
  private func metadata(_ more: [String: String]) throws -> [String: String] {
    var metadata = more
    metadata["glow.step"] = String(state.step)
    if glow.configuration.isConditional && train.classNames.count == glow.configuration.classCount {
      metadata[ClassNames.key] = try ClassNames.text(train.classNames)
    }
    return metadata
  }

  /// Writes model and checkpoint, and removes checkpoints that are older than those to keep. Later ones, which were
  /// damaged and passed over, do not count.
  func save(meanTrainingBits: Double? = nil) throws {
    var more: [String: String] = [:]
    if let meanTrainingBits {
      more = TrainingBits(mean: meanTrainingBits, dequantization: training.dequantization).metadata
    }
    let values = valuesOfModel()
    try withExtendedLifetime(values) {
      try ModelFile.write(
        evaluated, values: values.map { UnsafePointer($0.base) }, metadata: metadata(more), to: folder.model)
    }
    try Checkpoint.write(state, configuration, to: folder.checkpoint(state.step))
    let steps = folder.checkpointSteps().filter { $0 <= state.step }
    for step in steps.dropLast(training.checkpointsKept) {
      try? FileManager.default.removeItem(atPath: folder.checkpoint(step))
    }
  }
}

extension Trainer {
  /// Nil for the weights of `evaluated`. A signal may come while they are suspect, or before they have been judged
  /// and no model can be made of them: then those of the last good state, if there is one.
  private func valuesOfModel() -> Slab<Float>? {
    guard training.guards, let good = state.good else { return nil }
    let isSuspect = state.step < training.steps && state.safeguard.isSuspect(at: state.step)
    let isModel =
      evaluated.values.values.allSatisfy { $0.isFinite } && (try? evaluated.parametersChanged()) != nil
    return isModel && !isSuspect ? nil : good.slabs[training.averageDecay > 0 ? 1 : 0]
  }
}

extension Double {
  fileprivate var ifFinite: Double? { isFinite ? self : nil }
}
