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

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "train", abstract: "Train a model on images.")

  @OptionGroup var data: DataArguments
  @Option(help: "The run folder to write.") var out: String
  @OptionGroup(title: "Model options") var model: ModelArguments
  @OptionGroup(title: "Training options") var training: TrainingArguments
  @OptionGroup var threads: TeamArguments
  @Option(help: "Start from the weights of this model.") var initFrom: String?
  @Flag(help: "Go on with the run in --out.") var resume = false
  @Flag(help: "Write event files for TensorBoard too.") var tensorboard = false

  func run() throws {
    let folder = RunFolder(out)
    if folder.isInUse && !resume {
      throw FileError(out, "holds a run already: use --resume to go on with it, or another folder")
    }
    let terminal = Terminal()
    let team = threads.team()
    let start = try initFrom.map { try ModelFile.read($0, as: Float.self, team: team) }
    let opened = try open(.train, start)
    let test = openTest(opened, start, terminal)
    if let note = opened.note { terminal.note(note) }
    let (configuration, glow) = try resolve(opened.dataset, start?.glow, team: team, terminal)
    try opened.dataset.checkAll()
    try test?.dataset.checkAll()
    let trainer = try Trainer(
      configuration, glow: glow, train: opened.dataset, test: test?.dataset, folder: folder,
      progress: terminal)
    terminal.note(
      "\(opened.kind): \(opened.dataset.count) images of \(opened.dataset.shape)"
        + (test.map { ", \($0.dataset.count) held out" } ?? ", none held out"))
    terminal.note(
      "model: \(configuration.model.levels) levels, depth \(configuration.model.depth), width "
        + "\(configuration.model.width), \(glow.parameters.trainableCount) parameters; \(team.count) threads, "
        + "OpenBLAS for \(openBLASCoreName())")
    terminal.note(trainer.memory.description)
    if resume { try trainer.resume() }
    trainer.writesEvents = tensorboard
    Interruption.install()
    let ending = try trainer.run()
    terminal.end()
    if trainer.badSteps > 0 { terminal.note("bad steps that were not taken: \(trainer.badSteps)") }
    if case .interrupted(let signal) = ending {
      terminal.note(
        trainer.glow.isInitialized
          ? "interrupted at step \(trainer.step); go on with --resume. The model is in \(folder.model)"
          : "interrupted before the first step; start again with --resume")
      throw ExitCode(128 + signal)
    }
    print("model: \(folder.model)")
  }

  /// The held-out images, if the data have any; why not is said, since training can do without.
  private func openTest(_ train: OpenedData, _ start: StoredModel?, _ terminal: Terminal) -> OpenedData? {
    if train.part == nil { return nil }
    do { return try open(.test, start) } catch {
      terminal.note("no held-out images: \(error)")
      return nil
    }
  }

  /// Opens the data, their classes under the numbers of the model to start from.
  private func open(_ part: DataPart, _ start: StoredModel?) throws -> OpenedData {
    let opened = try data.open(part)
    guard let start, let initFrom else { return opened }
    return try matchingClasses(opened, data.data, of: start, path: initFrom)
  }

  private func resolve(
    _ dataset: any Dataset, _ start: Glow<Float>?, team: ThreadTeam, _ terminal: Terminal
  ) throws -> (RunConfiguration, Glow<Float>) {
    let settings = training.configuration(imageCount: dataset.count)
    try settings.validate()
    var configuration = RunConfiguration(
      data: data.data, model: try start?.configuration ?? model.configuration(for: dataset),
      training: settings, imageCount: dataset.count, threads: team.count,
      initFrom: initFrom)
    let run = resume ? try RunConfiguration.resumed(in: RunFolder(out), note: terminal.note) : nil
    if let (old, isOfCheckpoint) = run {
      // What a run started from no longer matters once it has a checkpoint.
      if isOfCheckpoint { configuration.initFrom = old.initFrom }
      if old.model != configuration.model {
        throw ConfigurationError(
          "\(out): the run has another model: \(difference(old.model, configuration.model)); "
            + "give the same model options to resume")
      }
      for change in old.changes(to: configuration) { terminal.note("changed: \(change)") }
    }
    try MemoryEstimate.check(configuration.model, settings)
    return (
      configuration,
      try start ?? Glow(configuration: configuration.model, seed: settings.seed, team: team)
    )
  }

  /// The settings in which two models differ, with both values.
  private func difference(_ old: GlowConfiguration, _ new: GlowConfiguration) -> String {
    zip(Mirror(reflecting: old).children, Mirror(reflecting: new).children).compactMap { old, new in
      "\(old.value)" == "\(new.value)" ? nil : "\(old.label ?? "") is \(old.value), asked for \(new.value)"
    }.joined(separator: ", ")
  }
}

