import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import Testing

@testable import GlowTraining

@Suite("Training with a learned dequantization")
struct VariationalTests {
  private let runs = Runs()

  private func trainer(
    _ name: String, steps: Int, threads: Int = 2, change: (inout RunConfiguration) -> Void = { _ in }
  ) throws -> Trainer {
    try runs.trainer(name, steps: steps, threads: threads) {
      $0.model.dequantizerWidth = 8
      $0.training.dequantization = .variational
      $0.training.evaluateEvery = 10
      change(&$0)
    }
  }

  @Test("1, 2 and 3 threads, and a run that was stopped, write the same bytes")
  func same() throws {
    defer { runs.remove() }
    let whole = try trainer("one", steps: 23, threads: 1)
    #expect(try whole.run() == .finished)
    for threads in [2, 3] {
      let other = try trainer("\(threads)", steps: 23, threads: threads)
      _ = try other.run()
      #expect(try runs.bytes(whole.folder.model) == runs.bytes(other.folder.model))
      #expect(try runs.bytes(whole.folder.checkpoint(23)) == runs.bytes(other.folder.checkpoint(23)))
    }
    _ = try trainer("parts", steps: 9).run()
    let second = try trainer("parts", steps: 23)
    try second.resume()
    _ = try second.run()
    #expect(try runs.bytes(whole.folder.model) == runs.bytes(second.folder.model))
    #expect(
      try runs.metrics(whole).compactMap { $0["loss"] } == runs.metrics(second).compactMap { $0["loss"] })
    // All that has been learned is in the file.
    let read = try ModelFile.read(whole.folder.model, as: Float.self, team: ThreadTeam(count: 1)).glow
    #expect(read.configuration == whole.configuration.model)
    #expect(Array(read.values.values) == Array(whole.evaluated.values.values))
    let learned = read.parameters.entries.filter { $0.name.hasPrefix("dequantizer.coupling.conv3") }
    #expect(learned.count == 3 && learned.allSatisfy { $0.range.contains { read.values.base[$0] != 0 } })
  }

  @Test("scores by part add up, whatever the batch, and those of many draws come together with either noise")
  func scores() throws {
    defer { runs.remove() }
    let run = try trainer("run", steps: 30)
    _ = try run.run()
    let faces = FaceDataset(count: 6, seed: 0, part: .test)
    func scores(_ kind: DequantizationKind, draws: Int = 1, batch: Int = 8) throws -> [ImageScore] {
      var settings = ScoringSettings()
      (settings.dequantization, settings.importanceSamples) = (kind, draws)
      var result: [ImageScore] = []
      try Scorer(run.evaluated, batch: batch).score(faces, settings) { result.append(try $0.result.get()) }
      return result
    }
    let learned = try scores(.variational)
    #expect(try scores(.variational, batch: 1) == learned && scores(.variational, batch: 5) == learned)
    for score in learned {
      let parts = score.likelihood
      let sum =
        parts.dequantizationConstant + parts.logDeterminants.reduce(0, +) + parts.priors.reduce(0, +)
        + parts.dequantizer!
      #expect(parts.dequantizer != 0 && abs(sum - parts.nats) < 1e-9 * abs(sum))
    }
    #expect(try scores(.uniform).allSatisfy { $0.likelihood.dequantizer == 0 })
    for (one, other) in zip(try scores(.variational, draws: 64), try scores(.uniform, draws: 64)) {
      #expect(abs(one.bitsPerDimension - other.bitsPerDimension) < 0.01)
    }
    // The score of the model is that of its own noise.
    let image = try faces.image(0)
    #expect(try Scorer(run.evaluated, batch: 1).score(image) == learned[0].likelihood)
  }

  @Test("images come back from their latents, with whatever noise")
  func reconstruction() throws {
    defer { runs.remove() }
    let run = try trainer("run", steps: 20)
    _ = try run.run()
    let faces = FaceDataset(count: 6, seed: 0, part: .test)
    let scorer = try Scorer(run.evaluated, batch: 4)
    for kind in DequantizationKind.allCases {
      let result = try scorer.reconstruct(faces, dequantization: kind)
      // A value whose noise is next to 0 may come back on the other side of its cell's end.
      let isEqual = result.equal == 6 || kind != .none && result.equal >= 3
      #expect(result.images == 6 && isEqual && result.largestError < 0.01, "\(kind): \(result)")
    }
    var latents: [Float] = []
    try scorer.encode(faces, dequantization: .variational) { latents += $1 }
    let decoded = try latents.withUnsafeBufferPointer {
      try Sampler(run.evaluated, batch: 4).decode($0, toNearest: false)
    }
    for (index, image) in decoded.enumerated() {
      let pixels = try faces.image(index).pixels
      let differences = zip(image.pixels, pixels).map { abs(Int($0) - Int($1)) }.filter { $0 > 0 }
      #expect(differences.count < 5 && differences.allSatisfy { $0 == 1 })
    }
    #expect(try Sampler(run.evaluated, batch: 4).sample(count: 3, temperature: 0.7, seed: 1).count == 3)
  }

  @Test("noise that the model has not learned, or has learned in vain, is refused")
  func refused() throws {
    defer { runs.remove() }
    let message = #expect(throws: TrainingError.self) {
      try trainer("run", steps: 1) { $0.training.dequantization = .uniform }
    }
    #expect("\(message!)" == "a model with a dequantizer cannot be trained with uniform dequantization")
    #expect(throws: TrainingError.self) { try trainer("run", steps: 1) { $0.model.dequantizerWidth = 0 } }
    let plain = try Scorer(randomModel(), batch: 1)
    #expect(throws: ConfigurationError.self) {
      try plain.score(FaceDataset(count: 1, seed: 0, part: .test), dequantization: .variational)
    }
  }
}
