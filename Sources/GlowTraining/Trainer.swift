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
/// A step: load and dequantize a batch, objective and gradient, judge them, optimizer with moving average, fold. What
/// is due at a step (evaluation, samples, checkpoint) is done between the gradient and the update: a scheduled
/// checkpoint thus holds a state whose loss has been seen to be fine. Where it is not, all of it waits for the next
/// state that is.
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

  let train: any Dataset
  let test: (any Dataset)?
  let state: TrainingState
  private var feed: ImageFeed
  let progress: any ProgressReport
  var training: TrainingConfiguration { configuration.training }
  private var team: ThreadTeam { glow.team }
  /// From the first look at the folder to the end of the run.
  private var lock: FolderLock?
  /// Lowest test bits/dim so far, that of `best.safetensors`.
  var best: Double?
  /// Of each flow step, the condition number that was last warned of.
  var warned: [String: Double] = [:]
  /// The signal that asks to end, if any.
  var interruption: () -> Int32? = { Interruption.signal }
  /// Steps between two states that are kept to go back to.
  private static let goodInterval = 100

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
  /// - Throws: `FileError` if there are checkpoints and none can be read, or another process is training there.
  public func resume() throws {
    lock = try lock ?? folder.create()
    let steps = folder.checkpointSteps()
    for step in steps.reversed() {
      do {
        let core = try Checkpoint.read(folder.checkpoint(step), into: state)
        progress.note("resumed at step \(state.step) from \(folder.checkpoint(step))")
        if let core, core != openBLASCoreName() {
          progress.note(
            "it was written with the kernels of OpenBLAS for \(core), these are for \(openBLASCoreName()): "
              + "the result will not be that of an uninterrupted run to the bit")
        }
        return
      } catch let error as FileError { progress.note("passed over: \(error)") }
    }
    if !steps.isEmpty {
      lock = nil
      throw FileError(folder.path, "has no checkpoint that can be read")
    }
    progress.note("\(folder.path) has no checkpoint: the run starts at step 0")
  }

  /// Runs until all steps are done or a signal asks to end; the run folder is then complete.
  ///
  /// - Throws: `FileError`, for an image that cannot be read after the state before it has been saved;
  ///   `TrainingError` if the guards give up, with the last good state in the folder.
  public func run() throws -> Ending {
    lock = try lock ?? folder.create()
    defer { lock = nil }
    try configuration.write(to: folder.configuration)
    let log = try MetricsLog(folder.metrics, after: state.step)
    // A run that starts has none, whatever lies there.
    best = state.step == 0 ? nil : folder.bestBitsPerDimension()
    if writesEvents {
      log.events = try EventLog(folder: folder.events, after: state.step, kept: log.kept)
    }
    if !glow.isInitialized { try initialize() }
    if let signal = interruption(), !glow.isInitialized { return .interrupted(signal: signal) }
    if state.step == 0 { state.beginAverage() }
    let workspace = glow.workspace(batch: training.batch, purpose: memory.purpose)
    let gradients = Slab<Float>(count: glow.parameters.count)
    let clock = StepClock(batch: training.batch)
    while true {
      if let signal = interruption() {
        try save()
        return .interrupted(signal: signal)
      }
      let measurement = try savingOnFailure { try measure(workspace, gradients, clock) }
      // What is judged counts from the end of the step: a checkpoint of its start must not know of it yet.
      var safeguard = state.safeguard
      let trouble = training.guards ? judge(measurement, &safeguard) : nil
      let isLast = state.step >= training.steps
      let due = dutiesDue()
      if trouble == nil {
        if training.guards { keepIfDue(isLast: isLast, due) }
        try perform(due, clock, log)
        if interruption() != nil { continue }
      }
      // Who goes on from the last step judges it again.
      if !isLast {
        safeguard.postpone(trouble == nil ? [] : due)
        state.safeguard = safeguard
      }
      if let trouble {
        let diagnosis = glow.diagnose(
          workspace, count: training.batch, labels: measurement.labels, gradients: gradients.base)
        try recover(from: trouble, "\(diagnosis)", isLast: isLast)
        if isLast {
          try perform(due, clock, log)
          if interruption() != nil { continue }
        }
      } else if !isLast {
        try update(measurement, gradients, clock, log)
      }
      if isLast { break }
    }
    progress.note(
      String(
        format: "%.2f %% of the time of the steps went into images, dequantization and log lines",
        100 * clock.outsideShare))
    let mean = try savingOnFailure { try meanTrainingBits() }
    if let signal = interruption() {
      try save()
      return .interrupted(signal: signal)
    }
    try save(meanTrainingBits: mean)
    return .finished
  }

  /// An image that cannot be read must not cost the steps so far: the weights know nothing of it.
  func savingOnFailure<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch {
      // Of two errors, that of the image comes first.
      do {
        try save()
        progress.note("saved at step \(state.step)")
      } catch { progress.note("\(error)") }
      throw error
    }
  }

  // MARK: A step

  private struct Measurement {
    let labels: [Int]?
    /// A failure if a channel map could not be inverted.
    var objective: Result<Objective, any Error>
    var gradientNorm: Double
  }

  /// Objective and gradient of the present state on the batch that its step stands for.
  private func measure(
    _ workspace: Workspace<Float>, _ gradients: Slab<Float>, _ clock: StepClock
  ) throws -> Measurement {
    let labels = try clock.outside {
      try feed.load(
        state.step * training.batch, count: training.batch, into: workspace.images,
        dequantization: glow.dequantization, team: team)
    }
    gradients.clear()
    let classes = glow.configuration.isConditional ? labels : nil
    let objective = Result {
      try glow.objective(
        workspace, count: training.batch, labels: classes, gradients: gradients.base)
    }
    return Measurement(
      labels: classes, objective: objective,
      gradientNorm: state.optimizer.norm(of: gradients.base, team: team))
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
  private func keepIfDue(isLast: Bool, _ due: Duties) {
    if state.good == nil || isLast || isDue(Trainer.goodInterval) || due.contains(.checkpoint) {
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
    state.optimizer.update(
      glow.values.base, gradients: gradients.base, step: state.step, rate: rate, scale: scale,
      average: (state.averaged.values.base, training.averageDecay(ofStep: state.step)), team: team)
    do { try glow.parametersChanged() } catch let error as SingularMapError where training.guards {
      state.step -= 1
      return try recover(from: .singular(error), "by the update", isLast: false)
    }
    clock.tick()
    try clock.outside { try report(objective, gradientNorm: norm, rate: rate, clock, log) }
  }

  /// Does what the guards decide about trouble, and goes on with the next step.
  ///
  /// - Throws: `TrainingError` if they give up; the last good state has then been saved.
  private func recover(from trouble: Trouble, _ diagnosis: String, isLast: Bool) throws {
    let response =
      isLast
      ? Safeguard.isPassing(trouble) ? .skip : .rollBack
      : state.safeguard.respond(to: trouble, step: state.step)
    let good = state.good?.step
    let back = good.map { "back to the state of step \($0)" } ?? "no state has been good yet to go back to"
    let step = state.step
    if !isLast { state.step += 1 }
    if response != .skip { try state.rollBack() }
    let action =
      switch response {
      case .skip: isLast ? "the weights stay" : "the step is skipped"
      case .rollBack: back
      case .rollBackAndSlow: "\(back); on with \(state.safeguard.rateFactor) of the rate"
      case .giveUp: "giving up"
      }
    progress.note("step \(step + 1): \(trouble.description) (\(diagnosis)); \(action)")
    guard response == .giveUp else { return }
    if good != nil { try save() }
    throw TrainingError(
      "training cannot go on after \(Safeguard.patience) failures, the latest: \(trouble.description). "
        + "Lower --lr, use --warmup-epochs or --clip-norm, and go on with --resume; "
        + (good == nil
          ? "no step was ever good, so that there are no weights to keep"
          : "the last good weights are in \(folder.model)"))
  }

  /// Sets the actnorms from the first images of the sequence, in one batch.
  private func initialize() throws {
    let count = min(training.initializationImages, train.count)
    let workspace = glow.workspace(batch: count, purpose: .inference)
    _ = try feed.load(
      0, count: count, into: workspace.images, dequantization: glow.dequantization, team: team)
    try glow.initialize(workspace, count: count, shouldStop: { self.interruption() != nil })
    if glow.isInitialized { progress.note("actnorms initialized from \(count) images") }
  }
}
