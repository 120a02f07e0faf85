import GlowFlow
import GlowKernels

/// Noise that makes densities of bytes.
public enum DequantizationKind: String, Sendable, Codable, CaseIterable {
  case uniform
  /// u = 0: for comparison with other implementations.
  case none
}

/// Whether a training step keeps the hidden activations of the conditioners or computes them again.
public enum ActivationPolicy: String, Sendable, Codable, CaseIterable {
  /// Keeps them if the memory that is free allows it.
  case automatic, keep, recompute
}

/// Every setting of a training run besides the model's shape and the data.
///
/// A value that is made without arguments has the settings that a run of an earlier version stands for where it does not
/// name them; `recommended` has those to begin with.
public struct TrainingConfiguration: Sendable, Hashable, Codable {
  /// Images a step.
  public var batch = 64
  /// Updates in all.
  public var steps = 1000
  /// The learning rate after the warm-up.
  public var learningRate = 1e-3
  public var optimizer = OptimizerKind.adamax
  /// Passes over the data during which the rate rises linearly from 0.
  public var warmupEpochs = 1.0
  /// Updates in place of `warmupEpochs`; nil = as that says.
  public var warmupSteps: Int?
  /// How the rate falls from the end of the warm-up to the last update.
  public var schedule = RateSchedule.constant
  /// The fraction of the rate that is left at the last update.
  public var finalRate = 0.05
  public var beta1 = 0.9
  public var beta2 = 0.999
  /// Decay of the moving average of the weights; 0 keeps none.
  public var averageDecay = 0.999
  /// The gradient is scaled down to this 2-norm; 0 leaves it.
  public var clipNorm = 0.0
  public var seed: UInt64 = 0
  public var dequantization = DequantizationKind.uniform
  public var shuffles = true
  /// Every other image, at random, is mirrored.
  public var flips = false
  /// Images that the actnorms are initialized from.
  public var initializationImages = 256
  /// What is done with an image that cannot be read: in training the next one that can be takes its place.
  public var onError = ErrorPolicy.fail
  public var activations = ActivationPolicy.automatic
  /// Bad steps are skipped or rolled back; without, every update is applied, whatever it is.
  public var guards = true
  /// In steps; 0 = never.
  public var logEvery = 10
  public var evaluateEvery = 0
  public var sampleEvery = 0
  public var checkpointEvery = 1000
  /// Checkpoints that are kept.
  public var checkpointsKept = 2
  /// Evaluations without lower test bits/dim after which the run ends; 0 = it does not.
  public var patience = 0

  public init() {}

  /// What a run has whose user says nothing else: small batches, which learn several times more from an image, a short
  /// warm-up, and a high rate that falls (`docs/recipes.md`).
  public static var recommended: TrainingConfiguration {
    var configuration = TrainingConfiguration()
    configuration.batch = 16
    configuration.learningRate = 4e-3
    configuration.warmupEpochs = 0
    configuration.warmupSteps = 200
    configuration.schedule = .cosine
    configuration.setAverage(images: 16_000)
    configuration.sampleEvery = 500
    return configuration
  }

  /// Sets the decay of the moving average so that an image's weight in it falls to 1/e after so many images.
  public mutating func setAverage(images: Double) { averageDecay = Elementary.exp(-Double(batch) / images) }

  /// - Throws: `ConfigurationError` naming the first setting that cannot be.
  public func validate() throws {
    func require(_ holds: Bool, _ message: String) throws { if !holds { throw ConfigurationError(message) } }
    try require((1...1_000_000).contains(batch), "--batch must be 1 to 1000000, not \(batch)")
    // Times the batch, it must still be a number of images.
    try require((0...1_000_000_000_000).contains(steps), "--steps must be 0 to 10¹², not \(steps)")
    try require(learningRate > 0 && learningRate.isFinite, "--lr must be positive, not \(learningRate)")
    try require(warmupEpochs >= 0 && warmupEpochs.isFinite, "--warmup-epochs must not be negative")
    if let warmupSteps {
      try require(
        (0...1_000_000_000_000).contains(warmupSteps), "--warmup-steps must be 0 to 10¹², not \(warmupSteps)")
    }
    try require(
      finalRate > 0 && finalRate <= 1, "--lr-final must be above 0 and at most 1, not \(finalRate)")
    try require((0..<1).contains(beta1), "--beta1 must be in [0, 1), not \(beta1)")
    try require((0..<1).contains(beta2), "--beta2 must be in [0, 1), not \(beta2)")
    try require((0..<1).contains(averageDecay), "--ema must be in [0, 1), not \(averageDecay)")
    try require(clipNorm >= 0 && clipNorm.isFinite, "--clip-norm must not be negative, not \(clipNorm)")
    try require(
      (1...1_000_000).contains(initializationImages),
      "--init-images must be 1 to 1000000, not \(initializationImages)")
    try require(checkpointsKept >= 1, "--keep must be at least 1, not \(checkpointsKept)")
    try require(patience >= 0, "--patience must not be negative, not \(patience)")
    for (name, value) in [
      ("log", logEvery), ("eval", evaluateEvery), ("sample", sampleEvery), ("checkpoint", checkpointEvery),
    ] {
      try require(value >= 0, "--\(name)-every must not be negative, not \(value)")
    }
  }

  /// The decay of the moving average at update `step` (from 1): at first shorter, so that the initial weights are
  /// soon forgotten, min(decay, (1 + t)/(10 + t)) as in TensorFlow's ExponentialMovingAverage.
  public func averageDecay(ofStep step: Int) -> Double {
    min(averageDecay, Double(1 + step) / Double(10 + step))
  }

  /// The learning rate of update `step` (from 1) when an epoch has `imageCount` images.
  public func rate(ofStep step: Int, imageCount: Int) -> Double {
    let warmup = warmupSteps.map { Double($0 * batch) } ?? warmupEpochs * Double(imageCount)
    let seen = Double(step * batch)
    if seen < warmup { return learningRate * (seen / warmup) }
    let rest = Double(steps * batch) - warmup
    let progress = rest > 0 ? min(1, (seen - warmup) / rest) : 1
    return learningRate * schedule.factor(at: progress, final: finalRate)
  }
}
