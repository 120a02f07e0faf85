import Foundation
import GlowFlow
import GlowKernels
import GlowRanks

/// One run of a trainer, from its first step to its end. It is always at one stage, whose method does the work and
/// returns the stage that follows:
///
///     measure → judge → perform → update               a step; the next one follows
///               judge → recover                        … with trouble
///                                 update → recover     … whose update leaves no model
///     measure → judge → perform → conclude             the last step, at which the run ends
///               judge → restore → perform → conclude   … with trouble
///                                 perform → conclude   patience has ended
///     measure → interrupt, conclude → interrupt        a signal has come
///     recover → giveUp                                 trouble once too often
///
/// The last step is the one that no update follows. It is judged too, but the judgment is dropped: a run that goes
/// on from there, with more steps, judges it again.
final class TrainingRun {
  enum Stage {
    /// Objective and gradient on the batch of the present step; then `judge`. If a signal has come, `interrupt`
    /// instead: no other moment of a step stops a run.
    case measure
    /// Decides whether the step can be trusted. If so, what is due is done (`perform`), and after it `update`, or
    /// `conclude` at the last step. If not, `recover`, or `restore` at the last step.
    case judge(Measurement)
    /// Evaluation, samples and checkpoint as far as they are due; then `then`, but `measure` if a signal has come, and
    /// `conclude` if evaluations no longer get better.
    indirect case perform(Duties, then: Stage)
    /// The optimizer's update and its log line; then `measure` of the next step. If the new weights make no model,
    /// `recover`. The guards remember the step from here on.
    case update(Measurement, Safeguard)
    /// Skips the step or goes back to the last good state, as the guards respond; then `measure` of the next step,
    /// or `giveUp`.
    case recover(Trouble, diagnosis: String)
    /// After trouble at the last step: goes back to the last good state unless the weights can stay; then `perform`
    /// of what is due, and `conclude`.
    case restore(Trouble, diagnosis: String)
    /// Scores training images with the final model and saves it: the run is finished. `interrupt` if a signal comes.
    case conclude
    /// Saves the state to go on from: the end of a run that was interrupted.
    case interrupt(signal: Int32)
    /// Saves the last good state and throws.
    case giveUp(Trouble)
  }

  /// What a step is judged by, and updates with.
  struct Measurement {
    /// A failure if a channel map could not be inverted.
    let objective: Result<Objective, any Error>
    let gradientNorm: Double
  }

  let trainer: Trainer
  /// Of the first of several processes.
  let log: MetricsLog?
  let clock: StepClock
  /// Lowest test bits/dim so far, those of `best.safetensors`, and their step.
  var best: (bitsPerDimension: Double, step: Int)?
  private var batch: BatchPass
  private var ending = Trainer.Ending.finished
  /// Steps between two states that are kept to go back to.
  private static let goodInterval = 100

  /// - Parameter trainer: its model is initialized.
  /// - Throws: `MemoryError`.
  init(_ trainer: Trainer, _ log: MetricsLog?) throws {
    self.trainer = trainer
    self.log = log
    trainer.state.evaluations.goOn(with: trainer.configuration.testDigest)
    // Not of steps that are done again, perhaps with other settings, nor of other images. A run that starts has none,
    // whatever lies there.
    let step = trainer.state.step
    if step > 0, let kept = trainer.folder.bestEvaluation(), kept.step <= step,
      kept.images == nil || kept.images == trainer.configuration.testDigest
    {
      best = (kept.bitsPerDimension, kept.step)
    }
    batch = try BatchPass(
      trainer.glow, trainer.training, trainer.train, purpose: trainer.memory.purpose, ranks: trainer.ranks)
    clock = StepClock(batch: trainer.training.batch, secondsBefore: log?.seconds ?? 0)
  }

