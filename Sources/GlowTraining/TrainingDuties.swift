import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowRanks
import GlowStorage

/// What a trainer does at some steps besides the update.
struct Duties: OptionSet, Codable {
  let rawValue: Int

  static let evaluation = Duties(rawValue: 1)
  static let samples = Duties(rawValue: 2)
  static let checkpoint = Duties(rawValue: 4)
}

/// Condition number from which on a channel map is warned of: decoding in Float then errs by about 1/1000.
private let highCondition = 1e4

/// What a run does besides steps: log lines, evaluation, samples, and a look at the training images at its end.
extension TrainingRun {
  /// What is due at a step besides the log line, by schedule or since an earlier step.
  func dutiesDue() -> Duties {
    var due = state.safeguard.postponed ?? []
    if isDue(training.evaluateEvery) || (isLast && training.evaluateEvery > 0) { due.insert(.evaluation) }
    if isDue(training.sampleEvery) { due.insert(.samples) }
    if isDue(training.checkpointEvery) { due.insert(.checkpoint) }
    return due
  }

  func isDue(_ interval: Int) -> Bool { interval > 0 && state.step > 0 && state.step % interval == 0 }

  private var imagesSeen: Int { state.step * training.batch }
  private var epoch: Double { Double(imagesSeen) / Double(trainer.train.count) }

  func report(_ objective: Objective, gradientNorm: Double, rate: Double) throws {
    let bitsPerDimension = glow.normalizesByBatch ? nil : objective.bitsPerDimension
    progress.step(
      TrainingProgress(
        step: state.step, steps: training.steps, loss: objective.loss, bitsPerDimension: bitsPerDimension,
        imagesPerSecond: clock.imagesPerSecond,
        secondsLeft: Double((training.steps - state.step) * training.batch) / clock.imagesPerSecond,
        isLogged: isDue(training.logEvery)))
    guard isDue(training.logEvery) else { return }
    try ranks.first {
      try log?.append(
        Metrics(
          step: state.step, images: imagesSeen, epoch: epoch, loss: objective.loss.ifFinite,
          trainBitsPerDim: bitsPerDimension?.ifFinite, gradientNorm: gradientNorm.ifFinite,
          learningRate: rate, largestCondition: watchConditions()?.ifFinite,
          imagesPerSecond: clock.imagesPerSecond, seconds: clock.seconds))
    }
  }

  /// The largest condition number of a channel map; those that come near to having no inverse are warned of, and
  /// again when they are ten times worse. Nil without any.
  private func watchConditions() -> Double? {
    let maps = glow.channelMapConditions()
    for map in maps where map.condition > max(highCondition, 10 * (trainer.warned[map.step] ?? 0)) {
      trainer.warned[map.step] = map.condition
      progress.note(
        String(
          format: "warning: step %d: the channel map of %@ comes near to having no inverse: condition number "
            + "%.1e (%.1e without the actnorm), ln |det W| %.2f. Decoding loses digits; a lower --lr may help",
          state.step, map.step, map.condition, map.mixingCondition, map.mixingLogDeterminant))
    }
    return maps.map(\.condition).max()
  }

  func drawSamples() throws {
    let images: [ByteImage]
    do {
      try trainer.evaluated.parametersChanged()
      let batch = trainer.evaluated.batchThatFits(16)
      images = try Sampler(trainer.evaluated, batch: batch).sample(
        count: 16, temperature: 0.7, seed: training.seed,
        labels: Array(0..<max(1, glow.configuration.classCount)))
    } catch let error where error is SingularMapError || error is LinearAlgebraError {
      return progress.note("step \(state.step): no samples: \(error)")
    }
    let grid = ImageGrid.arrange(images)
    try PNG.write(grid, to: trainer.folder.samples(state.step))
    try log?.events?.append(samples: grid, step: state.step)
  }