struct TrainingArguments: ParsableArguments {
  @Option(help: "Images a step.") var batch = 64
  @Option(help: "Passes over the data (default 10).") var epochs: Double?
  @Option(help: "Updates, in place of --epochs.") var steps: Int?
  @Option(help: "Learning rate after the warm-up.") var lr = 1e-3
  @Option(help: "adamax or adam.") var optimizer = OptimizerKind.adamax
  @Option(help: "Epochs during which the rate rises from 0.") var warmupEpochs = 1.0
  @Option var beta1 = 0.9
  @Option var beta2 = 0.999
  @Option(help: "Decay of the moving average of the weights; 0 keeps none.") var ema = 0.999
  @Option(help: "Largest norm of the gradient; 0 = any.") var clipNorm = 0.0
  @Option var seed: UInt64 = 0
  @Option(help: "Steps between two log lines; 0 = never.") var logEvery = 10
  @Option(help: "Steps between two evaluations (default an epoch); 0 = never.") var evalEvery: Int?
  @Option(help: "Steps between two sample grids; 0 = never.") var sampleEvery = 500
  @Option(help: "Steps between two checkpoints; 0 = never.") var checkpointEvery = 1000
  @Option(help: "Checkpoints to keep.") var keep = 2
  @Option(help: "uniform or none.") var dequantization = DequantizationKind.uniform
  @Flag(help: "Apply every update, even one that ruins the model.") var noGuards = false
  @Flag(help: "Take the images in the order of the data.") var noShuffle = false
  @Flag(help: "Mirror every other image at random.") var flip = false
  @Option(help: "Images that the actnorms are initialized from.") var initImages = 256
  @Option(help: "Hidden activations: automatic, keep or recompute.") var activations = ActivationPolicy
    .automatic

  func validate() throws {
    if epochs != nil && steps != nil { throw ValidationError("give --epochs or --steps, not both") }
    if let epochs, !(epochs > 0 && epochs <= 1e6) { throw ValidationError("--epochs must be positive") }
  }

  func configuration(imageCount: Int) -> TrainingConfiguration {
    var configuration = TrainingConfiguration()
    let stepsOfEpoch = max(1, (imageCount + batch / 2) / max(1, batch))
    configuration.batch = batch
    configuration.steps =
      steps ?? Int(((epochs ?? 10) * Double(imageCount) / Double(max(1, batch))).rounded(.up))
    configuration.learningRate = lr
    configuration.optimizer = optimizer
    configuration.warmupEpochs = warmupEpochs
    configuration.beta1 = beta1
    configuration.beta2 = beta2
    configuration.averageDecay = ema
    configuration.clipNorm = clipNorm
    configuration.seed = seed
    configuration.dequantization = dequantization
    configuration.shuffles = !noShuffle
    configuration.flips = flip
    configuration.initializationImages = initImages
    configuration.activations = activations
    configuration.logEvery = logEvery
    configuration.evaluateEvery = evalEvery ?? stepsOfEpoch
    configuration.sampleEvery = sampleEvery
    configuration.checkpointEvery = checkpointEvery
    configuration.checkpointsKept = keep
    configuration.guards = !noGuards
    return configuration
  }
}
