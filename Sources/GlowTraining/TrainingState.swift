import GlowFlow
import GlowKernels

/// What training changes.
final class TrainingState {
  let glow: Glow<Float>
  /// A model of the same shape whose weights are the moving average.
  let averaged: Glow<Float>
  let optimiser: Optimiser<Float>
  /// Updates so far.
  var step = 0

  init(_ glow: Glow<Float>, _ configuration: TrainingConfiguration) throws {
    self.glow = glow
    averaged = try Glow(configuration: glow.configuration, team: glow.team)
    optimiser = Optimiser(
      configuration.optimiser, beta1: configuration.beta1, beta2: configuration.beta2,
      count: glow.parameters.count, ranges: glow.parameters.trainableRanges)
  }

  /// Starts the average at the present weights, and takes over what is not learned.
  func beginAverage() { averaged.values.base.update(from: glow.values.base, count: glow.parameters.count) }
}
