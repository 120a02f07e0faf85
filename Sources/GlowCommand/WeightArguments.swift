import ArgumentParser
import GlowKernels
import GlowTraining

extension TrainedWeights: ExpressibleByArgument {}

/// Which weights of a model a command works with.
struct WeightArguments: ParsableArguments {
  @Option(
    help:
      "averaged (default, where there is an average) or raw weights, of a checkpoint-N.safetensors or of the newest in a run folder."
  )
  var weights: TrainedWeights?

  /// - Throws: `FileError`.
  func read(_ model: String, _ team: ThreadTeam) throws -> StoredModel {
    try TrainedWeights.read(model, weights, team: team)
  }
}
