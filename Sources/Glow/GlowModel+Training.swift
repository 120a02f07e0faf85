import Foundation
import GlowFlow
import GlowImages
import GlowStorage
import GlowTraining
import Synchronization

/// How a model is trained: its shape, and the settings of the training.
public struct TrainingPlan: Sendable {
  /// The settings of a run of training: steps, batch, rate and more.
  public typealias Settings = TrainingConfiguration

  /// The shape of the model. That of its images follows from them.
  public var model = GlowModel.Configuration()
  /// Everything else, of a Glow; for another architecture begin with `Settings.recommended(for:optimizer:)`.
  public var settings = Settings.recommended()
  /// Threads to work with; nil takes one for each processor that the process may use.
  public var threads: Int?
  /// Go on with the run that the folder holds, if it holds one.
  public var resumes = true

  /// A plan with the batch, the rates, the weight decay and the average that `glow train` has by default, and 1,000 steps,
  /// where the command goes ten times through the images.
  public init() {}
}

extension GlowModel {
  /// How far a run of training has come.
  public typealias Progress = TrainingProgress

  /// Trains a model and keeps its run in a folder: the model, checkpoints, metrics and samples.
  ///
  /// If the task is cancelled, the run ends after the present step with a checkpoint, and the same call goes on from there.
  ///
  /// - Parameters:
  ///   - plan: the model's shape and the settings of training. The shape of its images follows from `images`.
  ///   - images: of one shape, whose sides can be halved as often as the model has levels; of `model.classCount` classes,
  ///     if that is not 0.
  ///   - heldOut: to measure the model with, every `settings.evaluateEvery` steps; of the same classes, by their names.
  ///   - folder: where a run is to stand; a new name, an empty folder, or that of the run to go on with.
  ///   - progress: called after each step, from the thread of the training.
  /// - Returns: the model with averaged weights.
  /// - Throws: `CancellationError`; an error that says which setting, image or file is in the way; or that training cannot go on,
  ///   and why.
  public static func train(
    _ plan: TrainingPlan, on images: ImageSet, heldOut: ImageSet? = nil, folder: String,
    progress: @escaping @Sendable (Progress) -> Void = { _ in }
  ) async throws -> GlowModel {
    let isCancelled = Flag()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        // A thread of its own: training is the work of minutes or days.
        Thread.detachNewThread {
          continuation.resume(
            with: Result {
              try run(plan, images, heldOut, folder, Report(progress), isCancelled)
            })
        }
      }
    } onCancel: {
      isCancelled.raise()
    }
  }

  private static func run(
    _ plan: TrainingPlan, _ images: ImageSet, _ heldOut: ImageSet?, _ folder: String, _ report: Report,
    _ isCancelled: Flag
  ) throws -> GlowModel {
    let runFolder = RunFolder(folder)
    var model = plan.model
    (model.imageHeight, model.imageWidth, model.imageChannels) = (
      images.shape.height, images.shape.width, images.shape.channels
    )
    try model.validate()
    for set in [images] + (heldOut.map { [$0] } ?? []) where set.count == 0 {
      throw GlowError("a set needs an image at least")
    }
    let former = try RunConfiguration.resumed(in: runFolder, note: report.note)
    if former != nil && !plan.resumes { throw GlowError("\(folder): holds a run already") }
    if let former, !former.configuration.model.differences(from: model).isEmpty {
      throw GlowError("\(folder): holds a run of another model")
    }
    // Those that a run began with keep their numbers.
    var classNames = model.isConditional ? images.classNames : []
    if former != nil, model.isConditional, let file = try? SafetensorsFile(runFolder.model) {
      classNames =
        try ClassNames.read(file.metadata, count: model.classCount, path: runFolder.model) ?? classNames
    }
    if classNames.count > model.classCount {
      throw GlowError(
        "images of \(classNames.count) classes do not fit a model that knows \(model.classCount)")
    }
    var settings = plan.settings
    if model.hasDequantizer && settings.dequantization == .uniform { settings.dequantization = .variational }
    let configuration = RunConfiguration(
      data: "images of a program", model: model, training: settings, imageCount: images.count)
    let trainer = try Trainer(
      configuration,
      glow: Glow(configuration: model, seed: plan.settings.seed, team: team(plan.threads)),
      train: images.dataset(of: classNames, folder),
      test: heldOut?.dataset(of: classNames, "the set to train on"),
      folder: runFolder, progress: report)
    trainer.interruption = { isCancelled.isRaised ? SIGINT : nil }
    if former != nil { try trainer.resume() }
    if try trainer.run() != .finished { throw CancellationError() }
    let (flow, metadata) = try ModelFile.read(runFolder.model, as: Float.self, team: trainer.glow.team)
    return GlowModel(flow, metadata, classNames: classNames)
  }
}

/// Hands on how far training has come, and what has been noted on the way.
private final class Report: ProgressReport {
  private let body: @Sendable (TrainingProgress) -> Void
  private let notes = Mutex([String]())

  init(_ body: @escaping @Sendable (TrainingProgress) -> Void) { self.body = body }

  func step(_ progress: TrainingProgress) {
    var progress = progress
    progress.notes = notes.withLock { notes in
      defer { notes = [] }
      return notes
    }
    body(progress)
  }

  func note(_ message: String) { notes.withLock { $0.append(message) } }
}

/// Raised once, seen from every thread.
private final class Flag: Sendable {
  private let value = Atomic(false)
  var isRaised: Bool { value.load(ordering: .relaxed) }
  func raise() { value.store(true, ordering: .relaxed) }
}
