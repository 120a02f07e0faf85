import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage

/// Training cannot go on; `description` says why and what to change.
public struct TrainingError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// Trains a Glow on images and keeps its run folder.
///
/// A step: load and dequantise a batch, objective and gradient, judge them, optimiser with moving average, fold. What
/// is due at a step (evaluation, samples, checkpoint) is done between the gradient and the update: a scheduled
/// checkpoint thus holds a state whose loss has been seen to be fine.
public final class Trainer {
  /// How a run ended.
  public enum Ending: Sendable, Equatable {
    case finished
    case interrupted(signal: Int32)
  }

  public let configuration: RunConfiguration
  public let folder: RunFolder
  public var glow: Glow<Float> { state.glow }
  /// The model that evaluation and sampling use: the averaged weights, or the raw ones if no average is kept.
  public var evaluated: Glow<Float> { training.averageDecay > 0 ? state.averaged : state.glow }
  public let memory: MemoryEstimate

  private let train: any Dataset
  private let test: (any Dataset)?
  private let state: TrainingState
  private var feed: ImageFeed
  private let progress: any ProgressReport
  private var training: TrainingConfiguration { configuration.training }
  private var team: ThreadTeam { glow.team }
  /// Lowest test bits/dim so far, that of `best.safetensors`.
  private var best: Double?
  /// Of each flow step, the condition number that was last warned of.
  private var warned: [String: Double] = [:]
  /// Steps between two states that are kept to go back to.
  private static let goodInterval = 100
  /// Condition number from which on a channel map is warned of: decoding in Float then errs by about 1/1000.
  private static let highCondition = 1e4

  /// - Parameters:
  ///   - glow: a new model, or one to start from.
  ///   - test: held-out images of the same shape.
  /// - Throws: `ConfigurationError`, `TrainingError` if the run does not fit into memory.
  public init(
    _ configuration: RunConfiguration, glow: Glow<Float>, train: any Dataset, test: (any Dataset)?,
    folder: RunFolder, progress: any ProgressReport
  ) throws {
    try configuration.training.validate()
    for data in [train] + (test.map { [$0] } ?? []) where data.shape != ImageShape(configuration.model) {
      throw TrainingError(
        "images of \(data.shape) do not fit a model for \(ImageShape(configuration.model))")
    }
    memory = try MemoryEstimate(glow, configuration.training)
    self.configuration = configuration
    self.train = train
    self.test = test
    self.folder = folder
    self.progress = progress
    state = try TrainingState(glow, configuration.training)
    feed = ImageFeed(train, configuration.training)
  }

  /// Updates so far, skipped ones included.
  public var step: Int { state.step }
  /// Steps that the guards did not let pass.
  public var badSteps: Int { state.safeguard.badSteps }

  /// Goes on from the newest whole checkpoint in the folder; damaged ones are reported and passed over. A run that
  /// was stopped before its first checkpoint starts again.
  ///
  /// - Throws: `FileError` if there are checkpoints and none can be read.
  public func resume() throws {
    let steps = folder.checkpointSteps()
    for step in steps.reversed() {
      do {
        try Checkpoint.read(folder.checkpoint(step), into: state)
        progress.note("resumed at step \(state.step) from \(folder.checkpoint(step))")
        return
      } catch let error as FileError { progress.note("passed over: \(error)") }
    }
    if !steps.isEmpty { throw FileError(folder.path, "has no checkpoint that can be read") }
    progress.note("\(folder.path) has no checkpoint: the run starts at step 0")
  }

  /// Runs until all steps are done or a signal asks to end; the run folder is then complete.
  ///
  /// - Throws: `FileError`; `TrainingError` if the guards give up, with the last good state in the folder.
  public func run() throws -> Ending {
    try folder.create()
    try configuration.write(to: folder.configuration)
    let log = try MetricsLog(folder.metrics, after: state.step)
    best = folder.bestBitsPerDimension()
    if !glow.isInitialised { try initialise() }
    if let signal = Interruption.signal, !glow.isInitialised { return .interrupted(signal: signal) }
    if state.step == 0 { state.beginAverage() }
    let workspace = glow.workspace(batch: training.batch, purpose: memory.purpose)
    let gradients = Slab<Float>(count: glow.parameters.count)
    let clock = StepClock(batch: training.batch)
    while true {
      if let signal = Interruption.signal {
        try save()
        return .interrupted(signal: signal)
      }
      let measurement = try measure(workspace, gradients)
      // What is judged counts from the end of the step: a checkpoint of its start must not know of it yet.
      var safeguard = state.safeguard
      let trouble = training.guards ? judge(measurement, &safeguard) : nil
      let isLast = state.step == training.steps
      if trouble == nil && training.guards { keepIfDue(isLast: isLast) }
      try duties(clock, log)
      if Interruption.signal != nil { continue }
      state.safeguard = safeguard
      if let trouble {
        let diagnosis = glow.diagnose(
          workspace, count: training.batch, labels: measurement.labels, gradients: gradients.base)
        try recover(from: trouble, "\(diagnosis)", isLast: isLast)
      } else if !isLast {
        try update(measurement, gradients, clock, log)
      }
      if isLast { break }
    }
    try save()
    return .finished
  }

