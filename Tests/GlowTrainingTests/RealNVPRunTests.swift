import GlowFlow
import GlowImages
import GlowStorage
import Testing

@testable import GlowTraining

@Suite("Runs of a RealNVP")
struct RealNVPRunTests {
  private let runs = Runs()

  private func trainer(
    _ name: String, steps: Int, threads: Int = 2, decay: Double = 0.9, _ normalization: FlowNormalization
  ) throws -> Trainer {
    try runs.trainer(name, steps: steps, threads: threads) {
      $0.model.architecture = .realNVP
      $0.model.flowNormalization = normalization
      ($0.model.levels, $0.model.blocks, $0.model.width) = (2, 1, 4)
      $0.training.optimizer = .adam
      $0.training.averageDecay = decay
      $0.training.checkpointEvery = 3
    }
  }

  private func expectSame(_ one: Trainer, _ other: Trainer) throws {
    #expect(try runs.bytes(one.folder.model) == runs.bytes(other.folder.model))
    #expect(
      try runs.bytes(one.folder.checkpoint(one.step)) == runs.bytes(other.folder.checkpoint(other.step)))
  }

  @Test(
    "one that stops and goes on, and one with other threads, come to the same bytes",
    arguments: FlowNormalization.allCases)
  func continuation(normalization: FlowNormalization) throws {
    defer { runs.remove() }
    let whole = try trainer("whole", steps: 6, normalization)
    #expect(try whole.run() == .finished)
    _ = try trainer("parts", steps: 3, normalization).run()
    let second = try trainer("parts", steps: 6, threads: 3, normalization)
    try second.resume()
    #expect(second.step == 3)
    #expect(try second.run() == .finished)
    try expectSame(whole, second)
  }

  @Test(
    "the statistics follow the batches, and the average has its own", arguments: FlowNormalization.allCases)
  func statistics(normalization: FlowNormalization) throws {
    defer { runs.remove() }
    let run = try trainer("run", steps: 4, normalization)
    _ = try run.run()
    let variances = run.glow.parameters.entries.filter { $0.name.hasSuffix("running_var") }
    // Ten couplings of four normalizations each, and their own.
    #expect(variances.count == (normalization == .batch ? 50 : 40))
    var differ = false
    for index in variances.flatMap(\.range) {
      let (present, average) = (run.glow.values.values[index], run.evaluated.values.values[index])
      #expect(present > 0 && present != 1 && average > 0)
      differ = differ || present != average
    }
    #expect(differ)
    // The model file holds the average's.
    let read = try ModelFile.read(run.folder.path, as: Float.self).glow
    #expect(read.configuration == run.glow.configuration)
    #expect(Array(read.values.values) == Array(run.evaluated.values.values))
    let raw = try trainer("raw", steps: 4, decay: 0, normalization)
    _ = try raw.run()
    #expect(Array(raw.evaluated.values.values) == Array(raw.glow.values.values))
  }

  @Test("a step that is not taken leaves the statistics as they were")
  func badStep() throws {
    defer { runs.remove() }
    let listener = Listener()
    let run = try runs.trainer("run", steps: 3, listener: listener) {
      $0.model.architecture = .realNVP
      ($0.model.levels, $0.model.blocks, $0.model.width) = (1, 1, 4)
    }
    let name = "scale0.checkerboard0.in_norm.running_var"
    let range = run.glow.parameters[name]!.range
    // After the first step a weight is made useless, so that no later one can be taken.
    listener.afterStep = { _ in
      let bias = run.glow.parameters["scale0.checkerboard0.out_conv.bias"]!.range
      for index in bias { run.glow.values.values[index] = .nan }
    }
    _ = try? run.run()
    #expect(listener.heard("step"))
    #expect(range.allSatisfy { run.glow.values.values[$0].isFinite })
  }
}
