import Foundation

@testable import GlowFiles
@testable import GlowFlow
@testable import GlowImages
@testable import GlowStorage
@testable import GlowTraining

let runTargets = [
  Target(
    name: "config",
    seeds: {
      let folder = RunFolder(scratch.path)
      try run.configuration.write(to: "\(folder.path)/config.json")
      return [try MappedFile("\(folder.path)/config.json").withBytes { Array($0) }]
    },
    read: { bytes in
      scratch.write(bytes, as: "config.json")
      if let read = try RunConfiguration.read(in: RunFolder(scratch.path)) {
        try read.model.validate()
        try read.training.validate()
      }
    }),
  Target(
    name: "metrics",
    seeds: {
      try [0, 3].map { lines in
        try scratch.bytes { path in
          let log = try MetricsLog(path, after: 0)
          for step in 0..<lines {
            try log.append(Metrics(step: step, images: 8, epoch: 0.5, loss: 1, seconds: 2))
          }
        }
      }
    },
    read: { bytes in _ = try MetricsLog(scratch.write(bytes, as: "metrics.jsonl"), after: 2) }),
  Target(
    name: "checkpoint", maximumLength: 32768,
    seeds: {
      let folder = RunFolder("\(scratch.path)/run")
      let trainer = try makeTrainer(folder)
      _ = try trainer.run()
      let name = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        .first { $0.hasPrefix("checkpoint") }!
      return withoutChecksums(try MappedFile("\(folder.path)/\(name)").withBytes { Array($0) })
    },
    repair: repairHeaderLength,
    read: { bytes in
      // Written anew, because a checkpoint whose checksums do not agree is not looked at.
      let file = try SafetensorsFile(scratch.write(bytes, as: "made"))
      var writer = SafetensorsWriter(metadata: file.metadata)
      for entry in file.entries where entry.name != "__metadata__" {
        writer.add(entry.name, shape: entry.shape, values: try file.values(entry.name, as: Float.self))
      }
      try writer.write(to: "\(scratch.path)/checkpoint-00000001.safetensors")
      try run.resume()
    }),
]

/// A run of one step in the folder of the inputs.
nonisolated(unsafe) private let run = try! makeTrainer(RunFolder(scratch.path))

private func makeTrainer(_ folder: RunFolder) throws -> Trainer {
  var training = TrainingConfiguration()
  (training.batch, training.steps, training.initializationImages) = (1, 1, 1)
  let glow = try smallGlow { $0.levels = 1 }
  let shape = ImageShape(height: 4, width: 4, channels: 1)
  let images = ImageArray([ByteImage(shape: shape, pixels: [UInt8](0..<16))])
  return try Trainer(
    RunConfiguration(data: "images", model: glow.configuration, training: training), glow: glow,
    train: images, test: nil, folder: folder, progress: Silence())
}

private struct Silence: ProgressReport {
  func step(_ progress: TrainingProgress) {}
  func work(_ done: Int, of count: Int, _ things: String) {}
  func note(_ message: String) {}
}