  // MARK: A step

  private struct Measurement {
    let labels: [Int]?
    /// Nil if a channel map could not be inverted.
    var objective: Result<Objective, any Error>
    var gradientNorm: Double
  }

  /// Objective and gradient of the present state on the batch that its step stands for.
  private func measure(_ workspace: Workspace<Float>, _ gradients: Slab<Float>) throws -> Measurement {
    let labels = try feed.load(
      state.step * training.batch, count: training.batch, into: workspace.images,
      dequantisation: glow.dequantisation, team: team)
    gradients.clear()
    let classes = glow.configuration.isConditional ? labels : nil
    let objective = Result {
      try glow.objective(
        workspace, count: training.batch, labels: classes, gradients: gradients.base)
    }
    return Measurement(
      labels: classes, objective: objective,
      gradientNorm: state.optimiser.norm(of: gradients.base, team: team))
  }

  private func judge(_ measurement: Measurement, _ safeguard: inout Safeguard) -> Trouble? {
    switch measurement.objective {
    case .success(let objective):
      safeguard.judge(
        bitsPerDimension: objective.loss, gradientNorm: measurement.gradientNorm,
        bits: glow.configuration.bits)
    case .failure(let error): .singular(error)
    }
  }

  /// The state whose loss has just been seen to be fine becomes the one to go back to. That of a scheduled
  /// checkpoint always does, so that the checkpoint needs no second state.
  private func keepIfDue(isLast: Bool) {
    if state.good == nil || isLast || isDue(Trainer.goodInterval) || isDue(training.checkpointEvery) {
      state.keepAsGood()
    }
  }

  private func update(
    _ measurement: Measurement, _ gradients: Slab<Float>, _ clock: StepClock, _ log: MetricsLog
  ) throws {
    let objective = try measurement.objective.get()
    state.step += 1
    let rate =
      training.rate(ofStep: state.step, imageCount: train.count) * state.safeguard.rateFactor
    let norm = measurement.gradientNorm
    let scale = training.clipNorm > 0 ? min(1, training.clipNorm / norm) : 1
    state.optimiser.update(
      glow.values.base, gradients: gradients.base, step: state.step, rate: rate, scale: scale,
      average: (state.averaged.values.base, training.averageDecay(ofStep: state.step)), team: team)
    do { try glow.parametersChanged() } catch let error as SingularMapError where training.guards {
      state.step -= 1
      return try recover(from: .singular(error), "by the update", isLast: false)
    }
    clock.tick()
    try report(objective, gradientNorm: norm, rate: rate, clock, log)
  }

  /// Does what the guards decide about trouble, and goes on with the next step.
  ///
  /// - Throws: `TrainingError` if they give up; the last good state has then been saved.
  private func recover(from trouble: Trouble, _ diagnosis: String, isLast: Bool) throws {
    let response = isLast ? .rollBack : state.safeguard.respond(to: trouble, step: state.step)
    let good = state.good?.step
    let step = state.step
    if !isLast { state.step += 1 }
    if response != .skip { try state.rollBack() }
    let action =
      switch response {
      case .skip: "the step is skipped"
      case .rollBack: "back to the state of step \(good ?? 0)"
      case .rollBackAndSlow:
        "back to the state of step \(good ?? 0), and on with \(state.safeguard.rateFactor) of the rate"
      case .giveUp: "giving up"
      }
    progress.note("step \(step + 1): \(trouble.description) (\(diagnosis)); \(action)")
    guard response == .giveUp else { return }
    if good != nil { try save() }
    throw TrainingError(
      "training cannot go on after \(Safeguard.patience) failures, the latest: \(trouble.description). "
        + "Lower --lr, use --warmup-epochs or --clip-norm, and go on with --resume; "
        + (good.map { "the last good weights, of step \($0), are in \(folder.model)" }
          ?? "no step was ever good, so that there are no weights to keep"))
  }

