import Foundation
import GlowFiles
import GlowFlow
import GlowStorage

/// The files of one training run.
///
/// `config.json`, `metrics.jsonl`, `checkpoint-STEP.safetensors`, `model.safetensors`, `best.safetensors` (the model
/// of the evaluation with the lowest test bits/dim), `samples/STEP.png`,
/// `tensorboard/events.out.tfevents.…`.
package struct RunFolder: Sendable {
  package let path: String

  package init(_ path: String) { self.path = path }

  var configuration: String { "\(path)/config.json" }
  var metrics: String { "\(path)/metrics.jsonl" }
  package var model: String { "\(path)/model.safetensors" }
  package var best: String { "\(path)/best.safetensors" }
  var events: String { "\(path)/\(Self.eventsName)" }
  /// Whether the run has written event files.
  package var hasEvents: Bool { EventFile.exist(in: events) }
  func checkpoint(_ step: Int) -> String { "\(path)/checkpoint-\(padded(step)).safetensors" }
  func samples(_ step: Int) -> String { "\(path)/\(Self.samplesName)/\(padded(step)).png" }

  private func padded(_ step: Int) -> String { String(format: "%08d", step) }

  /// The configuration of the run that a model is of; nil if it is of none.
  ///
  /// - Parameter path: the run's folder, or a file in it.
  package static func configuration(ofModel path: String) -> RunConfiguration? {
    let folder = Folder.isFolder(path) ? path : URL(filePath: path).deletingLastPathComponent().path
    return (try? RunConfiguration.read(in: RunFolder(folder))) ?? nil
  }

  /// Whether a name in a run folder is that of a file of the run.
  package static func owns(_ name: String) -> Bool {
    let run = RunFolder(".")
    return [run.configuration, run.metrics, run.model, run.best].contains("./\(name)")
      || step(ofCheckpoint: name) != nil
  }

  private static func step(ofCheckpoint name: String) -> Int? {
    let (start, end) = ("checkpoint-", ".safetensors")
    guard name.hasPrefix(start), name.hasSuffix(end), name.count > start.count + end.count else { return nil }
    return Int(name.dropFirst(start.count).dropLast(end.count))
  }

  /// What lies here besides what every start makes, in order.
  ///
  /// - Throws: `FileError`.
  package func contents() throws -> [String] {
    if !Folder.isFolder(path) { return [] }
    return try Folder.contents(path).filter { name in
      name != FolderLock.fileName
        && !(name == Self.samplesName && (try? Folder.contents("\(path)/\(name)")) == [])
    }.sorted()
  }

  /// Those of a run.
  package func ownContents() throws -> [String] {
    try contents().filter { RunFolder.owns($0) || $0 == Self.samplesName || $0 == Self.eventsName }
  }

  /// Removes what a run has written here, but nothing else. What others have put among its samples and event files stays.
  ///
  /// - Throws: `FileError`, if no run is here or another process is training here, too.
  package func clear() throws {
    guard Folder.isFolder(path) else { return }
    let own = try ownContents()
    if own.isEmpty { return }
    let holdsRun =
      ((try? RunConfiguration.read(in: self)) ?? nil) != nil
      || checkpointSteps().contains { (try? Checkpoint.configuration(checkpoint($0))) != nil }
    if !holdsRun {
      throw FileError(
        path, "holds no run that could be told by its config.json or a checkpoint: remove it yourself")
    }
    let lock = try create()
    try withExtendedLifetime(lock) {
      for name in own where name != Self.samplesName && name != Self.eventsName {
        try remove("\(path)/\(name)")
      }
      let samples = "\(path)/\(Self.samplesName)"
      for name in try Folder.contents(samples) where name.hasSuffix(".png") && Int(name.dropLast(4)) != nil {
        try remove("\(samples)/\(name)")
      }
      if Folder.isFolder(events) {
        for name in try Folder.contents(events) where EventFile.isName(name) {
          try remove("\(events)/\(name)")
        }
        rmdir(events)
      }
    }
  }

  private func remove(_ file: String) throws {
    if unlink(file) != 0 { throw FileError.system(file, "cannot remove") }
  }

  private static let samplesName = "samples"
  private static let eventsName = "tensorboard"

  /// True if a run has already written here.
  package var isInUse: Bool { hasConfiguration || !checkpointSteps().isEmpty }
  fileprivate var hasConfiguration: Bool { FileManager.default.fileExists(atPath: configuration) }

  /// Makes the folder, and removes what an interrupted write has left in it.
  ///
  /// - Returns: the lock that keeps other processes out.
  /// - Throws: `FileError`, if another process is training here, too.
  func create() throws -> FolderLock {
    try Folder.make("\(path)/samples")
    guard let lock = try FolderLock(path) else {
      throw FileError(path, "another process is training in this folder")
    }
    AtomicFile.removeLeftovers(in: path)
    AtomicFile.removeLeftovers(in: "\(path)/samples")
    return lock
  }

  /// Where `best.safetensors` keeps its test bits/dim.
  static let bestKey = "glow.test_bits_per_dim"

  /// The digest of the images that they are of.
  static let bestImagesKey = "glow.test_digest"

  /// The test bits/dim of `best.safetensors`, their step, and the digest of the images if it is known; nil if there is no
  /// file that is whole.
  func bestEvaluation() -> (bitsPerDimension: Double, step: Int, images: String?)? {
    guard let file = try? SafetensorsFile(best), (try? file.checkSums(isComplete: true)) != nil else {
      return nil
    }
    guard let bits = file.metadata[RunFolder.bestKey].flatMap({ Double($0) }),
      let step = file.metadata[Checkpoint.stepKey].flatMap({ Int($0) })
    else { return nil }
    return (bits, step, file.metadata[RunFolder.bestImagesKey])
  }

  /// Steps of the checkpoints that are there, oldest first.
  func checkpointSteps() -> [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.compactMap { RunFolder.step(ofCheckpoint: $0) }.sorted()
  }
}

