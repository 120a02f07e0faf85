import GlowFlow
import GlowImages
import GlowKernels

/// A run that ends after a given time on this machine, and what it comes to.
package struct RunPlan: Sendable {
  /// The measured run whose settings it takes over where nothing else was asked for.
  package let base: MeasuredRun
  package let model: GlowConfiguration
  package let training: TrainingConfiguration
  /// Measured before it begins.
  package let speed: Speed
  /// From its beginning to its end, evaluations included.
  package let seconds: Double
  /// TFLOP of all steps (`GlowConfiguration.trainingWork`).
  package let work: Double
  /// Over the training images.
  package let passes: Double
  /// Nil where nothing was measured that would tell: of images of another shape, or with other settings.
  package let expectation: Expectation?

  /// Images seen in training.
  package var images: Int { training.steps * training.batch }
  /// Whether the expectation is a guess: the work is outside of what was measured, or images are seen more often, so that
  /// the model may learn them by heart. Nil if there is none.
  package var isExtrapolated: Bool? {
    expectation.map { !$0.measured.contains(work) || passes > $0.measuredPasses }
  }

  /// How fast a model is, and what memory its training takes.
  package struct Speed: Sendable {
    /// Images a second of steps of training, and of scoring.
    package let training, scoring: Double
    package let memory: MemoryEstimate
  }

  /// What the law of other runs tells.
  package struct Expectation: Sendable {
    package let bitsPerDimension: Double
    /// Whose test images come to it.
    package let data: MeasuredRun.DataSet
    /// Whether it is of noise that the model learns.
    package let ofLearnedNoise: Bool
    /// TFLOP of the runs that were measured.
    package let measured: ClosedRange<Double>
    /// The most of them.
    package let measuredPasses: Double
  }
}

extension RunPlan.Speed {
  /// Measures.
  ///
  /// - Parameters:
  ///   - cores: processors of a machine that is otherwise as this one; if the team has fewer threads, its speeds are
  ///     multiplied by what a simulation gains with as many (`SpeedMeasurement.simulate`), and the memory is the team's.
  ///   - seconds: for training; half as many more for scoring.
  /// - Throws: `TrainingError` and `MemoryError` if the model does not fit into memory; `ConfigurationError`.
  init(
    _ model: GlowConfiguration, _ training: TrainingConfiguration, team: ThreadTeam, cores: Int,
    measuringFor seconds: Double
  ) throws {
    let measurement = try SpeedMeasurement(
      model, batch: training.microBatch ?? training.batch, team: team, jobs: [.train, .evaluate])
    try measurement.use(training.optimizer)
    func speed(_ job: SpeedMeasurement.Job, _ seconds: Double) throws -> Double {
      let measured = try measurement.imagesPerSecond(job, during: seconds)
      if cores <= team.count { return measured }
      let simulation = try measurement.simulate(job, threads: [team.count, cores], runs: 3, bandwidth: nil)
      return measured * simulation.predictions[0].seconds / simulation.predictions[1].seconds
    }
    self.training = try speed(.train, seconds)
    scoring = try speed(.evaluate, seconds / 2)
    // As the model of a new run, whose initialization takes memory too.
    measurement.glow.isInitialized = false
    memory = try MemoryEstimate(measurement.glow, training)
  }
}

