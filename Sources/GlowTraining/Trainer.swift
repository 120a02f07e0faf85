import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowRanks
import GlowStorage

/// Training cannot go on; `description` says why and what to change.
public struct TrainingError: Error, CustomStringConvertible {
  public let description: String
  /// An error that says this.
  package init(_ description: String) { self.description = description }
}

/// Trains a Glow on images and keeps its run folder.
///
/// A step: load and dequantize a batch, objective and gradient, judge them, optimizer with moving average, fold. What
/// is due at a step (evaluation, samples, checkpoint) is done between the gradient and the update: a scheduled
/// checkpoint thus holds a state whose loss has been seen to be fine. Where it is not, all of it waits for the next
/// state that is.
package final class Trainer {
  /// How a run ended.
  package enum Ending: Sendable, Equatable {
    case finished
    case interrupted(signal: Int32)
  }

  package let configuration: RunConfiguration
  package let folder: RunFolder
  package var glow: Glow<Float> { state.glow }
  /// The model that evaluation and sampling use: the averaged weights, or the raw ones if no average is kept.
  package var evaluated: Glow<Float> { training.keepsAverage ? state.averaged : state.glow }
  package let memory: MemoryEstimate
  /// Whether metrics and samples go into event files of TensorBoard too.
  package var writesEvents = false

  /// The processes that train together (`join`).
  private(set) var ranks = Ranks.one
  let train: any Dataset
  let test: (any Dataset)?
  let state: TrainingState
  let progress: any ProgressReport
  var training: TrainingConfiguration { configuration.training }
  /// From the first look at the folder to the end of the run.
  private var lock: FolderLock?
  /// Of each flow step, the condition number that was last warned of.
  var warned: [String: Double] = [:]
  /// Images that cannot be read and were skipped, by their names.
  private(set) var skipped: Set<String> = []
  /// The signal that asks to end, if any.
  package var interruption: () -> Int32? = { Interruption.signal }
  /// The time that the run may take now.
  package var limit: TimeLimit? {
    didSet {
      // The model; weights, average and moments, and those of the state to go back to.
      limit?.willSave(bytes: (training.guards ? 9 : 5) * MemoryLayout<Float>.stride * glow.parameters.count)
    }
  }
  /// Is told what a run does next.
  var stageWillBegin: (TrainingRun.Stage) -> Void = { _ in }

  /// - Parameters:
  ///   - glow: a new model, or one to start from.
  ///   - test: held-out images of the same shape.
  /// - Throws: `ConfigurationError`, `TrainingError` if the run does not fit into memory.
  package init(
    _ configuration: RunConfiguration, glow: Glow<Float>, train: any Dataset, test: (any Dataset)?,
    folder: RunFolder, progress: any ProgressReport
  ) throws {
    try configuration.training.validate()
    let noise = configuration.training.dequantization
    if (noise == .variational) != configuration.model.hasDequantizer {
      throw TrainingError(
        "a model \(configuration.model.hasDequantizer ? "with" : "without") a dequantizer cannot be trained with "
          + "\(noise.rawValue) dequantization")
    }
    for data in [train] + (test.map { [$0] } ?? []) where data.shape != ImageShape(configuration.model) {
      throw TrainingError(
        "images of \(data.shape) do not fit a model for \(ImageShape(configuration.model))")
    }
    let parts = BatchParts(configuration.training)
    let smallest = parts.images(of: parts.count - 1).count
    if let positions = glow.fewestNormalizedPositions, smallest * positions < 2 {
      throw TrainingError(
        "batch normalization needs more than one value of each channel, and at the last scale the last of "
          + "\(parts.batch) images is one position: use fewer --scales, or another --batch or --micro-batch")
    }
    try configuration.training.validate(for: configuration.model)
    if train.count == 0 { throw TrainingError("there are no images to train on") }
    memory = try MemoryEstimate(glow, configuration.training, imageCount: train.count)
    self.configuration = configuration
    self.train = train
    self.test = test
    self.folder = folder
    self.progress = progress
    state = try TrainingState(glow, configuration.training)
  }

  /// Updates so far, skipped ones included.
  package var step: Int { state.step }
  /// Steps that the guards did not let pass.
  package var badSteps: Int { state.safeguard.badSteps }
  /// Images that could not be read, and were skipped.
  package var skippedImages: Int { skipped.count }

  /// Names an image that is skipped, once.
  func noteSkipped(_ error: FileError) {
    if skipped.insert(error.path).inserted { progress.note("skipped: \(error)") }
  }

  /// Trains together with other processes, which have made the same trainer.
  ///
  /// - Throws: `TrainingError` if the batch has no part for each of them; `RankFailure` if one has something else to train.
  package func join(_ ranks: Ranks) throws {
    self.ranks = ranks
    let parts = BatchParts(training)
    if parts.count < ranks.count {
      let most = training.batch / ranks.count
      throw TrainingError(
        "\(ranks.count) processes share a batch of \(training.batch) in parts of \(parts.size), which are too few: "
          + (most == 0 ? "use a batch of \(ranks.count) or more" : "give --micro-batch \(most) or less"))
    }
    var settings = configuration
    (settings.data, settings.test, settings.initFrom, settings.threads) = ("", nil, nil, nil)
    (settings.dataDigest, settings.testDigest) = (nil, nil)
    try ranks.requireSame([
      ("version", Release.version), ("kernels", glow.kernels.identity),
      ("training images", configuration.dataDigest ?? "\(train.count)"),
      ("held-out images", configuration.testDigest ?? "\(test?.count ?? 0)"),
      ("settings", try settings.text()),
    ])
  }

  /// Goes on from the newest whole checkpoint in the folder; damaged ones are reported and passed over. A run that
  /// was stopped before its first checkpoint starts again.
  ///
  /// - Throws: `FileError` if there are checkpoints and none can be read, or another process is training there;
  ///   `TrainingError` if they are those of another optimizer.
  package func resume() throws {
    try takeFolder()
    let steps = folder.checkpointSteps()
    for step in steps.reversed() {
      do {
        let former = try Checkpoint.configuration(folder.checkpoint(step)).training.optimizer
        if former != training.optimizer {
          lock = nil
          throw TrainingError(
            "\(folder.checkpoint(step)) has the moments of \(former.rawValue), which mean nothing to "
              + "\(training.optimizer.rawValue): go on with \(former.rawValue), or begin a new run with --init-from"
          )
        }
        let kernels = try Checkpoint.read(folder.checkpoint(step), into: state)
        progress.note("resumed at step \(state.step) from \(folder.checkpoint(step))")
        if let kernels, kernels != glow.kernels.identity {
          progress.note(
            "its products were made with the kernels '\(kernels)', now with '\(glow.kernels.identity)': "
              + "the result will not be that of an uninterrupted run to the bit (--kernels chooses)")
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
  package func run() throws -> Ending {
    try takeFolder()
    defer { lock = nil }
    if ranks.count > 1 { try ranks.requireSame([("weights", state.digest)]) }
    var log: MetricsLog?
    try ranks.first {
      try configuration.write(to: folder.configuration)
      log = try openLog()
    }
    if !glow.isInitialized { try initialize() }
    // There is nothing to save yet.
    if let signal = try signal(), !glow.isInitialized { return .interrupted(signal: signal) }
    if state.step == 0 { state.beginAverage() }
    return try TrainingRun(self, log).run()
  }

  /// Locks the folder, which only the first process writes to.
  private func takeFolder() throws {
    try ranks.first { lock = try lock ?? folder.create() }
  }

  private func openLog() throws -> MetricsLog {
    let log = try MetricsLog(folder.metrics, after: state.step)
    if writesEvents {
      log.events = try EventLog(folder: folder.events, after: state.step, kept: log.kept)
    }
    return log
  }

  /// The signal that asks any of the processes to end, or that of a time limit.
  ///
  /// - Throws: `RankFailure`.
  func signal() throws -> Int32? {
    let own = interruption() ?? (limit?.isUp() == true ? TimeLimit.signal : nil)
    let signal = try ranks.largest(Int(own ?? 0))
    return signal == 0 ? nil : Int32(signal)
  }

  /// Sets the actnorms from the first images of the sequence, in one batch.
  private func initialize() throws {
    let count = training.initializationImages(of: train.count)
    let workspace = try glow.workspace(batch: count, purpose: .inference)
    var feed = ImageFeed(train, training)
    // Each of several processes does all of it: the batch is one, and its moments are not sums of parts.
    try ranks.together {
      let images = try feed.load(
        0, count: count, into: workspace.images, dequantization: glow.dequantization, team: glow.team)
      // Better before the first step than at it.
      _ = try glow.configuration.labels(of: images, in: train)
    }
    for (_, error) in feed.skipped { noteSkipped(error) }
    let isDone = try glow.initialize(workspace, count: count) { done, layers in
      progress.work(done, of: layers, "layers initialized")
      return try signal() != nil
    }
    if isDone {
      progress.note("actnorms initialized from \(counted(count, "image"))")
    }
  }
}
