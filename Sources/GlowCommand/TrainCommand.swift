import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import GlowTraining

extension OptimizerKind: ExpressibleByArgument {}
extension DequantizationKind: ExpressibleByArgument {}
extension ActivationPolicy: ExpressibleByArgument {}
extension RateSchedule: ExpressibleByArgument {}

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
    let folder = RunFolder(out)
    let terminal = Terminal()
    let team = try threads.team()
    let former = try former(folder, terminal)
    guard let location = data ?? former?.configuration.data else {
      throw FileError(out, "holds no run to go on with: give --data to start one")
    }
    // What a run started from no longer matters once it has a checkpoint.
    let source = initFrom ?? former?.configuration.initFrom
    let origin =
      former?.isOfCheckpoint == true
      ? nil : try source.map { try TrainedWeights.read($0, team: team) }
    var images = images
    if let former = former?.configuration.images { images.fill(from: former) }
    let known = try knownClasses(former, origin, source)
    func open(_ part: DataPart) throws -> OpenedData {
      let opened = try images.open(location, part)
      guard let known else { return opened }
      return try matchingClasses(
        opened, location, of: known.model, metadata: known.metadata, path: known.path)
    }
    // Held-out images of their own are for data without parts too, all of which are then trained on.
    let testLocation = test ?? (self.images.isHoldOutGiven ? nil : former?.configuration.test)
    if testLocation != nil { images.holdOutNone() }
    if former == nil {
      try Destination("--out", out, .folder).refuse(in: [location] + [testLocation].compactMap { $0 })
    }
    let opened = try open(.train)
    var test =
      try testLocation.map { try openTest($0, images, like: opened.dataset) }
      ?? openHeldOut(of: opened, note: terminal.note) { try open(.test) }
    if let note = opened.note { terminal.note(note) }
    let held = test?.notes.filter { !opened.notes.contains($0) } ?? []
    if !held.isEmpty { terminal.note("held out: " + held.joined(separator: "; ")) }
    let present =
      former.map { ($0.configuration.model, "\(out): the run") }
      ?? origin.map { ($0.glow.configuration, "\(source!): the model to start from") }
    var choice = OpenSettings(self.model, self.training)
    if let former, budget != nil {
      terminal.note("--budget: the run keeps the \(former.configuration.training.steps) steps it began with")
    } else if let budget {
      if ranks.count > 1 {
        throw ConfigurationError(
          "--budget measures one process, and mpirun has started \(ranks.count): give --steps")
      }
      let planner = RunPlanner(
        opened.dataset, heldOut: test?.dataset, team: team, seconds: Double(budget.seconds))
      let plan = try choice.fill(by: planner, from: present) { start.duration(to: .now) / .seconds(1) }
      terminal.note("--budget chooses \(choice.options.joined(separator: " ")): \(plan.outlook)")
    }
    let (model, training) = (choice.model, choice.training)
    let shape = try model.configuration(
      for: opened.dataset, of: present, dequantization: training.dequantization)
    var settings = training.configuration(
      for: shape, imageCount: opened.dataset.count, former: former?.configuration.training,
      hasOrigin: origin != nil)
    if let former, former.isOfCheckpoint {
      // What its layers were set from, whatever is asked for now.
      settings.initializationImages = former.configuration.training.initializationImages
    }
    try settings.validate { TrainingArguments.options[$0] ?? $0 }
    try settings.validate(for: shape) { TrainingArguments.options[$0] ?? $0 }
    var configuration = RunConfiguration(
      data: location, images: images.settings, model: shape, training: settings,
      imageCount: opened.dataset.count, threads: team.count, initFrom: source)
    configuration.test = testLocation
    if configuration.model.isConditional, test?.dataset.classNames.isEmpty == true {
      if let testLocation {
        throw ConfigurationError(
          "\(testLocation) has no classes, and the model needs the class of every image")
      }
      terminal.note("no held-out images: those of \(location) have no classes, which the model needs")
      test = nil
    }
    if configuration.model.isConditional, let testLocation, let names = test?.dataset.classNames {
      let known = opened.dataset.classNames
      _ = try ClassNames.places(
        of: names, in: known, count: known.count, location: testLocation, path: location)
    }
    try MemoryEstimate.check(configuration.model, settings, team.kernels)
    let glow = try origin?.glow ?? Glow(configuration: configuration.model, seed: settings.seed, team: team)
    if let count = training.initImages {
      if !glow.isSetFromData {
        throw ConfigurationError(
          "--init-images is for layers that are set from images, and a \(shape.architecture) has none")
      }
      if glow.isInitialized || settings.initializationImages != count {
        terminal.note(
          "--init-images changes nothing: it is of new models, and the layers of this one are set")
      }
    }
    if training.lrFinal != nil && settings.schedule == .constant {
      throw ConfigurationError("--lr-final is of a rate that falls, and --lr-schedule is constant")
    }
    // Before all images are looked at.
    _ = try MemoryEstimate(glow, settings, imageCount: opened.dataset.count)
    if settings.onError == .fail {
      for dataset in [opened.dataset] + (test.map { [$0.dataset] } ?? []) {
        let note = try hinting("--check of glow data lists all such files, --on-error skip passes over them")
        {
          try dataset.checkAll { terminal.work($0, of: $1, "images checked") }
        }
        if let note { terminal.note(note) }
      }
    }
    configuration.dataDigest = try DataDigest.of(opened.dataset, onError: settings.onError) {
      terminal.work($0, of: $1, "images read")
    }
    configuration.testDigest = try test.map {
      try DataDigest.of($0.dataset, onError: settings.onError) { terminal.work($0, of: $1, "images read") }
    }
    if let testLocation, configuration.testDigest == configuration.dataDigest {
      terminal.note(
        "warning: \(testLocation) holds the very images to train on: \(EvaluateCommand.ownImagesHint)")
    }
    if let former {
      if former.isOfCheckpoint, let initFrom, initFrom != former.configuration.initFrom {
        throw ConfigurationError(
          "\(out): the run started from \(former.configuration.initFrom ?? "new weights"), asked for --init-from "
            + "\(initFrom): leave it out to resume")
      }
      for change in former.configuration.changes(to: configuration) { terminal.note("changed: \(change)") }
    }
    if configuration.model.isConditional, let test {
      warnOfNewClasses(opened.dataset, test.dataset, terminal)
    }
    if settings.patience > 0 && (test == nil || settings.evaluateEvery == 0) {
      throw ConfigurationError(
        "--patience \(settings.patience) counts evaluations, and there are none: "
          + (test == nil ? "\(location) has no held-out images (--hold-out)" : "--eval-every is 0"))
    }
    let trainer = try Trainer(
      configuration, glow: glow, train: opened.dataset, test: test?.dataset, folder: folder,
      progress: terminal)
    try trainer.join(ranks)
    terminal.note(
      "\(opened.kind): \(counted(opened.dataset.count, "image")) of \(opened.dataset.shape)"
        + (test.map { ", \($0.dataset.count) held out" } ?? ", none held out"))
    terminal.note(
      "model: \(configuration.model.outline), \(glow.parameters.trainableCount) parameters; "
        + "kernels: \(glow.kernels)")
    terminal.note(trainer.memory.description)
    if present == nil && shape.has(.logit) && model.logit == nil && opened.dataset.isMostlyExtreme {
      terminal.note(
        "most values are black or white: with --logit 1e-5 bits/dim may come out much lower")
    }
    if ranks.count > 1 { terminal.note("\(ranks.count) processes share each batch") }
    if glow.normalizesByBatch, let part = settings.microBatch, part < settings.batch {
      terminal.note("batch normalization takes the statistics of parts of \(counted(part, "image"))")
    }
    if overwrite {
      try ranks.first {
        try clear(folder, terminal, inputs: [location] + [source, testLocation].compactMap { $0 })
      }
    }
    if resume { try trainer.resume() }
    if let former = former?.configuration {
      noteChangedCourse(former.training, settings, at: trainer.step, of: opened.dataset.count, terminal)
    }
    trainer.writesEvents = tensorboard || folder.hasEvents
    if let maxTime { trainer.limit = TimeLimit(maxTime.duration, since: start) }
    Interruption.heed()
    let ending = try trainer.run()
    terminal.end()
    if trainer.skippedImages > 0 {
      let images = counted(trainer.skippedImages, "image")
      terminal.note("\(images) could not be read and \(trainer.skippedImages == 1 ? "was" : "were") skipped")
    }
    if trainer.badSteps > 0 { terminal.note("bad steps that were not taken: \(trainer.badSteps)") }
    if case .interrupted(let signal) = ending {
      let reason = signal == TimeLimit.signal ? "out of time" : "interrupted"
      terminal.note(
        trainer.glow.isInitialized
          ? "\(reason) at step \(trainer.step); go on with --resume. The model is in \(folder.model)"
          : "\(reason) before the first step; start again with --resume")
      throw ExitCode(128 + signal)
    }
    try answer("model: \(folder.model)")
  }

  private typealias FormerRun = (configuration: RunConfiguration, isOfCheckpoint: Bool)

  /// The run to go on with, if it is one and asked for.
  ///
  /// - Throws: `FileError` if a new run would mix with, or replace, what is in the folder.
  private func former(_ folder: RunFolder, _ terminal: Terminal) throws -> FormerRun? {
    if resume, let run = try RunConfiguration.resumed(in: folder, note: terminal.note) { return run }
    if overwrite { return nil }
    if folder.isInUse {
      throw FileError(
        out, "holds a run already: use --resume to go on with it, --overwrite to remove it, or another folder"
      )
    }
    // A job that always says --resume may keep files of its own there.
    let found = try resume ? folder.ownContents() : folder.contents()
    if found.isEmpty { return nil }
    throw FileError(
      out,
      "is not empty and no run to go on with, it holds \(found.prefix(5).joined(separator: ", "))"
        + (found.count > 5 ? ", …" : "") + ": give another folder, or --overwrite to remove a run's files")
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

  /// Says how rate and weight decay go on, if a run that is longer or planned otherwise does not go on with those it had.
  private func noteChangedCourse(
    _ former: TrainingConfiguration, _ new: TrainingConfiguration, at step: Int, of imageCount: Int,
    _ terminal: Terminal
  ) {
    if step == 0 { return }
    if former.decay != new.decay {
      terminal.note("weight decay: was \(short(former.decay)), is now \(short(new.decay))")
    }
    let rates = [former, new].map { $0.rate(ofStep: step + 1, imageCount: imageCount) }
    if rates[0] == rates[1] { return }
    terminal.note(
      "learning rate: was to go on with \(short(rates[0])), goes on with \(short(rates[1])), and ends at step "
        + "\(new.steps) with \(short(new.rate(ofStep: new.steps, imageCount: imageCount)))")
  }

  private func short(_ rate: Double) -> String { String(format: "%.3g", rate) }

  /// The model whose numbers the classes of the images get: that of the run, or the one to start from.
  private func knownClasses(
    _ former: FormerRun?, _ start: StoredModel?, _ source: String?
  ) throws -> (model: GlowConfiguration, metadata: [String: String], path: String)? {
    if let start, let source { return (start.glow.configuration, start.metadata, source) }
    let path = RunFolder(out).model
    guard let former, former.configuration.model.isConditional, let file = try? SafetensorsFile(path) else {
      return nil
    }
    return (former.configuration.model, file.metadata, path)
  }

  /// Held-out images from elsewhere, of the size of those to train on and with their classes.
  ///
  /// - Throws: `FileError`; `ConfigurationError` if they do not fit.
  private func openTest(
    _ location: String, _ images: ImageArguments, like train: any Dataset
  ) throws -> OpenedData {
    let opened = try images.open(location, .test, model: train.shape)
    if opened.dataset.shape != train.shape {
      throw ConfigurationError(
        "\(location): images of \(opened.dataset.shape) do not fit those to train on, of \(train.shape)")
    }
    if opened.dataset.classNames.isEmpty { return opened }
    // Whether classes matter is not known yet.
    guard
      let places = try? ClassNames.places(
        of: opened.dataset.classNames, in: train.classNames, count: train.classNames.count,
        location: location,
        path: "")
    else { return opened }
    return opened.with(opened.dataset.relabeled(train.classNames, places: places))
  }

  /// Says of which classes there are only held-out images: their scores come from weights that are never trained.
  private func warnOfNewClasses(_ train: any Dataset, _ test: any Dataset, _ terminal: Terminal) {
    let trained = Set((0..<train.count).map { train.label($0) })
    let new = Set((0..<test.count).map { test.label($0) }).subtracting(trained).compactMap { $0 }.sorted()
    if new.isEmpty { return }
    terminal.note(
      "warning: no training image has the class "
        + new.map { "'\(train.classNames[$0])'" }.joined(separator: ", ")
        + ": the model learns nothing of it, and its scores of held-out images of it mean little")
  }
}