/// `config.json`: every resolved setting of a run.
package struct RunConfiguration: Codable, Sendable, Hashable {
  package var data: String
  /// Nil in the configuration of an earlier version, as are the digests.
  package var images: ImageSettings?
  /// Where the held-out images are, if not in `data`.
  package var test: String?
  /// Of the training images.
  package var dataDigest: String?
  /// Of the held-out images, if there are any.
  package var testDigest: String?
  package var model: GlowConfiguration
  package var training: TrainingConfiguration
  /// Images of the training part; nil in the configuration of an earlier version.
  package var imageCount: Int?
  /// Nothing but the speed depends on it.
  package var threads: Int?
  /// The model whose weights the run started from.
  package var initFrom: String?

  package init(
    data: String, images: ImageSettings? = nil, dataDigest: String? = nil, model: GlowConfiguration,
    training: TrainingConfiguration, imageCount: Int? = nil, threads: Int? = nil, initFrom: String? = nil
  ) {
    self.data = data
    self.images = images
    self.dataDigest = dataDigest
    self.model = model
    self.training = training
    self.imageCount = imageCount
    self.threads = threads
    self.initFrom = initFrom
  }

  /// The settings besides the model's in which a run goes on differently, each with both values.
  package func changes(to new: RunConfiguration) -> [String] {
    var pairs: [(name: String, old: Any, new: Any)] = [
      ("data", data, new.data), ("test", test ?? "none", new.test ?? "none"),
    ]
    if let images, let others = new.images {
      for (old, new) in zip(Mirror(reflecting: images).children, Mirror(reflecting: others).children) {
        pairs.append((old.label ?? "", shown(old.value), shown(new.value)))
      }
    }
    if let imageCount, let count = new.imageCount { pairs.append(("imageCount", imageCount, count)) }
    if let threads, let count = new.threads { pairs.append(("threads", threads, count)) }
    for (old, new) in zip(Mirror(reflecting: training).children, Mirror(reflecting: new.training).children) {
      pairs.append((old.label ?? "", shown(old.value), shown(new.value)))
    }
    pairs.append(("initFrom", initFrom ?? "none", new.initFrom ?? "none"))
    let changes = pairs.compactMap { name, old, new in
      "\(old)" == "\(new)" ? nil : "\(name) was \(old), is now \(new)"
    }
    let digests = [("training", dataDigest, new.dataDigest), ("held-out", testDigest, new.testDigest)]
    return changes
      + digests.compactMap { name, old, new in
        guard let old, let new, old != new else { return nil }
        return "the \(name) images are not those that the run began with"
      }
  }

  /// An optional without the word for it.
  private func shown(_ value: Any) -> Any {
    let mirror = Mirror(reflecting: value)
    return mirror.displayStyle == .optional ? mirror.children.first?.value ?? "none" : value
  }

  /// The settings of the run in a folder, if there is one, as `config.json` has them.
  ///
  /// - Throws: `FileError`.
  package static func read(in folder: RunFolder) throws -> RunConfiguration? {
    guard folder.hasConfiguration else { return nil }
    let bytes = try MappedFile(folder.configuration).withBytes { Data($0) }
    return try decode(bytes, path: folder.configuration)
  }

  /// The settings that a run in a folder is to go on from: those of its newest checkpoint that can be read, which
  /// also stand in for a `config.json` that is missing or damaged; without any checkpoint those of `config.json`.
  ///
  /// - Parameter note: is told where the two do not agree.
  /// - Returns: nil if there is no run; and whether the settings are a checkpoint's.
  /// - Throws: `FileError` if there is no checkpoint and `config.json` is damaged.
  package static func resumed(
    in folder: RunFolder, note: (String) -> Void
  ) throws -> (configuration: RunConfiguration, isOfCheckpoint: Bool)? {
    let stated = Result { try read(in: folder) }
    var kept: (Int, RunConfiguration)?
    // Not a lazy sequence, which would read the file twice: another process may remove it in between.
    for step in folder.checkpointSteps().reversed() where kept == nil {
      kept = (try? Checkpoint.configuration(folder.checkpoint(step))).map { (step, $0) }
    }
    guard let (step, configuration) = kept else { return try stated.get().map { ($0, false) } }
    var resumed = configuration
    let source = "the settings of \(folder.checkpoint(step)) are used"
    do {
      if let stated = try stated.get() {
        // A checkpoint does not say it.
        resumed.threads = stated.threads
        if stated.model != resumed.model {
          note("\(folder.configuration): describes another model than the checkpoint: \(source)")
        }
      } else {
        note("\(folder.configuration): is missing: \(source)")
      }
    } catch { note("\(error): \(source)") }
    return (resumed, true)
  }

  /// Settings as version 0.1 spelled them.
  private static let formerNames = [
    "optimiser": "optimizer", "dequantisation": "dequantization",
    "initialisationImages": "initializationImages",
  ]

  /// Settings that an earlier version did not have stand at their defaults.
  ///
  /// - Throws: `FileError` for the file at `path`.
  static func decode(_ bytes: Data, path: String) throws -> RunConfiguration {
    do {
      let defaults = try JSONEncoder().encode(TrainingConfiguration())
      guard var found = try JSONSerialization.jsonObject(with: bytes) as? [String: Any],
        let training = found["training"] as? [String: Any],
        let known = try JSONSerialization.jsonObject(with: defaults) as? [String: Any]
      else { throw FileError(path, "") }
      found["training"] = known.merging(training.map { (RunConfiguration.formerNames[$0] ?? $0, $1) }) { $1 }
      let result = try JSONDecoder().decode(
        RunConfiguration.self, from: try JSONSerialization.data(withJSONObject: found))
      try result.model.validate()
      try result.training.validate()
      return result
    } catch let error as ConfigurationError {
      throw FileError(path, "\(error)")
    } catch {
      throw FileError(path, "is not the configuration of a run")
    }
  }

  func write(to path: String) throws { try AtomicFile.write(text() + "\n", to: path) }

  /// As JSON.
  func text() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}
