import ArgumentParser
import Foundation
import GlowFlow
import GlowKernels
import GlowTraining

/// Numbers of threads such as "2,4,16".
struct ThreadCounts: ExpressibleByArgument {
  let values: [Int]

  init?(argument: String) {
    let values = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    // More would take long, and mean nothing.
    if values.contains(where: { !(1...4096).contains($0 ?? 0) }) { return nil }
    self.values = values.map { $0! }
  }
}

/// What `--simulate` answers.
extension BenchCommand {
  private struct Line: Encodable {
    let job: String
    let architecture: String
    let levels, width, blocks, batch, imageSize: Int
    /// Absent where the architecture has no such setting, or the model no dequantizer.
    let depth, dequantizerWidth: Int?
    let kernels: String
    /// Measured on one thread and, in turns with it, on `threads`.
    let imagesPerSecondAlone: Double
    let threads: Int
    let imagesPerSecond: Double
    /// GB/s: what was given for all threads, or what was measured for each.
    let bandwidth: Double
    let bandwidthIsGiven: Bool
    let launchMicroseconds: Double
    let predictions: [PredictedLine]
  }

  private struct PredictedLine: Encodable {
    let threads: Int
    let imagesPerSecond: Double
    /// Over `threads` times the speed of one thread.
    let efficiency: Double
    let parts: [PartLine]
  }

  private struct PartLine: Encodable {
    let part: String
    /// Of the time of the pass.
    let share: Double
    /// Of the time of all threads, what they wait in this part.
    let loss: Double
    let pieces: Int
    /// Threads that it can have busy on average, however many there are.
    let parallelism: Double
  }

  func report(
    _ simulation: SpeedMeasurement.Simulation, _ configuration: GlowConfiguration, _ team: ThreadTeam
  ) throws {
    let predictions = simulation.predictions.map { predicted($0, simulation) }
    if json {
      let (bandwidth, isGiven) =
        switch simulation.bandwidth {
        case .given(let bytes): (bytes, true)
        case .measured(let bytes): (bytes, false)
        }
      try answer(
        jsonLine(
          Line(
            job: simulation.job.rawValue, architecture: configuration.architecture.rawValue,
            levels: configuration.levels, width: configuration.width, blocks: configuration.blocks,
            batch: batch, imageSize: imageSize,
            depth: configuration.has(.depth) ? configuration.depth : nil,
            dequantizerWidth: configuration.hasDequantizer ? dequantizerWidth : nil,
            kernels: "\(team.kernels)",
            imagesPerSecondAlone: simulation.imagesPerSecondAlone, threads: team.count,
            imagesPerSecond: simulation.imagesPerSecond, bandwidth: bandwidth / 1e9,
            bandwidthIsGiven: isGiven, launchMicroseconds: 1e6 * simulation.launch, predictions: predictions)
        ))
      return
    }
    try answer(
      String(
        format: "\(configuration.outline), batch %d, \(simulation.job.rawValue): "
          + "measured %.1f images/s with 1 thread, %.1f with %d",
        batch, simulation.imagesPerSecondAlone, simulation.imagesPerSecond, team.count))
    for prediction in predictions {
      let losses = prediction.parts.prefix(4).filter { $0.loss >= 0.005 }.map {
        $0.part + String(format: " %.1f %% (feeds %.0f)", 100 * $0.loss, $0.parallelism)
      }
      try answer(
        String(
          format: "  %d threads: predicted %.1f images/s, efficiency %.1f %%", prediction.threads,
          prediction.imagesPerSecond, 100 * prediction.efficiency)
          + (losses.isEmpty ? "" : "; lost in " + losses.joined(separator: ", ")))
    }
  }

  private func predicted(
    _ prediction: ScheduleSimulation.Prediction, _ simulation: SpeedMeasurement.Simulation
  ) -> PredictedLine {
    let speed = Double(batch) / prediction.seconds
    return PredictedLine(
      threads: prediction.threads, imagesPerSecond: speed,
      efficiency: speed / simulation.imagesPerSecondAlone / Double(prediction.threads),
      parts: prediction.parts.map {
        PartLine(
          part: $0.name, share: $0.seconds / prediction.seconds, loss: $0.loss, pieces: $0.pieces,
          parallelism: $0.parallelism)
      })
  }
}