/// How a model is trained. What is not given is as the run to go on with has it, or else as the help says.
struct TrainingArguments: ParsableArguments {
  @Option(help: "Images a step (default: 16).") var batch: Int?
  @Option(
    help: ArgumentHelp(
      "Images at a time, in parts of the batch whose gradients are added up (default: all; under mpirun a quarter). Batch "
        + "normalization, of a realnvp, takes the statistics of each part.",
      valueName: "images"))
  var microBatch: Int?
  @Option(help: "Passes over the data (default: 10).") var epochs: Double?
  @Option(help: "Updates, in place of --epochs.") var steps: Int?
  @Option(help: "Learning rate after the warm-up (default: 0.005; of a realnvp 0.001).") var lr: Double?
  @Option(help: "muon (default), adam (default of a realnvp) or adamax.") var optimizer: OptimizerKind?
  @Option(help: "How the rate falls after the warm-up: cosine (default), linear, exponential or constant.")
  var lrSchedule: RateSchedule?
  @Option(help: "The fraction of the rate at the last update (default: 0.05).") var lrFinal: Double?
  @Option(help: "Updates during which the rate rises from 0 (default: 200).") var warmupSteps: Int?
  @Option(help: "The same in epochs.") var warmupEpochs: Double?
  @Option(
    help: ArgumentHelp(
      "Decoupled weight decay: an update takes this share, times the rate, off each filter (default: with muon 1600 over the steps, at most 0.01 over the rate, but none with --init-from; else 0).",
      valueName: "decay"))
  var weightDecay: Double?
  @Option(help: "(default: 0.9)") var beta1: Double?
  @Option(help: "(default: 0.999)") var beta2: Double?
  @Option(
    help:
      "Images after which a moving average of the weights forgets (to 1/e) what they were (default: 16000).")
  var emaImages: Double?
  @Option(help: "Decay of the moving average at an update, in place of --ema-images; 0 keeps none.") var ema:
    Double?
  @Option(help: "Largest norm of the gradient; 0 = any (default).") var clipNorm: Double?
  @Option(
    help: ArgumentHelp(
      "Largest norm of the gradient over its running mean; 0 = any (default: 1.5 with muon, else 0).",
      valueName: "ratio"))
  var clipRatio: Double?
  @Option(help: "(default: 0)") var seed: UInt64?
  @Option(help: "Steps between two log lines; 0 = never (default: 10).") var logEvery: Int?
  @Option(help: "Steps between two evaluations; 0 = never (default: an epoch).") var evalEvery: Int?
  @Option(help: "Steps between two sample grids; 0 = never (default: 500).") var sampleEvery: Int?
  @Option(help: "Steps between two checkpoints; 0 = never (default: 1000).") var checkpointEvery: Int?
  @Option(help: "Checkpoints to keep (default: 2).") var keep: Int?
  @Option(help: "End the run after so many evaluations without lower test bits/dim; 0 = do not (default).")
  var patience: Int?
  @Option(
    help: ArgumentHelp(
      "uniform (default), none or variational.",
      discussion:
        "What pixel values get to have a density. variational: noise of a density that the model learns with the rest, "
        + "by a network of the image; its bound of the likelihood is tighter, and a step takes longer."))
  var dequantization: DequantizationKind?
  @Flag(inversion: .prefixedNo, help: "Skip or undo updates that ruin the model (default).") var guards: Bool?
  @Flag(inversion: .prefixedNo, help: "Take the images in a new order each epoch (default).") var shuffle:
    Bool?
  @Flag(inversion: .prefixedNo, help: "Mirror every other image at random (default: no).") var flip: Bool?
  @Option(help: "Images that the actnorms are initialized from (default: 256).") var initImages: Int?
  @Option(
    help:
      "fail (default) at an image that cannot be read, or skip it: the next one that can be takes its place.")
  var onError: ErrorPolicy?
  @Option(help: "Hidden activations: automatic (default), keep or recompute.") var activations:
    ActivationPolicy?

