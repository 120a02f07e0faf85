import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import Testing

@testable import GlowTraining

/// A run folder that an earlier version wrote: 8 steps on 200 of the built-in faces, reduced to 4×4. It holds the checkpoint of
/// step 4 and the model of step 8.
struct EarlierRun: CustomTestStringConvertible {
  let version: String
  /// Of the first 16 held-out faces, without noise, as the version's `glow evaluate` gave it.
  let bitsPerDimension: Double

  var path: String { Bundle.module.bundleURL.appending(path: "Fixtures/\(version)").path }
  var testDescription: String { version }

  static let all = [
    EarlierRun(version: "0.1", bitsPerDimension: 6.984939385725161),
    EarlierRun(version: "0.2", bitsPerDimension: 6.97514599648188),
  ]
}

@Suite("Files of earlier versions")
struct EarlierVersionTests {
  private let runs = Runs()

  private func faces(_ part: DataPart, count: Int) throws -> any Dataset {
    var options = DataOptions()
    options.imageSize = 4
    options.limit = count
    return try DataSource.open("faces", part: part, options: options).dataset
  }

  @Test("a model scores as it did", arguments: EarlierRun.all)
  func scores(run: EarlierRun) throws {
    let glow = try ModelFile.read(run.path, as: Float.self, team: ThreadTeam(count: 1)).glow
    let score = try Scorer(glow, batch: 16).score(faces(.test, count: 16), dequantization: .none)
    #expect(abs(score.bitsPerDimension - run.bitsPerDimension) < 1e-5)
  }

  @Test("the weights of a checkpoint can be read", arguments: EarlierRun.all)
  func checkpoint(run: EarlierRun) throws {
    for weights in TrainedWeights.allCases {
      let read = try TrainedWeights.read(
        RunFolder(run.path).checkpoint(4), weights, team: ThreadTeam(count: 1))
      #expect(read.metadata["glow.step"] == "4" && read.metadata["glow.weights"] == weights.rawValue)
    }
    #expect(try TrainedWeights.read(run.path, .raw, team: ThreadTeam(count: 1)).glow.isInitialized)
  }

  @Test("a run goes on, and ends as it did", arguments: EarlierRun.all)
  func goesOn(run: EarlierRun) throws {
    defer { runs.remove() }
    try FileManager.default.createDirectory(atPath: runs.root, withIntermediateDirectories: true)
    let folder = RunFolder("\(runs.root)/run")
    try FileManager.default.copyItem(atPath: run.path, toPath: folder.path)
    let former = try ModelFile.read(folder.model, as: Float.self, team: ThreadTeam(count: 1)).glow
    let found = try RunConfiguration.resumed(in: folder) { Issue.record("\($0)") }
    let resumed = try #require(found)
    #expect(resumed.isOfCheckpoint)
    let listener = Listener()
    let trainer = try Trainer(
      resumed.configuration,
      glow: Glow(configuration: resumed.configuration.model, seed: 1, team: ThreadTeam(count: 1)),
      train: faces(.train, count: 200), test: nil, folder: folder, progress: listener)
    try trainer.resume()
    #expect(trainer.step == 4 && listener.heard("resumed at step 4"))
    #expect(try trainer.run() == .finished)
    #expect(trainer.step == 8 && trainer.badSteps == 0)
    let (ended, metadata) = try ModelFile.read(folder.model, as: Float.self, team: ThreadTeam(count: 1))
    #expect(metadata["glow.release"] == Release.version)
    let difference = zip(ended.values.values, former.values.values).map { abs($0 - $1) }.max() ?? .infinity
    #expect(difference < 1e-3, "\(difference)")
  }
}
