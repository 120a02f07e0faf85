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
/// A step: load and dequantise a batch, objective and gradient, optimiser with moving average, fold.
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
  /// Whether metrics and samples go into event files of TensorBoard too.
  public var writesEvents = false

  private let train: any Dataset
  private let test: (any Dataset)?
  private let state: TrainingState
  private var feed: ImageFeed
  private let progress: any ProgressReport
  private var training: TrainingConfiguration { configuration.training }
  private var team: ThreadTeam { glow.team }
  /// Non-finite steps in a row that end a run.
  private static let patience = 20

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

  /// Updates so far.
  public var step: Int { state.step }

  /// Goes on from the newest whole checkpoint in the folder; damaged ones are reported and passed over.
  ///
  /// - Throws: `FileError` if there is none.
  public func resume() throws {
    for step in folder.checkpointSteps().reversed() {
      do {
        try Checkpoint.read(folder.checkpoint(step), into: state)
        progress.note("resumed at step \(state.step) from \(folder.checkpoint(step))")
        return
      } catch let error as FileError { progress.note("passed over: \(error)") }
    }
    throw FileError(folder.path, "has no checkpoint that can be read")
  }

  /// Runs until all steps are done or a signal asks to end; the run folder is then complete.
  public func run() throws -> Ending {
    try folder.create()
    try configuration.write(to: folder.configuration)
    let log = try MetricsLog(folder.metrics, after: state.step)
    if writesEvents { log.events = try EventLog(folder: folder.events, after: state.step) }
    if !glow.isInitialised { try initialise() }
    if state.step == 0 { state.beginAverage() }
    let workspace = glow.workspace(batch: training.batch, purpose: memory.purpose)
    let gradients = Slab<Float>(count: glow.parameters.count)
    let clock = StepClock(batch: training.batch)
    var failures = 0
    while state.step < training.steps {
      if let signal = Interruption.signal {
        try save()
        return .interrupted(signal: signal)
      }
      let result = try takeStep(workspace, gradients)
      guard let result else {
        failures += 1
        progress.note("step \(state.step): the loss or its gradient is not finite; the step is skipped")
        if failures >= Trainer.patience {
          try save()
          throw TrainingError(
            "\(failures) steps in a row were not finite: lower --lr or use --clip-norm; "
              + "the last good weights are in \(folder.model)")
        }
        continue
      }
      failures = 0
      clock.tick()
      try report(result, clock, log)
      try duties(clock, log)
    }
    try save()
    return .finished
  }

  private struct StepResult {
    var objective: Objective
    var gradientNorm: Double
    var rate: Double
  }

  /// One update; nil, and no update, if loss or gradient is not finite.
  private func takeStep(_ workspace: Workspace<Float>, _ gradients: Slab<Float>) throws -> StepResult? {
    let labels = try feed.load(
      state.step * training.batch, count: training.batch, into: workspace.images,
      dequantisation: glow.dequantisation, team: team)
    state.step += 1
    let rate = training.rate(ofStep: state.step, imageCount: train.count)
    gradients.clear()
    let objective = try glow.objective(
      workspace, count: training.batch, labels: glow.configuration.isConditional ? labels : nil,
      gradients: gradients.base)
    let norm = state.optimiser.norm(of: gradients.base, team: team)
    guard objective.loss.isFinite && norm.isFinite else { return nil }
    let scale = training.clipNorm > 0 ? min(1, training.clipNorm / norm) : 1
    state.optimiser.update(
      glow.values.base, gradients: gradients.base, step: state.step, rate: rate, scale: scale,
      average: (state.averaged.values.base, training.averageDecay(ofStep: state.step)), team: team)
    try glow.parametersChanged()
    return StepResult(objective: objective, gradientNorm: norm, rate: rate)
  }

  /// Sets the actnorms from the first images of the sequence, in one batch.
  private func initialise() throws {
    let count = min(training.initialisationImages, train.count)
    let workspace = glow.workspace(batch: count, purpose: .inference)
    _ = try feed.load(
      0, count: count, into: workspace.images, dequantisation: glow.dequantisation, team: team)
    try glow.initialise(workspace, count: count)
    progress.note("actnorms initialised from \(count) images")
  }

  private func isDue(_ interval: Int) -> Bool { interval > 0 && state.step % interval == 0 }

  private var epoch: Double { Double(state.step * training.batch) / Double(train.count) }

  private func report(_ result: StepResult, _ clock: StepClock, _ log: MetricsLog) throws {
    let bits = result.objective.bitsPerDimension
    progress.step(
      TrainingProgress(
        step: state.step, steps: training.steps, bitsPerDimension: bits,
        imagesPerSecond: clock.imagesPerSecond,
        secondsLeft: Double((training.steps - state.step) * training.batch) / clock.imagesPerSecond,
        isLogged: isDue(training.logEvery)))
    guard isDue(training.logEvery) else { return }
    try log.append(
      Metrics(
        step: state.step, images: state.step * training.batch, epoch: epoch, loss: result.objective.loss,
        trainBitsPerDim: bits, gradientNorm: result.gradientNorm, learningRate: result.rate,
        imagesPerSecond: clock.imagesPerSecond, seconds: clock.seconds))
  }

  /// What is due after a step besides the log line: evaluation, samples, checkpoint.
  private func duties(_ clock: StepClock, _ log: MetricsLog) throws {
    let isLast = state.step == training.steps
    if let test, isDue(training.evaluateEvery) || (isLast && training.evaluateEvery > 0) {
      try clock.pausing { try evaluate(test, clock, log) }
    }
    if isDue(training.sampleEvery) {
      try clock.pausing {
        try evaluated.parametersChanged()
        let images = try Sampler(evaluated, batch: 16).sample(
          count: 16, temperature: 0.7, seed: training.seed,
          labels: Array(0..<max(1, glow.configuration.classCount)))
        let grid = ImageGrid.arrange(images)
        try PNG.write(grid, to: folder.samples(state.step))
        try log.events?.append(samples: grid, step: state.step)
      }
    }
    if isDue(training.checkpointEvery) { try clock.pausing { try save() } }
  }

  private func evaluate(_ test: any Dataset, _ clock: StepClock, _ log: MetricsLog) throws {
    let stop = { Interruption.signal != nil }
    func score(_ glow: Glow<Float>) throws -> Score {
      try Scorer(glow, batch: training.batch).score(
        test, dequantisation: training.dequantisation, seed: training.seed, shouldStop: stop)
    }
    try evaluated.parametersChanged()
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
        testBitsPerDim: averaged.bitsPerDimension, testBitsPerDimRaw: raw.bitsPerDimension,
        testStandardError: averaged.standardError))
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