  func validate() throws {
    func exclude(_ first: Any?, _ second: Any?, _ names: String) throws {
      if first != nil && second != nil { throw ValidationError("give \(names), not both") }
    }
    try exclude(epochs, steps, "--epochs or --steps")
    try exclude(warmupEpochs, warmupSteps, "--warmup-epochs or --warmup-steps")
    try exclude(ema, emaImages, "--ema or --ema-images")
    if let epochs, !(epochs > 0 && epochs <= 1e6) {
      throw ValidationError("--epochs must be above 0 and at most 1000000, not \(epochs)")
    }
  }

  /// - Throws: `ValidationError` if the number of steps is given, where `option` is to decide on it.
  func refuseLength(beside option: String) throws {
    for (name, isGiven) in [("--steps", steps != nil), ("--epochs", epochs != nil)] where isGiven {
      throw ValidationError("give \(option) or \(name), not both")
    }
  }

  /// What the settings of a configuration are called here.
  static let options = [
    "batch": "--batch", "microBatch": "--micro-batch", "steps": "--steps", "learningRate": "--lr",
    "optimizer": "--optimizer",
    "warmupEpochs": "--warmup-epochs",
    "warmupSteps": "--warmup-steps", "finalRate": "--lr-final", "weightDecay": "--weight-decay",
    "beta1": "--beta1", "beta2": "--beta2",
    "averageDecay": "--ema", "averageImages": "--ema-images", "clipNorm": "--clip-norm",
    "clipRatio": "--clip-ratio",
    "initializationImages": "--init-images", "checkpointsKept": "--keep", "patience": "--patience",
    "logEvery": "--log-every", "evaluateEvery": "--eval-every", "sampleEvery": "--sample-every",
    "checkpointEvery": "--checkpoint-every",
  ]

