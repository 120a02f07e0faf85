import GlowFiles
import GlowFlow
import GlowKernels
import GlowStorage

/// The two sets of weights that training has.
package enum TrainedWeights: String, Sendable, CaseIterable {
  /// Their moving average, which evaluations and `model.safetensors` use.
  case averaged
  /// Those of the latest update, which only checkpoints keep.
  case raw

  /// Reads a model from its file, a checkpoint, or a run folder, of which raw weights are those of the newest checkpoint.
  ///
  /// - Parameter weights: by default the averaged ones, if the run keeps an average.
  /// - Returns: the model, ready for use, and the file's metadata.
  /// - Throws: `FileError`, as `ModelFile.read`, or if the file does not have the weights that are asked for.
  package static func read(
    _ path: String, _ weights: TrainedWeights? = nil, team: ThreadTeam
  ) throws -> (glow: Glow<Float>, metadata: [String: String]) {
    if Folder.isFolder(path) {
      if weights != .raw { return try ModelFile.read(path, team: team) }
      let folder = RunFolder(path)
      guard let step = folder.checkpointSteps().last else {
        throw FileError(path, "has no checkpoint, which alone keeps raw weights")
      }
      return try readCheckpoint(folder.checkpoint(step), .raw, team)
    }
    if let file = try? SafetensorsFile(path), file.metadata["format"] == Checkpoint.format {
      return try readCheckpoint(path, weights, team)
    }
    let model = try ModelFile.read(path, as: Float.self, team: team)
    if weights == .raw {
      throw FileError(
        path, "holds one set of weights, not the raw ones too: give a checkpoint or its run folder")
    }
    return model
  }

  private static func readCheckpoint(
    _ path: String, _ weights: TrainedWeights?, _ team: ThreadTeam
  ) throws -> (glow: Glow<Float>, metadata: [String: String]) {
    let configuration = try Checkpoint.configuration(path)
    let hasAverage = configuration.training.keepsAverage
    if weights == .averaged && !hasAverage {
      throw FileError(path, "is of a run that keeps no average of the weights (--ema 0)")
    }
    let weights = weights ?? (hasAverage ? .averaged : .raw)
    let file = try SafetensorsFile(path)
    try Checkpoint.checkSums(file)
    let glow: Glow<Float> = try ModelFile.read(
      file, configuration.model, prefix: weights == .raw ? "value." : "average.", team: team)
    var metadata = file.metadata.filter {
      [Checkpoint.stepKey, "glow.kernels", ClassNames.key].contains($0.key)
    }
    metadata["glow.weights"] = weights.rawValue
    return (glow, metadata)
  }
}
