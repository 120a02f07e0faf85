import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import GlowTraining

/// Everything that a run comes to, as bytes: Float, Double or UInt8 as they stand in memory.
///
/// All of it is had by way of the trainer, its files, the scorer and the sampler, not from the model, whose inside may
/// change.
struct GoldenResults {
  /// By name.
  private(set) var files: [String: Data] = [:]
  private let run: GoldenRun
  private let folder: RunFolder
  private let team: ThreadTeam
  private let held: Pictures

  /// - Parameter folder: a folder that does not exist.
  init(_ run: GoldenRun, _ team: ThreadTeam, folder: String) throws {
    self.run = run
    self.folder = RunFolder(folder)
    self.team = team
    held = Pictures(
      ImageShape(run.model), classCount: run.model.classCount, count: 7, part: .test)
    try train()
    try readCheckpoint()
    try readMetrics()
    let (glow, _) = try ModelFile.read(folder, as: Float.self, team: team)
    try score(glow)
    try sample(glow)
  }

  private mutating func add<Value: BitwiseCopyable>(_ name: String, _ values: [Value]) {
    files[name] = values.withUnsafeBytes { Data($0) }
  }

  private func train() throws {
    let listener = Listener()
    for steps in [run.pause, run.training.steps].compactMap({ $0 }) {
      var configuration = RunConfiguration(data: "faces", model: run.model, training: run.training)
      configuration.training.steps = steps
      let trainer = try Trainer(
        configuration, glow: Glow(configuration: run.model, seed: 1, team: team),
        train: Pictures(ImageShape(run.model), classCount: run.model.classCount, count: 50, part: .train),
        test: held, folder: folder, progress: listener)
      if run.pause != nil && steps != run.pause { try trainer.resume() }
      guard try trainer.run() == .finished else { throw GoldenError("\(run.name): was interrupted") }
    }
    if run.rollsBack != listener.notes.contains(where: { $0.contains("back to the state of step") }) {
      throw GoldenError("\(run.name): \(run.rollsBack ? "never went" : "went") back to an earlier state")
    }
  }

  /// Weights, average and moments, each in the order of the model's parameters.
  private mutating func readCheckpoint() throws {
    let name = String(format: "checkpoint-%08d.safetensors", run.training.steps)
    let file = try SafetensorsFile("\(folder.path)/\(name)")
    for slab in ["value", "average", "first_moment", "second_moment"] {
      let entries = file.entries.filter { $0.name.hasPrefix("\(slab).") }
      if entries.isEmpty { throw GoldenError("\(run.name): its checkpoint has no \(slab)") }
      add(slab, try entries.flatMap { try file.values($0.name, as: Float.self) })
    }
  }

  private mutating func readMetrics() throws {
    let lines = try String(contentsOfFile: "\(folder.path)/metrics.jsonl", encoding: .utf8).split(
      separator: "\n")
    let names = [
      "step", "loss", "gradient_norm", "largest_condition", "test_bits_per_dim", "test_bits_per_dim_raw",
    ]
    let metrics = try lines.flatMap { line in
      let fields = try JSONDecoder().decode([String: Double].self, from: Data(line.utf8))
      return names.compactMap { fields[$0] }
    }
    add("metrics", metrics)
  }

  /// The parts of the log-likelihoods, latents, and how far from each picture its latents decode. That is measured
  /// before it is rounded to a byte, so many of these errors together tell a last bit of decoding that samples hide.
  private mutating func score(_ glow: Glow<Float>) throws {
    let scorer = try Scorer(glow, batch: 5)
    var settings = ScoringSettings()
    settings.importanceSamples = 2
    settings.dequantization = glow.configuration.dequantization
    var parts: [Double] = []
    try scorer.score(held, settings) { record in
      let score = try record.result.get()
      let likelihood = score.likelihood
      parts += [likelihood.dequantizationConstant, score.importanceGain]
      parts += likelihood.logDeterminants + likelihood.priors
      if let dequantizer = likelihood.dequantizer { parts.append(dequantizer) }
      if let bits = likelihood.classifierBits { parts.append(bits) }
    }
    add("scores", parts)
    var latents: [Float] = []
    try scorer.encode(held, dequantization: settings.dequantization) { latents += $1 }
    add("latents", latents)
    var errors = [try scorer.reconstruct(held).largestError]
    for index in 0..<held.count {
      let picture = ImageArray([try held.image(index)], label: held.label(index))
      for seed in UInt64(0)..<8 {
        errors.append(
          try scorer.reconstruct(picture, dequantization: .uniform, seed: seed).largestError)
      }
    }
    add("decoding_errors", errors)
  }

  private mutating func sample(_ glow: Glow<Float>) throws {
    let images = try Sampler(glow, batch: 4).sample(
      count: 6, temperature: 0.7, seed: 3, labels: Array(0..<max(1, run.model.classCount)))
    add("samples", images.flatMap(\.pixels))
  }

  private final class Listener: ProgressReport {
    private(set) var notes: [String] = []
    func step(_ progress: TrainingProgress) {}
    func note(_ message: String) { notes.append(message) }
  }
}

struct GoldenError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
