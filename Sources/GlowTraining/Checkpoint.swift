import Foundation
import GlowFiles
import GlowFlow
import GlowKernels
import GlowStorage

/// Everything that a training run needs to go on: weights, their average, the optimiser's moments, and how far
/// it has come. Data order and noise follow from the step.
struct Checkpoint {
  /// Name of each slab and its values; all follow the model's parameter list.
  private static func slabs(_ state: TrainingState) -> [(name: String, slab: Slab<Float>)] {
    [
      ("value", state.glow.values), ("average", state.averaged.values),
      ("first_moment", state.optimiser.firstMoment), ("second_moment", state.optimiser.secondMoment),
    ]
  }

  private static let stepKey = "glow.step"
  private static let configurationKey = "glow.run"

  static func write(_ state: TrainingState, _ configuration: RunConfiguration, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    var writer = SafetensorsWriter(metadata: [
      "format": "glow-checkpoint", stepKey: String(state.step),
      configurationKey: String(decoding: try encoder.encode(configuration), as: UTF8.self),
      "glow.openblas_core": openBLASCoreName(),
    ])
    for (name, slab) in slabs(state) {
      for entry in state.glow.parameters.entries {
        writer.add(
          "\(name).\(entry.name)", shape: entry.shape,
          values: UnsafePointer(slab.base + entry.offset))
      }
    }
    try writer.write(to: path)
  }

  /// Restores `state`, whose model has the checkpoint's configuration.
  ///
  /// - Throws: `FileError` naming the entry that is missing, damaged or of another shape.
  static func read(_ path: String, into state: TrainingState) throws {
    let file = try SafetensorsFile(path)
    try file.checkSums()
    guard let step = file.metadata[stepKey].flatMap({ Int($0) }), step >= 0 else {
      throw FileError(path, "is not a checkpoint of glow train")
    }
    for (name, slab) in slabs(state) {
      for entry in state.glow.parameters.entries {
        let full = "\(name).\(entry.name)"
        guard let found = file[full] else { throw FileError(path, "has no entry \(full)") }
        if found.shape != entry.shape {
          throw FileError(path, "\(full) has shape \(found.shape), expected \(entry.shape)")
        }
        let values = try file.values(full, as: Float.self)
        values.withUnsafeBufferPointer {
          (slab.base + entry.offset).update(from: $0.baseAddress!, count: entry.count)
        }
      }
    }
    state.step = step
    try state.glow.parametersChanged()
  }
}
