import Glibc
import GlowFlow
import GlowImages
import GlowKernels

/// Measures how fast a model runs, beside the speed of a plain matrix product in the same run.
///
/// What is timed is the work of the commands, less the reading and writing of files: images are bytes in memory.
package final class SpeedMeasurement {
  /// What is timed.
  package enum Job: String, CaseIterable, Sendable {
    /// From bytes to new weights: a step of a `Trainer`.
    case train
    /// From bytes to bits/dim: a batch of a `Scorer`.
    case evaluate
    /// From a seed to bytes: a batch of a `Sampler`.
    case sample
  }

  /// The median of several runs.
  package struct Result: Sendable {
    package let job: Job
    package let imagesPerSecond: Double
    /// Of the useful multiply-adds of the conditioners' products, without the edge indicator.
    package let gigaflops: Double
    /// `gigaflops` over that of a 2048³ product on the same threads in the same minutes.
    package let fractionOfPeak: Double
    package let peakGigaflops: Double
    /// `gigaflops` over what fused multiply-adds on the same threads reach without memory in the same minutes: the
    /// product of clock under load, vector width and units.
    /// Nil where this package has no kernels for the processor.
    package let fractionOfLimit: Double?
    package let limitGigaflops: Double?
    /// What the same matrix products reach by themselves (`ProductCeiling`), over the peak.
    package let ceiling: Double
    /// Of the process so far, in bytes.
    package let peakMemory: Int
    /// Where the threads' time went, largest first; the shares add up to 1.
    package let breakdown: [Share]
  }

  /// A part of the time of all threads.
  package struct Share: Sendable {
    package let name: String
    package let fraction: Double
  }

  /// A job that is ready to run.
  struct Prepared {
    let workspace: Workspace<Float>
    let run: () throws -> Void
    /// Its pass through the model again, on what `run` has put into the workspace; all of it in training.
    let pass: () throws -> Void
  }

  let glow: Glow<Float>
  let batch: Int
  /// A batch. Noise, because speed does not depend on what they show.
  private let images: ImageArray
  private var training = TrainingConfiguration()
  /// Whether the pass alone is timed (`Prepared.pass`).
  package var timesPassAlone = false
  /// Seconds in the optimizer and in folding, by the caller's watch.
  private var optimizerSeconds = 0.0
  /// Is told how many timed repetitions of how many are done.
  package var progress: (_ done: Int, _ count: Int) -> Void = { _, _ in }

  /// - Parameter jobs: those that are to be measured.
  /// - Throws: `ConfigurationError`; `TrainingError` and `MemoryError` if they do not fit into memory.
  package init(
    _ configuration: GlowConfiguration, batch: Int, team: ThreadTeam, jobs: [Job] = Job.allCases
  ) throws {
    try configuration.validate()
    try MemoryEstimate.check(configuration, TrainingConfiguration(), team.kernels)
    let glow = try Glow<Float>(configuration: configuration, seed: 1, team: team)
    (self.glow, self.batch) = (glow, batch)
    training.batch = batch
    training.dequantization = configuration.dequantization
    training.guards = false
    let purposes: [Purpose] =
      jobs.contains(.train) ? [.inference, .training(keepsHidden: false)] : [.inference]
    try requireMemory(
      purposes.map { glow.workspaceBytes(batch: batch, purpose: $0) }.max()!, for: "a batch of \(batch)",
      advice: "use a smaller batch, width or image size")
    let noise = SyntheticDataset(
      .noise, shape: ImageShape(configuration), count: batch, seed: 1, part: .train)
    images = ImageArray(
      try (0..<batch).map { try noise.image($0) }, label: configuration.isConditional ? 0 : nil)
    if glow.isInitialized { return }
    let workspace = try glow.workspace(batch: min(batch, 16), purpose: .inference)
    var feed = ImageFeed(images, training)
    _ = try feed.load(
      0, count: workspace.batch, into: workspace.images, dequantization: glow.dequantization, team: team)
    try glow.initialize(workspace, count: workspace.batch)
  }

  /// Has steps of training timed with an optimizer.
  ///
  /// - Throws: `ConfigurationError` if it is not for the model.
  package func use(_ optimizer: OptimizerKind) throws {
    training.optimizer = optimizer
    try training.validate(for: glow.configuration) { "--\($0)" }
  }

  /// Times the job, the plain product and the multiply-adds in registers in turns, so that all of them have their share of
  /// what else the machine does meanwhile; the medians count.
  ///
  /// - Parameter runs: timed repetitions, after one that is not timed.
  package func measure(_ job: Job, runs: Int) throws -> Result {
    let peak = try PeakProduct(glow.team)
    let prepared = try prepare(job)
    try prepared.run()
    let timed = timesPassAlone ? prepared.pass : prepared.run
    try prepared.workspace.measurePhases()
    optimizerSeconds = 0
    var (times, peaks, limits) = ([Double](), [Double](), [Double]())
    for run in 0..<runs {
      progress(run, runs)
      peaks.append(peak.operationsPerSecond())
      limits.append(limit())
      times.append(try secondsOf(timed))
    }
    let ceiling = try ProductCeiling(glow.configuration, batch: batch, team: glow.team)
    let work = 2 * ceiling.multiplyAdds * Double(batch) * (job == .train ? 3 : 1)
    let (speed, most, registers) = (work / median(times), median(peaks), median(limits))
    return Result(
      job: job, imagesPerSecond: Double(batch) / median(times), gigaflops: speed / 1e9,
      fractionOfPeak: speed / most, peakGigaflops: most / 1e9,
      fractionOfLimit: registers > 0 ? speed / registers : nil,
      limitGigaflops: registers > 0 ? registers / 1e9 : nil,
      ceiling: try ceiling.fraction(of: peak, isTraining: job == .train), peakMemory: peakMemory(),
      breakdown: breakdown(prepared.workspace, total: times.reduce(0, +)))
  }

  /// Images a second of repetitions that fill some time, after one that is not timed. Their mean, not their median: a
  /// long run, too, has its share of what else the machine does.
  package func imagesPerSecond(_ job: Job, during seconds: Double) throws -> Double {
    let prepared = try prepare(job)
    try prepared.run()
    var (count, total) = (0, 0.0)
    while total < seconds {
      total += try secondsOf(prepared.run)
      count += 1
    }
    return Double(batch * count) / total
  }

  /// - Parameter total: seconds of all timed runs.
  private func breakdown(_ workspace: Workspace<Float>, total: Double) -> [Share] {
    // A model without channel maps has no time of them.
    var shares = workspace.phaseSeconds.filter { $0.value > 0 }.map { phase, seconds in
      Share(name: phase.name, fraction: seconds / (total * Double(glow.team.count)))
    }
    if optimizerSeconds > 0 {
      shares.append(Share(name: "optimizer and folding", fraction: optimizerSeconds / total))
    }
    shares.sort { $0.fraction > $1.fraction }
    let known = shares.reduce(0) { $0 + $1.fraction }
    return shares + [Share(name: "waiting and the rest", fraction: 1 - known)]
  }

  func prepare(_ job: Job) throws -> Prepared {
    let labels = glow.configuration.isConditional ? [Int](repeating: 0, count: batch) : nil
    switch job {
    case .train: return try prepareTraining()
    case .evaluate:
      let scorer = try Scorer(glow, batch: batch)
      var settings = ScoringSettings()
      settings.dequantization = glow.configuration.dequantization
      settings.takesDigests = true
      return Prepared(
        workspace: scorer.workspace,
        run: { [images] in try scorer.score(images, settings) { _ in } },
        pass: { [glow, batch] in _ = glow.forward(scorer.workspace, count: batch, labels: labels) })
    case .sample:
      let sampler = try Sampler(glow, batch: batch)
      return Prepared(
        workspace: sampler.workspace,
        run: { [batch] in _ = try sampler.sample(count: batch, temperature: 1, seed: 1) },
        pass: { [glow, batch] in try glow.inverse(sampler.workspace, count: batch, labels: labels) })
    }
  }

  private func prepareTraining() throws -> Prepared {
    var pass = try BatchPass(glow, training, images, purpose: MemoryEstimate(glow, training).purpose)
    let state = try TrainingState(glow, training)
    state.beginAverage()
    let clock = StepClock(batch: batch)
    let step = {
      _ = try pass.run(step: state.step, clock).objective.get()
      state.step += 1
      // A rate so small that the timed model stays the same.
      self.optimizerSeconds += try secondsOf {
        try state.update(after: pass, rate: 1e-9, averageDecay: 0.999)
      }
    }
    return Prepared(workspace: pass.workspace, run: step, pass: step)
  }

  /// Floating-point operations a second of multiply-adds in the registers of all threads.
  private func limit() -> Double {
    let repetitions = 2_000_000
    let threads = glow.team.count
    var operations = 0.0
    let seconds = secondsOf {
      glow.team.run(threads) { thread, _ in
        let done = multiplyAddsInRegisters(repetitions)
        if thread == 0 { operations = 2 * done * Double(threads) }
      }
    }
    return operations / seconds
  }

  /// Calls `getrusage`.
  private func peakMemory() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }
}

/// The middle one of an odd number of values; of an even number the larger of two.
func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// Seconds that this process has had processors, all threads together. Calls `clock`.
package func processorSeconds() -> Double { Double(clock()) / Double(CLOCKS_PER_SEC) }

/// Seconds that `body` takes, by the wall clock.
package func secondsOf(_ body: () throws -> Void) rethrows -> Double {
  let duration = try ContinuousClock().measure(body).components
  return Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
}

extension Phase {
  fileprivate var name: String {
    switch self {
    case .patches: "im2col and col2im"
    case .products: "matrix products"
    case .weightGradients: "weight gradients"
    case .channelMap: "actnorm and 1×1 convolution"
    case .elementwise: "elementwise"
    }
  }
}
