import Foundation
import GlowFiles
import GlowFlow
import GlowKernels
import GlowStorage

/// Everything that a training run needs to go on: weights, their average, the optimizer's moments, how far it has
/// come, and what its guards remember. Data order and noise follow from the step.
///
/// The state to go back to is the present one in a checkpoint that training writes on schedule; where it is not,
/// because a signal came, it is in the file too.
enum Checkpoint {
  private static let formatKey = "format"
  static let format = "glow-checkpoint"
  static let stepKey = "glow.step"
  private static let configurationKey = "glow.run"
  private static let safeguardKey = "glow.safeguard"
  private static let evaluationsKey = "glow.evaluations"
  private static let kernelsKey = "glow.kernels"
  /// In files from the time when all products were OpenBLAS's: the processor whose kernels it had chosen.
  private static let coreKey = "glow.openblas_core"
  private static let goodStepKey = "glow.good_step"
  private static let goodPrefix = "good_"

  /// - Parameter metadata: what else to keep in the file.
  static func write(
    _ state: TrainingState, _ configuration: RunConfiguration, metadata: [String: String] = [:],
    to path: String
  ) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    func text(_ value: some Encodable) throws -> String {
      String(decoding: try encoder.encode(value), as: UTF8.self)
    }
    var configuration = configuration
    // The bytes of a checkpoint do not depend on the number of threads.
    configuration.threads = nil
    let own = [
      formatKey: format, stepKey: String(state.step), configurationKey: try text(configuration),
      safeguardKey: try text(state.safeguard), evaluationsKey: try text(state.evaluations),
      kernelsKey: state.glow.kernels.identity, ModelFile.releaseKey: Release.version,
    ]
    var metadata = metadata.merging(own) { $1 }
    var slabs = state.slabs
    if let good = state.good {
      metadata[goodStepKey] = String(good.step)
      if good.step != state.step {
        slabs += zip(state.slabs, good.slabs).map { (goodPrefix + $0.name, $1) }
      }
    }
    var writer = SafetensorsWriter(metadata: metadata)
    for (name, slab) in slabs {
      for entry in state.glow.parameters.entries {
        writer.add(
          "\(name).\(entry.name)", shape: entry.shape,
          values: UnsafePointer(slab.base + entry.offset))
      }
    }
    try withExtendedLifetime(slabs) { try writer.write(to: path) }
  }

  /// The settings of the run that wrote a checkpoint. Of its checksums, only the header's is looked at.
  ///
  /// - Throws: `FileError`.
  static func configuration(_ path: String) throws -> RunConfiguration {
    let file = try SafetensorsFile(path)
    try file.checkHeader(isComplete: !isUnguarded(file))
    guard let text = file.metadata[configurationKey] else {
      throw FileError(path, "is not a checkpoint of glow train")
    }
    return try RunConfiguration.decode(Data(text.utf8), path: path)
  }

  /// Looks at all checksums of a checkpoint.
  ///
  /// - Throws: `FileError` naming the entry that is damaged.
  static func checkSums(_ file: SafetensorsFile) throws { try file.checkSums(isComplete: !isUnguarded(file)) }

  /// Whether version 0.1 wrote a checkpoint, which had neither guards nor a checksum of the header.
  private static func isUnguarded(_ file: SafetensorsFile) -> Bool {
    file.metadata[formatKey] == format && file.metadata[safeguardKey] == nil
  }

  /// Restores `state`, whose model has the checkpoint's configuration. Weights of which no model can be made give
  /// way to the state to go back to, if the file has one.
  ///
  /// - Returns: what made the run's products (`ProductKernels.identity`), if the file says it.
  /// - Throws: `FileError` naming the entry that is missing, damaged or of another shape.
  @discardableResult
  static func read(_ path: String, into state: TrainingState) throws -> String? {
    let file = try SafetensorsFile(path)
    func number(_ key: String) -> Int? {
      file.metadata[key].flatMap { Int($0) }.flatMap { (0...1_000_000_000_000).contains($0) ? $0 : nil }
    }
    guard let step = number(stepKey),
      let safeguard = isUnguarded(file)
        ? Safeguard()
        : file.metadata[safeguardKey].flatMap({
          try? JSONDecoder().decode(Safeguard.self, from: Data($0.utf8))
        })
    else { throw FileError(path, "is not a checkpoint of glow train") }
    try checkSums(file)
    state.forgetGood()
    for (name, slab) in state.slabs { try read(slab, name, file, state.glow.parameters) }
    state.step = step
    state.safeguard = safeguard
    // Absent in the checkpoints of an earlier version.
    state.evaluations =
      file.metadata[evaluationsKey].flatMap {
        try? JSONDecoder().decode(EvaluationHistory.self, from: Data($0.utf8))
      } ?? EvaluationHistory()
    if let good = number(goodStepKey) {
      if good == step {
        try state.keepAsGood()
      } else {
        for (slab, name) in zip(try state.goodSlabs(step: good), state.slabs.map(\.name)) {
          try read(slab, goodPrefix + name, file, state.glow.parameters)
        }
      }
    }
    do {
      do { try state.glow.parametersChanged() } catch is SingularMapError
        where state.good.map({ $0.step != step }) ?? false
      {
        try state.rollBack()
      }
    } catch let error as SingularMapError { throw FileError(path, "\(error)") }
    return file.metadata[kernelsKey] ?? file.metadata[coreKey].map(ProductKernels.openBLAS(core:))
  }

  private static func read(
    _ slab: Slab<Float>, _ name: String, _ file: SafetensorsFile, _ parameters: ParameterList
  ) throws {
    for entry in parameters.entries {
      let full = "\(name).\(entry.name)"
      let found = try file.entry(full)
      if found.shape != entry.shape {
        throw FileError(file.path, "\(full) has shape \(found.shape), expected \(entry.shape)")
      }
      let values = try file.values(full, as: Float.self)
      values.withUnsafeBufferPointer {
        (slab.base + entry.offset).update(from: $0.baseAddress!, count: entry.count)
      }
    }
  }
}
