import GlowFlow
import GlowKernels

/// Noise that makes densities of bytes.
public enum DequantizationKind: String, Sendable, Codable, CaseIterable {
  /// u is uniform in [0, 1) for each value of each image.
  case uniform
  /// u = 0: for comparison with other implementations.
  case none
  /// u follows the density that the model has learned, given the image: of a model with a dequantizer
  /// (`GlowConfiguration.dequantizerWidth`).
  case variational
}

extension GlowConfiguration {
  /// The noise that the model is trained with and scores images with, if no other is asked for.
  package var dequantization: DequantizationKind { hasDequantizer ? .variational : .uniform }

  /// - Throws: `ConfigurationError` if the model has not learned the noise that is asked for.
  package func requireNoise(_ kind: DequantizationKind) throws {
    if kind == .variational && !hasDequantizer {
      throw ConfigurationError(
        "the model has no dequantizer, which variational noise comes from: its noise is uniform or none")
    }
  }
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
  /// Images that go through the model at a time, in parts of the batch whose gradients are added up in a fixed order:
  /// less memory, and what several processes share out. The result depends on it, to rounding, and not on how many
  /// processes there are; that of a model with batch normalization, which takes the statistics of each part, by more. Nil =
  /// the batch at once.
  public var microBatch: Int?
  /// Updates in all.
  public var steps = 1000
  /// The learning rate after the warm-up.
  public var learningRate = 1e-3
  /// The rule of an update.
  public var optimizer = OptimizerKind.adamax
  /// Passes over the data during which the rate rises linearly from 0.
  public var warmupEpochs = 1.0
  /// Updates in place of `warmupEpochs`; nil = as that says.
  public var warmupSteps: Int?
  /// How the rate falls from the end of the warm-up to the last update.
  public var schedule = RateSchedule.constant
  /// The fraction of the rate that is left at the last update.
  public var finalRate = 0.05
  /// λ of decoupled weight decay: an update takes rate·λ·w off the filters w besides, of normalized ones off their
  /// lengths (Loshchilov & Hutter 2019). Setting it ends what `decayTimesSteps` says.
  public var weightDecay = 0.0 {
    didSet { decayTimesSteps = nil }
  }
  /// With Muon, λ of weight decay times the number of steps, so that filters remember the same part of a run however long
  /// it is; an update takes at most a hundredth off. Nil = as `weightDecay` says.
  public var decayTimesSteps: Double?
  /// Decay of the mean of the gradients.
  public var beta1 = 0.9
  /// Decay of the size of the gradients: their largest with Adamax, the mean of their squares with Adam.
  public var beta2 = 0.999
  /// Decay of the moving average of the weights at an update; 0 keeps none. Setting it ends what `averageImages` says.
  public var averageDecay = 0.999 {
    didSet { averageImages = nil }
  }
  /// Images after which the moving average forgets (to 1/e) what the weights were, whatever the batch; nil = as
  /// `averageDecay` says.
  public var averageImages: Double?
  /// The gradient is scaled down to this 2-norm; 0 leaves it.
  public var clipNorm = 0.0
  /// The gradient is scaled down to so many times the running mean of its norms, themselves clipped; 0 leaves it.
  public var clipRatio = 0.0
  /// Of the first weights, the order of the images and all noise.
  public var seed: UInt64 = 0
  /// What is added to bytes.
  public var dequantization = DequantizationKind.uniform
  /// Each epoch takes the images in another order.
  public var shuffles = true
  /// Every other image, at random, is mirrored.
  public var flips = false
  /// Images that the actnorms are initialized from.
  public var initializationImages = 256
  /// As many of them as there are.
  func initializationImages(of count: Int) -> Int { min(initializationImages, count) }
  /// What is done with an image that cannot be read: in training the next one that can be takes its place.
  public var onError = ErrorPolicy.fail
  /// What is done with hidden activations between forward and backward.
  public var activations = ActivationPolicy.automatic
  /// Bad steps are skipped or rolled back; without, every update is applied, whatever it is.
  public var guards = true
  /// Steps between two lines of `metrics.jsonl`; 0 = never.
  public var logEvery = 10
  /// Steps between two evaluations of held-out images; 0 = never.
  public var evaluateEvery = 0
  /// Steps between two grids of samples; 0 = never.
  public var sampleEvery = 0
  /// Steps between two checkpoints; 0 = never, but at the end.
  public var checkpointEvery = 1000
  /// Checkpoints that are kept.
  public var checkpointsKept = 2
  /// Evaluations without lower test bits/dim after which the run ends; 0 = it does not.
  public var patience = 0

  /// The settings that a run of an earlier version stands for where it names none.
  package init() {}

  /// What a run has whose user says nothing else: small batches, which learn several times more from an image, a short
  /// warm-up, and a high rate that falls (`docs/recipes.md`).
  ///
  /// - Parameters:
  ///   - architecture: one without filters, such as a RealNVP, whose own are normalized, has Adam and the rate of Dinh et
  ///     al. 2017, section 4.1.
  ///   - optimizer: another than what is best for the architecture; the filters decay, and gradients are clipped, only
  ///     with Muon.
  public static func recommended(
    for architecture: ArchitectureKind = .glow, optimizer: OptimizerKind? = nil
  ) -> TrainingConfiguration {
    var configuration = TrainingConfiguration()
    configuration.batch = 16
    configuration.optimizer = .muon
    configuration.learningRate = 5e-3
    // What an architecture has where nothing is asked for is a model.
    if try! !GlowConfiguration(architecture).hasFilters() {
      (configuration.optimizer, configuration.learningRate) = (.adam, 1e-3)
    }
    configuration.optimizer = optimizer ?? configuration.optimizer
    if configuration.optimizer == .muon {
      configuration.decayTimesSteps = 1600
      configuration.clipRatio = 1.5
    }
    configuration.warmupEpochs = 0
    configuration.warmupSteps = 200
    configuration.schedule = .cosine
    configuration.averageImages = 16_000
    configuration.sampleEvery = 500
    return configuration
  }

