import Foundation
import Glibc
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import Testing

@testable import GlowTraining

@Suite("Training")
struct TrainerTests {
  private let runs = Runs()
  private var root: String { runs.root }

  private func trainer(
    _ name: String, steps: Int, threads: Int = 2, change: (inout RunConfiguration) -> Void = { _ in }
  ) throws -> Trainer {
    try runs.trainer(
      name, steps: steps, threads: threads, train: FaceDataset(count: 100, seed: 0, part: .train),
      test: FaceDataset(count: 16, seed: 0, part: .test)
    ) { configuration in
      configuration.model.width = 16
      configuration.training.warmupEpochs = TrainingConfiguration().warmupEpochs
      configuration.training.flips = true
      configuration.training.initializationImages = 32
      configuration.training.logEvery = TrainingConfiguration().logEvery
      configuration.training.evaluateEvery = 25
      configuration.training.sampleEvery = 25
      change(&configuration)
    }
  }

  @Test("1 and 2 threads write byte-identical models and checkpoints")
  func threads() throws {
    defer { runs.remove() }
    let one = try trainer("one", steps: 50, threads: 1)
    let two = try trainer("two", steps: 50, threads: 2)
    #expect(try one.run() == .finished && two.run() == .finished)
    #expect(try runs.bytes(one.folder.model) == runs.bytes(two.folder.model))
    #expect(try runs.bytes(one.folder.checkpoint(50)) == runs.bytes(two.folder.checkpoint(50)))
    #expect(try runs.bytes(one.folder.samples(50)) == runs.bytes(two.folder.samples(50)))
    #expect(one.folder.checkpointSteps() == [40, 50])
  }

  @Test(
    "a resumed run, in the middle of an epoch, ends as the one that was never stopped", arguments: [7, 20])
  func resume(stop: Int) throws {
    defer { runs.remove() }
    let whole = try trainer("whole", steps: 30)
    _ = try whole.run()
    let first = try trainer("parts", steps: stop)
    _ = try first.run()
    let second = try trainer("parts", steps: 30)
    try second.resume()
    #expect(second.step == stop)
    _ = try second.run()
    #expect(try runs.bytes(whole.folder.model) == runs.bytes(second.folder.model))
    func losses(_ run: Trainer) throws -> [Double] {
      try metrics(run.folder).compactMap { $0["loss"] as? Double }
    }
    #expect(try losses(second) == losses(whole) && losses(whole).count == 3)
  }

  @Test("weight decay changes the filters, and what it comes to depends on neither threads nor stops")
  func weightDecay() throws {
    defer { runs.remove() }
    func trainer(_ name: String, steps: Int = 14, threads: Int = 2, decay: Double = 2) throws -> Trainer {
      try self.trainer(name, steps: steps, threads: threads) { $0.training.weightDecay = decay }
    }
    let whole = try trainer("whole")
    _ = try whole.run()
    _ = try trainer("parts", steps: 5).run()
    let second = try trainer("parts", threads: 1)
    try second.resume()
    _ = try second.run()
    let none = try trainer("none", decay: 0)
    _ = try none.run()
    func checkpoint(_ run: Trainer) throws -> [UInt8] { try runs.bytes(run.folder.checkpoint(14)) }
    #expect(try checkpoint(second) == checkpoint(whole))
    #expect(try checkpoint(none) != checkpoint(whole))
    // An update takes them rate·2 nearer to zero, and the others nowhere.
    func norm(_ run: Trainer, _ role: ParameterEntry.Role) -> Double {
      run.glow.parameters.ranges(of: role).joined().reduce(0) {
        $0 + Double(abs(run.glow.values.base[$1]))
      }
    }
    #expect(norm(whole, .decayed) < 0.995 * norm(none, .decayed))
    #expect(abs(norm(whole, .learned) / norm(none, .learned) - 1) < 1e-3)
  }

  @Test(
    "a run whose rate falls ends in the same bytes, however it was stopped: in the warm-up and after it",
    arguments: [RateSchedule.cosine, .linear, .exponential], [3, 17])
  func fallingRate(schedule: RateSchedule, stop: Int) throws {
    defer { runs.remove() }
    func trainer(_ name: String) throws -> Trainer {
      try self.trainer(name, steps: 25) {
        $0.training.schedule = schedule
        $0.training.finalRate = 0.05
        $0.training.warmupSteps = 6
        $0.training.averageImages = 100
      }
    }
    let whole = try trainer("whole")
    _ = try whole.run()
    let first = try trainer("parts")
    first.interruption = { first.step >= stop ? SIGTERM : nil }
    #expect(try first.run() == .interrupted(signal: SIGTERM))
    let second = try trainer("parts")
    try second.resume()
    #expect(second.step == stop)
    #expect(try second.run() == .finished)
    #expect(try runs.bytes(whole.folder.model) == runs.bytes(second.folder.model))
    #expect(try runs.bytes(whole.folder.checkpoint(25)) == runs.bytes(second.folder.checkpoint(25)))
  }

  @Test("a damaged newest checkpoint is passed over; without any the run starts")
  func damage() throws {
    defer { runs.remove() }
    let first = try trainer("run", steps: 20)
    _ = try first.run()
    var damaged = try runs.bytes(first.folder.checkpoint(20))
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
    defer { runs.remove() }
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
    defer { runs.remove() }
    let path = "\(root)/metrics.jsonl"
    try AtomicFile.write("{\"step\":10}\n{\"step\":30}\n{\"step\":2", to: path)
    let log = try MetricsLog(path, after: 20)
    try log.append(Metrics(step: 21, images: 0, epoch: 0, seconds: 0))
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 2 && lines[0] == "{\"step\":10}" && lines[1].contains("\"step\":21"))
  }

  @Test("a model that is not finite from the start ends the run after a while, unchanged")
  func notFinite() throws {
    defer { runs.remove() }
    let run = try trainer("run", steps: 100)
    run.glow.values.base[run.glow.parameters["level0.split.conv.bias"]!.offset] = .infinity
    run.glow.isInitialized = true
    try run.glow.parametersChanged()
    let before = Array(run.glow.values.values)
    #expect(throws: TrainingError.self) { try run.run() }
    #expect(zip(before, run.glow.values.values).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) })
  }
}