  var state: TrainingState { trainer.state }
  var training: TrainingConfiguration { trainer.training }
  var glow: Glow<Float> { trainer.glow }
  var progress: any ProgressReport { trainer.progress }
  var ranks: Ranks { trainer.ranks }
  /// The signal that asks to end, if any. Asked for by all of several processes at the same points.
  var signal: Int32? { get throws { try clock.waiting { try trainer.signal() } } }
  var isLast: Bool { state.step >= training.steps }

  /// - Throws: as `Trainer.run`.
  func run() throws -> Trainer.Ending {
    var stage = Stage.measure
    while let next = try advance(from: stage) { stage = next }
    return ending
  }

  /// Does the work of a stage and returns the next one, nil at the end of the run.
  private func advance(from stage: Stage) throws -> Stage? {
    trainer.stageWillBegin(stage)
    switch stage {
    case .measure: return try measure()
    case .judge(let measurement): return try judge(measurement)
    case .perform(let due, let next): return try perform(due, then: next)
    case .update(let measurement, let safeguard): return try update(measurement, safeguard)
    case .recover(let trouble, let diagnosis): return try recover(from: trouble, diagnosis)
    case .restore(let trouble, let diagnosis): return try restore(from: trouble, diagnosis)
    case .conclude: return try conclude()
    case .interrupt(let signal): return try interrupt(signal)
    case .giveUp(let trouble): try giveUp(after: trouble)
    }
  }

  // MARK: A step

  private func measure() throws -> Stage {
    if let signal = try signal { return .interrupt(signal: signal) }
    let outcome = try savingOnFailure {
      try batch.run(step: state.step, clock)
    }
    for error in outcome.skipped { trainer.noteSkipped(error) }
    return .judge(Measurement(objective: outcome.objective, gradientNorm: glow.gradientNorm))
  }

  private func judge(_ measurement: Measurement) throws -> Stage {
    let due = dutiesDue()
    // What is judged counts from the end of the step: a checkpoint of its start must not know of it yet.
    var safeguard = state.safeguard
    let trouble = training.guards ? trouble(in: measurement, &safeguard) : nil
    safeguard.postpone(trouble == nil ? [] : due)
    switch (trouble, isLast) {
    case (nil, false):
      try keepIfDue(due)
      return .perform(due, then: .update(measurement, safeguard))
    case (nil, true):
      try keepIfDue(due)
      return .perform(due, then: .conclude)
    case (let trouble?, false):
      state.safeguard = safeguard
      return .recover(trouble, diagnosis: batch.diagnosis())
    case (let trouble?, true):
      return .restore(trouble, diagnosis: batch.diagnosis())
    }
  }

  private func trouble(in measurement: Measurement, _ safeguard: inout Safeguard) -> Trouble? {
    switch measurement.objective {
    case .success(let objective):
      safeguard.judge(
        loss: objective.loss, gradientNorm: measurement.gradientNorm,
        bits: glow.configuration.bits)
    case .failure(let error): .singular(error)
    }
  }

  /// The state whose loss has just been seen to be fine becomes the one to go back to. That of a scheduled
  /// checkpoint always does, so that the checkpoint needs no second state.
  private func keepIfDue(_ due: Duties) throws {
    guard training.guards else { return }
    if state.good == nil || isLast || isDue(TrainingRun.goodInterval) || due.contains(.checkpoint) {
      try state.keepAsGood()
    }
  }

  private func perform(_ due: Duties, then next: Stage) throws -> Stage {
    if let test = trainer.test, due.contains(.evaluation) { try clock.pausing { try evaluate(test) } }
    if due.contains(.samples) { try clock.pausing { try ranks.first { try drawSamples() } } }
    if due.contains(.checkpoint) { try clock.pausing { try save() } }
    if try signal != nil { return .measure }
    return due.contains(.evaluation) && endsByPatience() ? .conclude : next
  }

