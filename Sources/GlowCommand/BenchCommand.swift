import ArgumentParser
import Foundation
import GlowFlow
import GlowKernels
import GlowTraining

extension SpeedMeasurement.Job: ExpressibleByArgument {}

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure speed as a fraction of the machine's matrix product.",
    discussion: """
      Timed is what the commands do, with images as bytes in memory: train from bytes to new weights, evaluate from \
      bytes to bits/dim, sample from a seed to bytes.
      """)

  @Argument(help: "train, evaluate or sample; all three by default.") var jobs: [SpeedMeasurement.Job] = []
  @Option(help: "Scales of a glow (default: 3).") var levels: Int?
  @Option(help: "Flow steps a scale of a glow (default: 16).") var depth: Int?
  @OptionGroup var couplings: CouplingArguments
  @Option(
    help:
      "Channels of the hidden layers of a dequantizer, as --dequantization variational has (none by default)."
  )
  var dequantizerWidth = 0
  @Option(help: "Margin of the logit that a glow begins with (default: 0, none).") var logit: Double?
  @Option(help: "Side of the images.") var imageSize = 32
  @Option(help: "Images a pass.") var batch = 64
  @Option(help: "adamax, adam or muon: of a step of training.") var optimizer = OptimizerKind.adamax
  @Option(help: "Timed repetitions.") var runs = 7
  @Flag(help: "Of evaluate and sample time the pass through the model alone, without noise and bytes.")
  var passes = false
  @Flag(help: "Print one JSON object a job.") var json = false
  @Option(
    help:
      "Predict the speed with these numbers of threads, for instance 2,4,16,64, from the pieces of work of a pass on one."
  ) var simulate: ThreadCounts?
  @Option(help: "Bandwidth of memory for --simulate, GB/s (default: what a thread has here, for each).")
  var bandwidth: Double?
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if !(1...1_000_000).contains(batch) {
      throw ValidationError("--batch must be 1 to 1000000, not \(batch)")
    }
    if !(1...1_000_000).contains(runs) { throw ValidationError("--runs must be 1 to 1000000, not \(runs)") }
    if bandwidth != nil && simulate == nil {
      throw ValidationError("--bandwidth is for --simulate: give both, or leave it out")
    }
    if let bandwidth, !(bandwidth > 0 && bandwidth.isFinite) {
      throw ValidationError("--bandwidth must be a number of GB/s above 0, not \(bandwidth)")
    }
  }

  private struct Line: Encodable {
    let job: String
    let architecture: String
    /// Of a RealNVP `levels` are its scales.
    let levels, width, blocks, batch, imageSize, threads: Int
    /// Whether evaluate and sample were the passes alone.
    let passes: Bool
    /// Absent where the architecture has no such setting, or the model no dequantizer or logit.
    let depth, dequantizerWidth: Int?
    let logit: Double?
    let coupling, network, flowNormalization: String?
    let optimizer: String
    let imagesPerSecond, gflops, fractionOfPeak, peakGflops, ceiling: Double
    let peakMemoryMb: Int
    /// Over what fused multiply-adds alone reach, without memory: the processor's limit.
    let fractionOfLimit, limitGflops: Nullable
    let kernels, openblasCore: String
    /// Shares of the threads' time, by name.
    let breakdown: [String: Double]
  }

  func run() throws {
    var configuration = GlowConfiguration()
    configuration.imageHeight = imageSize
    configuration.imageWidth = imageSize
    try couplings.set(&configuration)
    try couplings.refuse(
      levels != nil ? "levels" : depth != nil ? "depth" : logit != nil ? "logit" : nil, unless: .glow,
      configuration)
    configuration.levels = levels ?? configuration.levels
    configuration.depth = depth ?? configuration.depth
    configuration.dequantizerWidth = dequantizerWidth
    configuration.logit = logit ?? configuration.logit
    try configuration.validate(naming: CouplingArguments.naming(configuration.architecture))
    let team = try threads.team()
    // For the product that is the yardstick.
    try team.claimBuffers()
    let jobs = jobs.isEmpty ? SpeedMeasurement.Job.allCases : jobs
    let measurement = try SpeedMeasurement(configuration, batch: batch, team: team, jobs: jobs)
    measurement.timesPassAlone = passes
    try measurement.use(optimizer)
    for job in jobs {
      measurement.progress = Countdown("repetitions of \(job.rawValue)").reached
      if let simulate {
        let simulation = try measurement.simulate(
          job, threads: simulate.values, runs: runs, bandwidth: bandwidth.map { 1e9 * $0 })
        try report(simulation, configuration, team)
        continue
      }
      let result = try measurement.measure(job, runs: runs)
      if json {
        let line = Line(
          job: job.rawValue, architecture: configuration.architecture.rawValue, levels: configuration.levels,
          width: configuration.width, blocks: configuration.blocks, batch: batch, imageSize: imageSize,
          threads: team.count, passes: passes, depth: configuration.has(.depth) ? configuration.depth : nil,
          dequantizerWidth: configuration.hasDequantizer ? dequantizerWidth : nil,
          logit: configuration.has(.logit) && configuration.logit > 0 ? configuration.logit : nil,
          coupling: configuration.has(.coupling) ? configuration.coupling.rawValue : nil,
          network: configuration.has(.network) ? configuration.network.rawValue : nil,
          flowNormalization: configuration.has(.flowNormalization)
            ? configuration.flowNormalization.rawValue : nil, optimizer: optimizer.rawValue,
          imagesPerSecond: result.imagesPerSecond, gflops: result.gigaflops,
          fractionOfPeak: result.fractionOfPeak, peakGflops: result.peakGigaflops, ceiling: result.ceiling,
          peakMemoryMb: result.peakMemory / 1_000_000, fractionOfLimit: Nullable(result.fractionOfLimit),
          limitGflops: Nullable(result.limitGigaflops), kernels: "\(team.kernels)",
          openblasCore: openBLASCoreName(),
          breakdown: Dictionary(uniqueKeysWithValues: result.breakdown.map { ($0.name, $0.fraction) }))
        try answer(jsonLine(line))
      } else {
        try answer(
          String(
            format:
              "%@, batch %d, %d threads, kernels %@, %@: %.1f images/s, %.1f GFLOP/s",
            configuration.outline as NSString, batch, team.count, "\(team.kernels)" as NSString,
            job.rawValue as NSString, result.imagesPerSecond, result.gigaflops))
        try answer(
          String(
            format: "  %.1f %% of the sgemm peak of OpenBLAS for %@, %.1f GFLOP/s; peak memory %d MB",
            100 * result.fractionOfPeak, openBLASCoreName() as NSString, result.peakGigaflops,
            result.peakMemory / 1_000_000))
        if let fraction = result.fractionOfLimit, let limit = result.limitGigaflops {
          try answer(
            String(
              format: "  %.1f %% of the processor's limit, %.1f GFLOP/s of multiply-adds in registers",
              100 * fraction, limit))
        }
        let parts = result.breakdown.map {
          String(format: "%@ %.1f %%", $0.name as NSString, 100 * $0.fraction)
        }
        try answer(
          String(format: "  the same matrix products alone: %.1f %% of the peak", 100 * result.ceiling))
        try answer("  time: " + parts.joined(separator: ", "))
      }
    }
  }
}
