import Foundation
import GlowFiles
import GlowFlow

/// The files of one training run.
///
/// `config.json`, `metrics.jsonl`, `checkpoint-STEP.safetensors`, `model.safetensors`, `samples/STEP.png`.
public struct RunFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  var configuration: String { "\(path)/config.json" }
  var metrics: String { "\(path)/metrics.jsonl" }
  public var model: String { "\(path)/model.safetensors" }
  func checkpoint(_ step: Int) -> String { "\(path)/checkpoint-\(padded(step)).safetensors" }
  func samples(_ step: Int) -> String { "\(path)/samples/\(padded(step)).png" }

  private func padded(_ step: Int) -> String { String(format: "%08d", step) }

  /// True if a run has already written here.
  public var isInUse: Bool { FileManager.default.fileExists(atPath: configuration) }

  /// Makes the folder, and removes what an interrupted write has left in it.
  ///
  /// - Throws: `FileError`.
  func create() throws {
    do {
      try FileManager.default.createDirectory(atPath: "\(path)/samples", withIntermediateDirectories: true)
    } catch { throw FileError(path, "cannot make this folder: \(error.localizedDescription)") }
    AtomicFile.removeLeftovers(in: path)
    AtomicFile.removeLeftovers(in: "\(path)/samples")
  }

  /// Steps of the checkpoints that are there, oldest first.
  func checkpointSteps() -> [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.compactMap { name in
      guard name.hasPrefix("checkpoint-"), name.hasSuffix(".safetensors") else { return nil }
      return Int(name.dropFirst("checkpoint-".count).dropLast(".safetensors".count))
    }.sorted()
  }
}

/// `config.json`: every resolved setting of a run.
public struct RunConfiguration: Codable, Sendable, Hashable {
  public var data: String
  public var model: GlowConfiguration
  public var training: TrainingConfiguration

  public init(data: String, model: GlowConfiguration, training: TrainingConfiguration) {
    self.data = data
    self.model = model
    self.training = training
  }

  /// The settings of the run in a folder, if there is one.
  public static func read(in folder: RunFolder) throws -> RunConfiguration? {
    guard folder.isInUse else { return nil }
    let bytes = try MappedFile(folder.configuration).withBytes { Data($0) }
    do {
      let found = try JSONDecoder().decode(RunConfiguration.self, from: bytes)
      try found.model.validate()
      try found.training.validate()
      return found
    } catch let error as ConfigurationError {
      throw FileError(folder.configuration, "\(error)")
    } catch {
      throw FileError(folder.configuration, "is not the configuration of a run")
    }
  }

  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(String(decoding: try encoder.encode(self), as: UTF8.self) + "\n", to: path)
  }
}