  private func update(_ measurement: Measurement, _ safeguard: Safeguard) throws -> Stage {
    state.safeguard = safeguard
    let objective = try measurement.objective.get()
    state.step += 1
    let rate =
      training.rate(ofStep: state.step, imageCount: trainer.train.count) * safeguard.rateFactor
    let norm = measurement.gradientNorm
    do {
      try state.update(
        after: batch, rate: rate, scale: scale(ofNorm: norm),
        averageDecay: training.averageDecay(ofStep: state.step))
    } catch let error as SingularMapError where training.guards {
      state.step -= 1
      return .recover(.singular(error), diagnosis: "by the update")
    }
    clock.tick()
    try clock.outside { try report(objective, gradientNorm: norm, rate: rate) }
    return .measure
  }

  /// The factor on a gradient that clipping makes.
  private func scale(ofNorm norm: Double) -> Double {
    var scale = training.clipNorm > 0 ? min(1, training.clipNorm / norm) : 1
    if training.clipRatio > 0 {
      scale = min(scale, state.safeguard.scale(ofNorm: norm, ratio: training.clipRatio))
    }
    return scale
  }

  // MARK: Trouble

  private func recover(from trouble: Trouble, _ diagnosis: String) throws -> Stage {
    let response = state.safeguard.respond(to: trouble, step: state.step)
    let action =
      switch response {
      case .skip: "the step is skipped"
      case .rollBack: wayBack
      case .rollBackAndSlow: "\(wayBack); on with \(state.safeguard.rateFactor) of the rate"
      case .giveUp: "giving up"
      }
    state.step += 1
    if response != .skip { try state.rollBack() }
    progress.note("step \(state.step): \(trouble.description) (\(diagnosis)); \(action)")
    return response == .giveUp ? .giveUp(trouble) : .measure
  }

  private func restore(from trouble: Trouble, _ diagnosis: String) throws -> Stage {
    let canStay = Safeguard.isPassing(trouble)
    let action = canStay ? "the weights stay" : wayBack
    if !canStay { try state.rollBack() }
    progress.note("step \(state.step + 1): \(trouble.description) (\(diagnosis)); \(action)")
    return .perform(dutiesDue(), then: .conclude)
  }

  /// What a roll-back will do.
  private var wayBack: String {
    state.good.map { "back to the state of step \($0.step)" } ?? "no state has been good yet to go back to"
  }

  // MARK: Ends

  private func conclude() throws -> Stage? {
    progress.note(
      String(
        format: "%.2f %% of the time of the steps went into images, dequantization and log lines",
        100 * clock.outsideShare)
        + (ranks.count == 1
          ? "" : String(format: ", %.2f %% into waiting for other processes", 100 * clock.waitingShare)))
    let mean = try savingOnFailure { try meanTrainingBits() }
    if let signal = try signal { return .interrupt(signal: signal) }
    try save(meanTrainingBits: mean)
    if isLast && state.evaluations.withoutGain > 0 {
      progress.note(lowest)
    }
    return nil
  }

  /// Which evaluation was the best, and where its model is.
  var lowest: String {
    let (file, history) = (trainer.folder.best, state.evaluations)
    let isLost = best.map { $0.bitsPerDimension > history.best ?? .infinity } ?? false
    let step = isLost ? history.bestStep : best?.step ?? history.bestStep
    return "test bits/dim were lowest at step \(step), whose model is "
      + (isLost ? "lost: \(file) is of step \(best!.step)" : "in \(file)")
  }

  private func interrupt(_ signal: Int32) throws -> Stage? {
    try save()
    ending = .interrupted(signal: signal)
    return nil
  }

  private func giveUp(after trouble: Trouble) throws -> Never {
    let isGood = state.good != nil
    if isGood { try save() }
    throw TrainingError(
      "training cannot go on after \(Safeguard.patience) failures, the latest: \(trouble.description). "
        + "Lower the learning rate, warm up for longer or clip gradients to less (--clip-ratio), and resume; "
        + (isGood
          ? "the last good weights are in \(trainer.folder.model)"
          : "no step was ever good, so that there are no weights to keep"))
  }
}