  /// - Parameters:
  ///   - former: the settings of the run to go on with.
  ///   - hasOrigin: whether a new run starts from the weights of a model.
  func configuration(
    for model: GlowConfiguration, imageCount: Int, former: TrainingConfiguration?, hasOrigin: Bool
  ) -> TrainingConfiguration {
    var result = former ?? .recommended(for: model.architecture, optimizer: optimizer)
    // What was learned is not to be forgotten.
    if former == nil && hasOrigin { result.weightDecay = 0 }
    if let batch, batch > 0, batch != result.batch, result.averageImages == nil {
      // The same number of images.
      result.averageDecay = pow(result.averageDecay, Double(batch) / Double(result.batch))
    }
    result.batch = batch ?? result.batch
    let batch = max(1, result.batch)
    // Under mpirun by a rule that the number of processes has no part in: with any of them it is the same run.
    let share = former == nil && GlowCommand.ranks.wasLaunched ? (batch + 3) / 4 : nil
    result.microBatch = microBatch ?? result.microBatch ?? share
    if let steps {
      result.steps = steps
    } else if epochs != nil || former == nil {
      result.steps = Int(((epochs ?? 10) * Double(imageCount) / Double(batch)).rounded(.up))
    }
    result.learningRate = lr ?? result.learningRate
    result.optimizer = optimizer ?? result.optimizer
    result.schedule = lrSchedule ?? result.schedule
    result.finalRate = lrFinal ?? result.finalRate
    if let warmupEpochs { (result.warmupEpochs, result.warmupSteps) = (warmupEpochs, nil) }
    result.warmupSteps = warmupSteps ?? result.warmupSteps
    if let weightDecay { result.weightDecay = weightDecay }
    result.beta1 = beta1 ?? result.beta1
    result.beta2 = beta2 ?? result.beta2
    if let ema { result.averageDecay = ema }
    result.averageImages = emaImages ?? result.averageImages
    result.clipNorm = clipNorm ?? result.clipNorm
    result.clipRatio = clipRatio ?? result.clipRatio
    result.seed = seed ?? result.seed
    result.dequantization = model.hasDequantizer ? .variational : dequantization ?? result.dequantization
    result.shuffles = shuffle ?? result.shuffles
    result.flips = flip ?? result.flips
    result.initializationImages = initImages ?? result.initializationImages
    result.onError = onError ?? result.onError
    result.activations = activations ?? result.activations
    result.logEvery = logEvery ?? result.logEvery
    result.evaluateEvery =
      evalEvery ?? former?.evaluateEvery ?? max(1, Int((Double(imageCount) / Double(batch)).rounded()))
    result.sampleEvery = sampleEvery ?? result.sampleEvery
    result.checkpointEvery = checkpointEvery ?? result.checkpointEvery
    result.checkpointsKept = keep ?? result.checkpointsKept
    result.patience = patience ?? result.patience
    result.guards = guards ?? result.guards
    return result
  }
}
