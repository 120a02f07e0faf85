import Foundation
import GlowFlow

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

  /// - Throws: `ConfigurationError` naming the first setting that cannot be.
  public func validate() throws {
    func require(_ holds: Bool, _ message: String) throws { if !holds { throw ConfigurationError(message) } }
    try require((1...1_000_000).contains(batch), "--batch must be 1 to 1000000, not \(batch)")
    // Times the batch, it must still be a number of images.
    try require((0...1_000_000_000_000).contains(steps), "--steps must be 0 to 10¹², not \(steps)")
    try require(learningRate > 0 && learningRate.isFinite, "--lr must be positive, not \(learningRate)")
    try require(warmupEpochs >= 0 && warmupEpochs.isFinite, "--warmup-epochs must not be negative")
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
    let warmup = warmupEpochs * Double(imageCount)
    return warmup > 0 ? learningRate * min(1, Double(step * batch) / warmup) : learningRate
  }
}