  /// - Parameter name: what a setting is called where it was given.
  /// - Throws: `ConfigurationError` if the optimizer is for filters, and the model has none.
  package func validate(for model: GlowConfiguration, naming name: (String) -> String = { $0 }) throws {
    if try optimizer == .muon && !model.hasFilters() {
      throw ConfigurationError(
        "\(name("optimizer")) muon is for filters, and this model's are normalized: use adam or adamax")
    }
  }

  /// Whether a moving average of the weights is kept.
  package var keepsAverage: Bool { averageImages != nil || averageDecay > 0 }

  /// - Parameter name: what a setting is called where it was given, from the name that it has here.
  /// - Throws: `ConfigurationError` naming the first setting that cannot be.
  package func validate(naming name: (String) -> String = { $0 }) throws {
    func require(_ holds: Bool, _ setting: String, _ rule: String) throws {
      if !holds { throw ConfigurationError("\(name(setting)) must \(rule)") }
    }
    try require((1...1_000_000).contains(batch), "batch", "be 1 to 1000000, not \(batch)")
    if let microBatch {
      try require(
        (1...batch).contains(microBatch), "microBatch", "be 1 to the batch, \(batch), not \(microBatch)")
    }
    // Times the batch, it must still be a number of images.
    try require((0...1_000_000_000_000).contains(steps), "steps", "be 0 to 10¹², not \(steps)")
    try require(
      learningRate > 0 && learningRate.isFinite, "learningRate", "be positive, not \(learningRate)")
    try require(warmupEpochs >= 0 && warmupEpochs.isFinite, "warmupEpochs", "not be negative")
    if let warmupSteps {
      try require(
        (0...1_000_000_000_000).contains(warmupSteps), "warmupSteps", "be 0 to 10¹², not \(warmupSteps)")
    }
    try require(
      finalRate > 0 && finalRate <= 1, "finalRate", "be above 0 and at most 1, not \(finalRate)")
    try require(
      weightDecay >= 0 && weightDecay * learningRate < 1, "weightDecay",
      "be at least 0 and less than 1 over the learning rate, not \(weightDecay)")
    if let decayTimesSteps {
      try require(
        decayTimesSteps >= 0 && decayTimesSteps <= 1e12, "decayTimesSteps",
        "be 0 to 10¹², not \(decayTimesSteps)")
    }
    for (setting, decay) in [("beta1", beta1), ("beta2", beta2), ("averageDecay", averageDecay)] {
      try require((0..<1).contains(decay), setting, "be in [0, 1), not \(decay)")
    }
    if let averageImages {
      try require(
        averageImages > 0 && averageImages <= 1e12, "averageImages",
        "be above 0 and at most 10¹², not \(averageImages)")
    }
    try require(clipNorm >= 0 && clipNorm.isFinite, "clipNorm", "not be negative, not \(clipNorm)")
    try require(
      clipRatio == 0 || (clipRatio > 1 && clipRatio.isFinite), "clipRatio",
      "be 0 or above 1, not \(clipRatio)")
    try require(
      (1...1_000_000).contains(initializationImages), "initializationImages",
      "be 1 to 1000000, not \(initializationImages)")
    try require(checkpointsKept >= 1, "checkpointsKept", "be at least 1, not \(checkpointsKept)")
    for (setting, value) in [
      ("patience", patience), ("logEvery", logEvery), ("evaluateEvery", evaluateEvery),
      ("sampleEvery", sampleEvery), ("checkpointEvery", checkpointEvery),
    ] {
      try require(value >= 0, setting, "not be negative, not \(value)")
    }
  }

  /// λ of weight decay.
  package var decay: Double {
    guard optimizer == .muon, let decayTimesSteps else { return weightDecay }
    return min(decayTimesSteps / Double(max(1, steps)), 0.01 / learningRate)
  }

  /// Whether a model learns the same with these settings as with others, however long, but for chance.
  package func learns(like other: TrainingConfiguration) -> Bool {
    var other = other
    (other.steps, other.seed, other.microBatch) = (steps, seed, microBatch)
    (other.initializationImages, other.shuffles, other.guards) = (initializationImages, shuffles, guards)
    (other.onError, other.activations, other.patience) = (onError, activations, patience)
    (other.logEvery, other.evaluateEvery, other.sampleEvery) = (logEvery, evaluateEvery, sampleEvery)
    (other.checkpointEvery, other.checkpointsKept) = (checkpointEvery, checkpointsKept)
    return self == other
  }

  /// The decay of the moving average at update `step` (from 1): at first shorter, so that the initial weights are
  /// soon forgotten, min(decay, (1 + t)/(10 + t)) as in TensorFlow's ExponentialMovingAverage.
  package func averageDecay(ofStep step: Int) -> Double {
    let decay = averageImages.map { Elementary.exp(-Double(batch) / $0) } ?? averageDecay
    return min(decay, Double(1 + step) / Double(10 + step))
  }

  /// The learning rate of update `step` (from 1) when an epoch has `imageCount` images.
  package func rate(ofStep step: Int, imageCount: Int) -> Double {
    let warmup = warmupSteps.map { Double($0 * batch) } ?? warmupEpochs * Double(imageCount)
    let seen = Double(step * batch)
    if seen < warmup { return learningRate * (seen / warmup) }
    let rest = Double(steps * batch) - warmup
    let progress = rest > 0 ? min(1, (seen - warmup) / rest) : 1
    return learningRate * schedule.factor(at: progress, final: finalRate)
  }
}
