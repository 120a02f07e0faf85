import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels

@testable import GlowTraining

/// Remembers what a trainer tells, and can meddle between its steps.
final class Listener: ProgressReport {
  private(set) var notes: [String] = []
  var afterStep: (Int) -> Void = { _ in }

  func step(_ progress: TrainingProgress) { afterStep(progress.step) }
  func note(_ message: String) { notes.append(message) }
  func heard(_ text: String) -> Bool { notes.contains { $0.contains(text) } }
}

/// Small runs on the built-in faces in a temporary folder.
struct Runs {
  let root = FileManager.default.temporaryDirectory.appending(path: "glow-runs-\(UUID())").path

  func remove() { try? FileManager.default.removeItem(atPath: root) }

  func trainer(
    _ name: String, steps: Int, threads: Int = 2, listener: Listener = Listener(),
    train: any Dataset = FaceDataset(count: 50, seed: 0, part: .train),
    test: any Dataset = FaceDataset(count: 8, seed: 0, part: .test),
    change: (inout RunConfiguration) -> Void = { _ in }
  ) throws -> Trainer {
    var model = GlowConfiguration()
    model.levels = 2
    model.depth = 2
    model.width = 8
    var training = TrainingConfiguration()
    training.batch = 8
    training.steps = steps
    training.warmupEpochs = 0
    training.initializationImages = 16
    training.averageDecay = 0.9
    training.logEvery = 5
    training.checkpointEvery = 10
    var configuration = RunConfiguration(data: "faces", model: model, training: training)
    change(&configuration)
    return try Trainer(
      configuration,
      glow: Glow(configuration: configuration.model, seed: 0, team: ThreadTeam(count: threads)),
      train: train, test: test, folder: RunFolder("\(root)/\(name)"), progress: listener)
  }

  func bytes(_ path: String) throws -> [UInt8] { try MappedFile(path).withBytes { Array($0) } }

  func metrics(_ run: Trainer) throws -> [[String: Double]] {
    try String(contentsOfFile: run.folder.metrics, encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode([String: Double].self, from: Data($0.utf8))
    }
  }
}
