import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import GlowTraining

struct TrainCommand: SharedCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Train a model on images.",
    discussion: """
      glow train --resume --out RUN goes on with a run as it was; options of training that are given then change it.
      """)

  @Option(help: dataHelp) var data: String?
  @OptionGroup var images: ImageArguments
  @Option(
    help: ArgumentHelp(
      "Held-out images, in place of those among --data: its part test, or all of it if it has no parts.",
      valueName: "data"))
  var test: String?
  @Option(help: "The run folder to write.") var out: String
  @OptionGroup(title: "Model options") var model: ModelArguments
  @OptionGroup(title: "Training options") var training: TrainingArguments
  @OptionGroup var threads: TeamArguments
  @Option(help: "Start from the weights of this model.") var initFrom: String?
  @Flag(help: "Go on with the run in --out.") var resume = false
  @Flag(help: "Remove the run in --out and start a new one.") var overwrite = false
  @Flag(help: "Write event files for TensorBoard too.") var tensorboard = false
  @Option(
    help: ArgumentHelp(
      "Train for about this time, such as 90m or 3h: steps, and what else is not given of model and rate, are chosen by a "
        + "few seconds of measuring (glow plan says how). A run that goes on keeps the steps it began with.",
      valueName: "time"))
  var budget: TimeSpan?
  @Option(
    help: ArgumentHelp(
      "Save and end within this time, \(TimeSpan.help), with status 142 if the run is not finished; --resume goes on.",
      valueName: "time"))
  var maxTime: TimeSpan?

  func validate() throws {
    if data == nil && !resume {
      throw ValidationError("Missing expected argument '--data <data>': only --resume does without")
    }
    if resume && overwrite { throw ValidationError("give --resume or --overwrite, not both") }
    if test != nil && images.settings.holdOut != nil {
      throw ValidationError("give --test or --hold-out, not both")
    }
    if budget != nil { try training.refuseLength(beside: "--budget") }
  }

  func run() throws {
    let start = ContinuousClock.now
    let terminal = Terminal()
    let team = try threads.team()
    let origin = try TrainingOrigin(of: self, team: team, terminal: terminal)
    var images = try TrainingImages(of: self, origin, terminal)
    let choice = try chosen(for: images, origin, team, since: start, terminal)
    var configuration = try configuration(choice, images, origin, threads: team.count)
    if configuration.model.isConditional { try images.requireClasses(terminal) }
    try MemoryEstimate.check(configuration.model, configuration.training, team.kernels)
    let glow =
      try origin.model?.glow
      ?? Glow(configuration: configuration.model, seed: configuration.training.seed, team: team)
    try check(configuration.training, glow, terminal)
    // Before all images are looked at.
    _ = try MemoryEstimate(glow, configuration.training, imageCount: images.train.dataset.count)
    (configuration.dataDigest, configuration.testDigest) = try images.examine(
      configuration.training.onError, terminal)
    try origin.noteChanges(to: configuration, startingFrom: initFrom, terminal)
    if configuration.model.isConditional { images.warnOfNewClasses(terminal) }
    try checkPatience(configuration.training, images)
    let folder = RunFolder(out)
    let trainer = try Trainer(
      configuration, glow: glow, train: images.train.dataset, test: images.test?.dataset, folder: folder,
      progress: terminal)
    try trainer.join(ranks)
    introduce(trainer, images, origin, terminal)
    if overwrite {
      try ranks.first {
        try clear(
          folder, terminal,
          inputs: [images.location] + [origin.source, images.testLocation].compactMap { $0 })
      }
    }
    if resume { try trainer.resume() }
    origin.noteChangedCourse(
      to: configuration.training, at: trainer.step, of: images.train.dataset.count, terminal)
    trainer.writesEvents = tensorboard || folder.hasEvents
    if let maxTime { trainer.limit = TimeLimit(maxTime.duration, since: start) }
    Interruption.heed()
    let ending = try trainer.run()
    terminal.end()
    try report(ending, of: trainer, terminal)
    try answer("model: \(folder.model)")
  }

  /// What is asked for; with a budget, and with what lets a new run end in time.
  private func chosen(
    for images: TrainingImages, _ origin: TrainingOrigin, _ team: ThreadTeam,
    since start: ContinuousClock.Instant, _ terminal: Terminal
  ) throws -> OpenSettings {
    var choice = OpenSettings(model, training)
    guard let budget else { return choice }
    if let run = origin.run {
      terminal.note("--budget: the run keeps the \(run.training.steps) steps it began with")
      return choice
    }
    if ranks.count > 1 {
      throw ConfigurationError(
        "--budget measures one process, and mpirun has started \(ranks.count): give --steps")
    }
    let planner = RunPlanner(
      images.train.dataset, heldOut: images.test?.dataset, team: team, seconds: Double(budget.seconds))
    let plan = try choice.fill(by: planner, from: origin.settled) { start.duration(to: .now) / .seconds(1) }
    terminal.note("--budget chooses \(choice.options.joined(separator: " ")): \(plan.outlook)")
    return choice
  }

  /// All settings of the run, but for the digests of its images.
  private func configuration(
    _ choice: OpenSettings, _ images: TrainingImages, _ origin: TrainingOrigin, threads: Int
  ) throws -> RunConfiguration {
    let train = images.train.dataset
    let model = try choice.model.configuration(
      for: train, of: origin.settled, dequantization: choice.training.dequantization)
    var training = choice.training.configuration(
      for: model, imageCount: train.count, former: origin.run?.training, hasOrigin: origin.model != nil)
    if let run = origin.run, origin.hasCheckpoint {
      // What its layers were set from, whatever is asked for now.
      training.initializationImages = run.training.initializationImages
    }
    try training.validate { TrainingArguments.options[$0] ?? $0 }
    try training.validate(for: model) { TrainingArguments.options[$0] ?? $0 }
    var configuration = RunConfiguration(
      data: images.location, images: images.settings, model: model, training: training,
      imageCount: train.count, threads: threads, initFrom: origin.source)
    configuration.test = images.testLocation
    return configuration
  }

  /// - Throws: `ConfigurationError` at an option that would do nothing to this model or this rate.
  private func check(_ settings: TrainingConfiguration, _ glow: Glow<Float>, _ terminal: Terminal) throws {
    if let count = training.initImages {
      if !glow.isSetFromData {
        throw ConfigurationError(
          "--init-images is for layers that are set from images, and a \(glow.configuration.architecture) has none"
        )
      }
      if glow.isInitialized || settings.initializationImages != count {
        terminal.note(
          "--init-images changes nothing: it is of new models, and the layers of this one are set")
      }
    }
    if training.lrFinal != nil && settings.schedule == .constant {
      throw ConfigurationError("--lr-final is of a rate that falls, and --lr-schedule is constant")
    }
  }

  /// - Throws: `ConfigurationError` if evaluations are to be counted, and there are none.
  private func checkPatience(_ settings: TrainingConfiguration, _ images: TrainingImages) throws {
    if settings.patience > 0 && (images.test == nil || settings.evaluateEvery == 0) {
      throw ConfigurationError(
        "--patience \(settings.patience) counts evaluations, and there are none: "
          + (images.test == nil
            ? "\(images.location) has no held-out images (--hold-out)" : "--eval-every is 0"))
    }
  }

  /// Says what is about to be trained, on what.
  private func introduce(
    _ trainer: Trainer, _ images: TrainingImages, _ origin: TrainingOrigin, _ terminal: Terminal
  ) {
    let (glow, train) = (trainer.glow, images.train.dataset)
    let (configuration, settings) = (trainer.configuration.model, trainer.configuration.training)
    terminal.note(
      "\(images.train.kind): \(counted(train.count, "image")) of \(train.shape)"
        + (images.test.map { ", \($0.dataset.count) held out" } ?? ", none held out"))
    terminal.note(
      "model: \(configuration.outline), \(glow.parameters.trainableCount) parameters; kernels: \(glow.kernels)"
    )
    terminal.note(trainer.memory.description)
    if origin.settled == nil && configuration.has(.logit) && model.logit == nil && train.isMostlyExtreme {
      terminal.note(
        "most values are black or white: with --logit 1e-5 bits/dim may come out much lower")
    }
    if ranks.count > 1 { terminal.note("\(ranks.count) processes share each batch") }
    if glow.normalizesByBatch, let part = settings.microBatch, part < settings.batch {
      terminal.note("batch normalization takes the statistics of parts of \(counted(part, "image"))")
    }
  }

  /// Says what happened besides what was to.
  ///
  /// - Throws: `ExitCode` if the run is not finished.
  private func report(_ ending: Trainer.Ending, of trainer: Trainer, _ terminal: Terminal) throws {
    if trainer.skippedImages > 0 {
      let images = counted(trainer.skippedImages, "image")
      terminal.note("\(images) could not be read and \(trainer.skippedImages == 1 ? "was" : "were") skipped")
    }
    if trainer.badSteps > 0 { terminal.note("bad steps that were not taken: \(trainer.badSteps)") }
    guard case .interrupted(let signal) = ending else { return }
    let reason = signal == TimeLimit.signal ? "out of time" : "interrupted"
    terminal.note(
      trainer.glow.isInitialized
        ? "\(reason) at step \(trainer.step); go on with --resume. The model is in \(trainer.folder.model)"
        : "\(reason) before the first step; start again with --resume")
    throw ExitCode(128 + signal)
  }

  /// Removes the run in the folder, and says what goes.
  private func clear(_ folder: RunFolder, _ terminal: Terminal, inputs: [String]) throws {
    let own = try folder.ownContents()
    for input in inputs where own.contains(where: { Destination.isSame("\(out)/\($0)", input) }) {
      throw FileError(out, "holds what the run starts from, '\(input)': --overwrite would remove it")
    }
    if own.isEmpty { return }
    terminal.note("--overwrite removes from \(out): \(own.joined(separator: ", "))")
    try folder.clear()
  }
}
