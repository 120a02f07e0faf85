import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowTraining

extension OptimizerKind: ExpressibleByArgument {}
extension DequantizationKind: ExpressibleByArgument {}
extension ActivationPolicy: ExpressibleByArgument {}
extension RateSchedule: ExpressibleByArgument {}

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