/// Makes the plan of a run. Of the measured runs that were the best for their work it takes over the settings of the one
/// whose work is nearest to what this machine does with them in the time.
package struct RunPlanner {
  /// A model and how to train it; steps and evaluations are the planner's.
  package typealias Settings = (model: GlowConfiguration, training: TrainingConfiguration)

  package let images: any Dataset
  package let heldOut: (any Dataset)?
  /// That the run may take.
  let seconds: Double
  var runs = MeasuredRun.all
  var speed: (Settings) throws -> RunPlan.Speed

  /// - Parameters:
  ///   - images: to train on.
  ///   - cores: processors of the machine that the plan is for; those of `team` if nil.
  ///   - seconds: that the run may take. A sixtieth of them, and at most two seconds, goes into measuring each size of
  ///     model in training, and half as much in scoring; simulating takes some more passes.
  package init(
    _ images: any Dataset, heldOut: (any Dataset)?, team: ThreadTeam, cores: Int? = nil, seconds: Double
  ) {
    self.images = images
    self.heldOut = heldOut
    self.seconds = seconds
    speed = { settings in
      var training = settings.training
      training.initializationImages = training.initializationImages(of: images.count)
      return try RunPlan.Speed(
        settings.model, training, team: team, cores: cores ?? team.count, measuringFor: min(2, seconds / 60))
    }
  }

  /// What evaluations may take of the time where their number is open, and how many there are at most.
  private static let evaluations = (share: 0.05, most: 10)

  /// - Parameters:
  ///   - elapsed: seconds of the time that are over; asked for when speeds have been measured.
  ///   - evaluateEvery: steps; nil if it is open.
  ///   - settings: those of the run, for a measured run whose settings are taken over.
  /// - Throws: `TrainingError` if the time is too short for a step; as `RunPlan.Speed`; what `settings` throws.
  package func plan(
    elapsed: () -> Double, evaluateEvery: Int?, settings: (MeasuredRun) throws -> Settings
  ) throws -> RunPlan {
    let data = MeasuredRun.DataSet.allCases.first { $0.shape == images.shape }
    var known = runs.filter { $0.data == data ?? .cifar10 }
    // Noise that is learned has a bound and a law of its own.
    let sameNoise = try known.filter {
      try settings($0.fitting(images.shape)).model.hasDequantizer == $0.learnsNoise
    }
    if !sameNoise.isEmpty { known = sameNoise }
    var candidates: [(run: MeasuredRun, work: Double, settings: Settings, speed: RunPlan.Speed)] = []
    for (run, work) in try MeasuredRun.envelope(of: known) {
      let own = try settings(run.fitting(images.shape))
      let alike = candidates.first {
        $0.settings.model == own.model && $0.settings.training.batch == own.training.batch
      }
      candidates.append((run, work, own, try alike?.speed ?? speed(own)))
    }
    let time = seconds - elapsed()
    let distances = try candidates.map { candidate in
      let work = try max(0, time) * candidate.speed.training * candidate.settings.model.trainingWork()
      return abs(Elementary.log(max(work, .leastNormalMagnitude) / candidate.work))
    }
    let nearest = candidates[distances.indices.min { distances[$0] < distances[$1] }!]
    let (run, model) = (nearest.run, nearest.settings.model)
    let (training, total) = try fill(
      time, nearest.settings.training, nearest.speed, evaluateEvery: evaluateEvery)
    let work = try Double(training.steps * training.batch) * model.trainingWork()
    var measured = TrainingConfiguration.recommended()
    (measured.batch, measured.learningRate) = (run.batch, run.rate)
    measured.dequantization = run.model.dequantization
    // With photographs neither makes much difference (docs/recipes.md, docs/robustness.md).
    if run.data == .cifar10 {
      measured.flips = training.flips
      if training.clipRatio == 0 { measured.clipRatio = 0 }
    }
    let isMeasured = model == run.model && training.learns(like: measured)
    let law = try isMeasured && data != nil ? ScalingLaw(of: known) : nil
    return RunPlan(
      base: run.fitting(images.shape), model: model, training: training, speed: nearest.speed, seconds: total,
      work: work, passes: Double(training.steps * training.batch) / Double(images.count),
      expectation: law.map {
        RunPlan.Expectation(
          bitsPerDimension: $0.bitsPerDimension(after: work), data: run.data, ofLearnedNoise: run.learnsNoise,
          measured: $0.measured, measuredPasses: known.map(\.passes).max() ?? 0)
      })
  }

  /// As many steps as there is time for besides all else that a run does.
  ///
  /// - Returns: the settings with them, and seconds.
  /// - Throws: `TrainingError` if there is none for a step.
  private func fill(
    _ time: Double, _ settings: TrainingConfiguration, _ speed: RunPlan.Speed, evaluateEvery: Int?
  ) throws -> (training: TrainingConfiguration, seconds: Double) {
    var training = settings
    let atEnd = TrainingBits.imageCount(trainedOn: Int(max(0, time) * speed.training), batch: training.batch)
    let evaluation = Double(training.imagesOfEvaluation(heldOut: heldOut?.count ?? 0)) / speed.scoring
    var around =
      Double(training.initializationImages(of: images.count) + min(images.count, atEnd)) / speed.scoring
    var ofStep = Double(training.batch) / speed.training
    var count = 0
    if let evaluateEvery {
      // One more at the end.
      if evaluateEvery > 0 {
        (around, ofStep) = (around + evaluation, ofStep + evaluation / Double(evaluateEvery))
      }
    } else if evaluation > 0 {
      count = max(1, min(Self.evaluations.most, Int(Self.evaluations.share * time / evaluation)))
      around += Double(count) * evaluation
    }
    let steps = Int((time - around) / ofStep)
    if steps < 1 {
      throw TrainingError(
        "the time is up before the first step: what is to be done besides takes about \(Int(around.rounded(.up))) s, of "
          + "which evaluating \(counted(heldOut?.count ?? 0, "held-out image")) is a part: give more time")
    }
    training.steps = steps
    if count > 0 { training.evaluateEvery = (steps + count - 1) / count }
    return (training, around + Double(steps) * ofStep)
  }
}