  /// Sets the actnorms from the first images of the sequence, in one batch.
  private func initialise() throws {
    let count = min(training.initialisationImages, train.count)
    let workspace = glow.workspace(batch: count, purpose: .inference)
    _ = try feed.load(
      0, count: count, into: workspace.images, dequantisation: glow.dequantisation, team: team)
    try glow.initialise(workspace, count: count, shouldStop: { Interruption.signal != nil })
    if glow.isInitialised { progress.note("actnorms initialised from \(count) images") }
  }

  // MARK: What is due

  private func isDue(_ interval: Int) -> Bool { interval > 0 && state.step > 0 && state.step % interval == 0 }

  private var epoch: Double { Double(state.step * training.batch) / Double(train.count) }

  private func report(
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
    for map in maps where map.condition > max(Trainer.highCondition, 10 * (warned[map.step] ?? 0)) {
      warned[map.step] = map.condition
      progress.note(
        String(
          format: "warning: step %d: the channel map of %@ comes near to having no inverse: condition number "
            + "%.1e (%.1e without the actnorm), ln |det W| %.2f. Decoding loses digits; a lower --lr may help",
          state.step, map.step, map.condition, map.mixingCondition, map.mixingLogDeterminant))
    }
    return maps.map(\.condition).max() ?? 1
  }

  /// What is due at a step besides the log line: evaluation, samples, checkpoint.
  private func duties(_ clock: StepClock, _ log: MetricsLog) throws {
    let isLast = state.step == training.steps
    if let test, isDue(training.evaluateEvery) || (isLast && training.evaluateEvery > 0) {
      try clock.pausing { try evaluate(test, clock, log) }
    }
    if isDue(training.sampleEvery) { try clock.pausing { try drawSamples() } }
    if isDue(training.checkpointEvery) { try clock.pausing { try save() } }
  }

  private func drawSamples() throws {
    do {
      try evaluated.parametersChanged()
      let images = try Sampler(evaluated, batch: 16).sample(
        count: 16, temperature: 0.7, seed: training.seed,
        labels: Array(0..<max(1, glow.configuration.classCount)))
      try PNG.write(ImageGrid.arrange(images), to: folder.samples(state.step))
    } catch let error where error is SingularMapError || error is LinearAlgebraError {
      progress.note("step \(state.step): no samples: \(error)")
    }
  }

  private func evaluate(_ test: any Dataset, _ clock: StepClock, _ log: MetricsLog) throws {
    let stop = { Interruption.signal != nil }
    func score(_ glow: Glow<Float>) throws -> Score {
      try Scorer(glow, batch: training.batch).score(
        test, dequantisation: training.dequantisation, seed: training.seed, shouldStop: stop)
    }
    do { try evaluated.parametersChanged() } catch let error as SingularMapError {
      return progress.note("step \(state.step): no evaluation: \(error)")
    }
    let averaged = try score(evaluated)
    let raw = training.averageDecay > 0 ? try score(glow) : averaged
    if stop() { return }
    progress.note(
      String(
        format: "step %d (%d images): test bits/dim %.4f ± %.4f with the averaged weights, %.4f raw",
        state.step, state.step * training.batch, averaged.bitsPerDimension, averaged.standardError,
        raw.bitsPerDimension))
    try log.append(
      Metrics(
        step: state.step, images: state.step * training.batch, epoch: epoch, seconds: clock.seconds,
        testBitsPerDim: averaged.bitsPerDimension.ifFinite, testBitsPerDimRaw: raw.bitsPerDimension.ifFinite,
        testStandardError: averaged.standardError.ifFinite))
    if averaged.bitsPerDimension < best ?? .infinity {
      try ModelFile.write(
        evaluated,
        metadata: ["glow.step": String(state.step), RunFolder.bestKey: "\(averaged.bitsPerDimension)"],
        to: folder.best)
      best = averaged.bitsPerDimension
    }
  }

  /// Writes model and checkpoint, and removes checkpoints that are older than those to keep.
  private func save() throws {
    try ModelFile.write(
      evaluated, metadata: ["glow.step": String(state.step)], to: folder.model)
    try Checkpoint.write(state, configuration, to: folder.checkpoint(state.step))
    for step in folder.checkpointSteps().dropLast(training.checkpointsKept) {
      try? FileManager.default.removeItem(atPath: folder.checkpoint(step))
    }
  }
}

extension Double {
  fileprivate var ifFinite: Double? { isFinite ? self : nil }
}
