import Foundation
import GlowFiles
import GlowFlow
import GlowStorage

/// The files of one training run.
///
/// `config.json`, `metrics.jsonl`, `checkpoint-STEP.safetensors`, `model.safetensors`, `best.safetensors` (the model
/// of the evaluation with the lowest test bits/dim), `samples/STEP.png`,
/// `tensorboard/events.out.tfevents.…`.
public struct RunFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  var configuration: String { "\(path)/config.json" }
  var metrics: String { "\(path)/metrics.jsonl" }
  public var model: String { "\(path)/model.safetensors" }
  public var best: String { "\(path)/best.safetensors" }
  var events: String { "\(path)/tensorboard" }
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

  /// Where `best.safetensors` keeps its test bits/dim.
  static let bestKey = "glow.test_bits_per_dim"

  /// The test bits/dim of `best.safetensors`; nil if there is none that is whole.
  func bestBitsPerDimension() -> Double? {
    guard let file = try? SafetensorsFile(best), (try? file.checkSums(isComplete: true)) != nil else {
      return nil
    }
    return file.metadata[RunFolder.bestKey].flatMap { Double($0) }
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
  /// Images of the training part; nil in the configuration of an earlier version.
  public var imageCount: Int?
  /// Nothing but the speed depends on it.
  public var threads: Int?

  public init(
    data: String, model: GlowConfiguration, training: TrainingConfiguration, imageCount: Int? = nil,
    threads: Int? = nil
  ) {
    self.data = data
    self.model = model
    self.training = training
    self.imageCount = imageCount
    self.threads = threads
  }

  /// The settings besides the model's in which a run goes on differently, each with both values.
  public func changes(to new: RunConfiguration) -> [String] {
    var pairs: [(name: String, old: Any, new: Any)] = [("data", data, new.data)]
    if let imageCount, let count = new.imageCount { pairs.append(("imageCount", imageCount, count)) }
    if let threads, let count = new.threads { pairs.append(("threads", threads, count)) }
    for (old, new) in zip(Mirror(reflecting: training).children, Mirror(reflecting: new.training).children) {
      pairs.append((old.label ?? "", old.value, new.value))
    }
    return pairs.compactMap { name, old, new in
      "\(old)" == "\(new)" ? nil : "\(name) was \(old), is now \(new)"
    }
  }

  /// The settings of the run in a folder, if there is one. Settings that an earlier version did not have stand at
  /// their defaults.
  public static func read(in folder: RunFolder) throws -> RunConfiguration? {
    guard folder.isInUse else { return nil }
    let bytes = try MappedFile(folder.configuration).withBytes { Data($0) }
    do {
      let defaults = try JSONEncoder().encode(TrainingConfiguration())
      guard var found = try JSONSerialization.jsonObject(with: bytes) as? [String: Any],
        let training = found["training"] as? [String: Any],
        let known = try JSONSerialization.jsonObject(with: defaults) as? [String: Any]
      else { throw FileError(folder.configuration, "") }
      found["training"] = known.merging(training) { $1 }
      let result = try JSONDecoder().decode(
        RunConfiguration.self, from: try JSONSerialization.data(withJSONObject: found))
      try result.model.validate()
      try result.training.validate()
      return result
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
