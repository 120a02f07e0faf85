import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import Testing

@testable import GlowTraining

private struct Silence: ProgressReport {
  func step(_ progress: TrainingProgress) {}
  func note(_ message: String) {}
}

@Suite("Training")
struct TrainerTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-training-\(UUID())").path

  private func trainer(
    _ name: String, steps: Int, threads: Int = 2, change: (inout RunConfiguration) -> Void = { _ in }
  ) throws -> Trainer {
    var model = GlowConfiguration()
    model.levels = 2
    model.depth = 2
    model.width = 16
    var training = TrainingConfiguration()
    training.batch = 8
    training.steps = steps
    training.flips = true
    training.initialisationImages = 32
    training.averageDecay = 0.9
    training.evaluateEvery = 25
    training.sampleEvery = 25
    training.checkpointEvery = 10
    var configuration = RunConfiguration(data: "faces", model: model, training: training)
    change(&configuration)
    let faces = { FaceDataset(count: $1, seed: 0, part: $0) }
    return try Trainer(
      configuration,
      glow: Glow(configuration: configuration.model, seed: 0, team: ThreadTeam(count: threads)),
      train: faces(.train, 100), test: faces(.test, 16), folder: RunFolder("\(root)/\(name)"),
      progress: Silence())
  }

  private func bytes(_ path: String) throws -> [UInt8] { try MappedFile(path).withBytes { Array($0) } }

  @Test("1 and 2 threads write byte-identical models and checkpoints")
  func threads() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let one = try trainer("one", steps: 50, threads: 1)
    let two = try trainer("two", steps: 50, threads: 2)
    #expect(try one.run() == .finished && two.run() == .finished)
    #expect(try bytes(one.folder.model) == bytes(two.folder.model))
    #expect(try bytes(one.folder.checkpoint(50)) == bytes(two.folder.checkpoint(50)))
    #expect(try bytes(one.folder.samples(50)) == bytes(two.folder.samples(50)))
    #expect(one.folder.checkpointSteps() == [40, 50])
  }

  @Test(
    "a resumed run, in the middle of an epoch, ends as the one that was never stopped", arguments: [7, 20])
  func resume(stop: Int) throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let whole = try trainer("whole", steps: 30)
    _ = try whole.run()
    let first = try trainer("parts", steps: stop)
    _ = try first.run()
    let second = try trainer("parts", steps: 30)
    try second.resume()
    #expect(second.step == stop)
    _ = try second.run()
    #expect(try bytes(whole.folder.model) == bytes(second.folder.model))
    func losses(_ run: Trainer) throws -> [Double] {
      try metrics(run.folder).compactMap { $0["loss"] as? Double }
    }
    #expect(try losses(second) == losses(whole) && losses(whole).count == 3)
  }

  @Test("a damaged newest checkpoint is passed over; without any the run starts")
  func damage() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let first = try trainer("run", steps: 20)
    _ = try first.run()
    var damaged = try bytes(first.folder.checkpoint(20))
    damaged[damaged.count - 100] ^= 1
    try AtomicFile.write(damaged, to: first.folder.checkpoint(20))
    let second = try trainer("run", steps: 30)
    try second.resume()
    #expect(second.step == 10)
    let none = try trainer("none", steps: 1)
    try none.resume()
    #expect(none.step == 0)
  }

  @Test("bits/dim falls, and what is logged is the loss")
  func learning() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let run = try trainer("run", steps: 150) {
      $0.training.learningRate = 3e-3
      $0.training.evaluateEvery = 150
    }
    _ = try run.run()
    let lines = try metrics(run.folder)
    let bits = lines.compactMap { $0["train_bits_per_dim"] as? Double }
    print("bits/dim of batches: first \(bits.first!), last \(bits.last!)")
    #expect(bits.last! < bits.first! - 1)
    let last = try #require(lines.last?["test_bits_per_dim"] as? Double)
    let score = try Scorer(
      try ModelFile.read(run.folder.path, as: Float.self, team: ThreadTeam()).glow, batch: 5
    )
    .score(FaceDataset(count: 16, seed: 0, part: .test))
    #expect(score.bitsPerDimension == last)
  }

  private func metrics(_ folder: RunFolder) throws -> [[String: Any]] {
    try String(contentsOfFile: folder.metrics, encoding: .utf8).split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  @Test("a torn last line of the metrics, and lines of steps that will be done again, are dropped")
  func tornMetrics() throws {
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: root) }
    let path = "\(root)/metrics.jsonl"
    try AtomicFile.write("{\"step\":10}\n{\"step\":30}\n{\"step\":2", to: path)
    let log = try MetricsLog(path, after: 20)
    try log.append(Metrics(step: 21, images: 0, epoch: 0, seconds: 0))
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 2 && lines[0] == "{\"step\":10}" && lines[1].contains("\"step\":21"))
  }

  @Test("a model that is not finite from the start ends the run after a while, unchanged")
  func notFinite() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let run = try trainer("run", steps: 100)
    run.glow.values.base[run.glow.parameters["level0.split.conv.bias"]!.offset] = .infinity
    run.glow.isInitialised = true
    try run.glow.parametersChanged()
    let before = Array(run.glow.values.values)
    #expect(throws: TrainingError.self) { try run.run() }
    #expect(zip(before, run.glow.values.values).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) })
  }
}