  func evaluate(_ test: any Dataset) throws {
    do { try trainer.evaluated.parametersChanged() } catch let error as SingularMapError {
      return progress.note("step \(state.step): no evaluation: \(error)")
    }
    let (averaged, raw, seen) = try savingOnFailure {
      let averaged = try score(test, with: trainer.evaluated)
      let raw = training.keepsAverage ? try score(test, with: glow) : averaged
      let count = TrainingConfiguration.trainingImagesOfEvaluation(heldOut: test.count)
      return (averaged, raw, try score(trainer.train.spread(over: count), with: trainer.evaluated))
    }
    if try signal != nil { return }
    var inverseError = Double.nan
    try savingOnFailure { try ranks.first { inverseError = try watchInverse(test) } }
    progress.note(
      "step \(state.step) (\(counted(imagesSeen, "image"))): test bits/dim \(averaged) with the averaged weights, "
        + String(format: "%.4f raw; %.4f of training images", raw.bitsPerDimension, seen.bitsPerDimension))
    let isByHeart = state.evaluations.add(
      averaged.bitsPerDimension, training: seen.bitsPerDimension, step: state.step)
    try ranks.first {
      try log?.append(
        Metrics(
          step: state.step, images: imagesSeen, epoch: epoch, seconds: clock.seconds,
          testBitsPerDim: averaged.bitsPerDimension.ifFinite,
          testBitsPerDimRaw: raw.bitsPerDimension.ifFinite,
          testStandardError: averaged.standardError?.ifFinite,
          trainBitsPerDimEvaluated: seen.bitsPerDimension.ifFinite, inverseError: inverseError.ifFinite))
      try keepIfBest(averaged.bitsPerDimension)
    }
    if isByHeart {
      progress.note(
        String(
          format:
            "warning: step %d: test images got worse for the third time in a row, now %.2f bits/dim, while "
            + "training images got better, now %.2f: the model learns these by heart; best.safetensors is of step %d",
          state.step, averaged.bitsPerDimension, seen.bitsPerDimension,
          best?.step ?? state.evaluations.bestStep))
    }
  }

  /// How far a batch of images is from what its latents decode to. Long before samples show it, this says that a model
  /// is losing its inverse.
  private func watchInverse(_ test: any Dataset) throws -> Double {
    let model = trainer.evaluated
    // As many as there is memory for go through at a time, which the result does not depend on.
    let count = training.batch
    let images = training.onError == .skip ? test.readable(count) : test.prefix(count)
    if images.count == 0 { return .nan }
    // The flow is watched, not its dequantizer, which is near the end of its range wherever noise is.
    let noise = training.dequantization == .variational ? .uniform : training.dequantization
    var error = Double.infinity
    do {
      error =
        try Scorer(model, batch: model.batchThatFits(count)).reconstruct(
          images, dequantization: noise, seed: training.seed
        ).largestError / 256
    } catch is LinearAlgebraError {}
    let levels = error * Double(1 << model.configuration.bits)
    // Written so that a NaN is warned of, too.
    if !(levels <= 0.5) {
      progress.note(
        String(
          format:
            "warning: step %d: images do not come back from their latents: the largest error is %.2g of a "
            + "level. The model is losing its inverse; a lower --lr may help", state.step, levels))
    }
    return error
  }

  /// Whether so many evaluations have not been better than an earlier one that the run is to end.
  func endsByPatience() -> Bool {
    let count = state.evaluations.withoutGain
    guard !isLast, training.patience > 0, count >= training.patience else { return false }
    progress.note(
      "step \(state.step): \(count == 1 ? "the last evaluation was" : "the last \(count) evaluations were") no better "
        + "than an earlier one: the run ends; \(lowest)")
    return true
  }

  /// What a finished model keeps for `DetectionScore.typicality`; nil if a signal asks to end or there is none.
  func meanTrainingBits() throws -> Double? {
    do { try trainer.evaluated.parametersChanged() } catch is SingularMapError { return nil }
    let count = TrainingBits.imageCount(trainedOn: imagesSeen, batch: training.batch)
    let mean = try score(trainer.train.spread(over: count), with: trainer.evaluated).bitsPerDimension
    return try signal == nil ? mean.ifFinite : nil
  }

  /// Of as many images as there are before a signal asks to end. Several processes share the images out.
  private func score(_ images: any Dataset, with glow: Glow<Float>) throws -> Score {
    // A score does not depend on the batch, and the memory for training is in use. The least that fits for all.
    let batch = -(try ranks.largest(-glow.batchThatFits(training.batch)))
    let scorer = try Scorer(glow, batch: batch)
    scorer.ranks = ranks
    scorer.progress = { [progress] in progress.work($0, of: $1, "images scored") }
    var skipped: [FileError] = []
    let score = try scorer.score(
      images, dequantization: training.dequantization, seed: training.seed,
      shouldStop: { try self.signal != nil },
      onError: { index, error in
        if training.onError == .fail { throw error }
        skipped.append(FileError(images.source(index), (error as? FileError)?.reason ?? "\(error)"))
      })
    for error in try ranks.gather(skipped) { trainer.noteSkipped(error) }
    return score
  }
}

extension TrainingConfiguration {
  /// Training images that an evaluation scores beside the held-out ones: enough to tell whether they get better, since
  /// they are the same ones with the same noise each time.
  fileprivate static func trainingImagesOfEvaluation(heldOut: Int) -> Int { min(heldOut, 1000) }

  /// Images that an evaluation scores in all.
  func imagesOfEvaluation(heldOut: Int) -> Int {
    (keepsAverage ? 2 : 1) * heldOut + Self.trainingImagesOfEvaluation(heldOut: heldOut)
  }
}

extension Double {
  fileprivate var ifFinite: Double? { isFinite ? self : nil }
}
