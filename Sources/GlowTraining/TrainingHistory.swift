import Foundation
import GlowFiles

/// What `metrics.jsonl` tells of a run: each quantity against the images seen and the time used by then.
package struct TrainingHistory: Sendable {
  package struct Value: Sendable, Hashable {
    package let images: Int
    package let seconds: Double
    package let value: Double
  }

  package private(set) var trainBitsPerDimension: [Value] = []
  /// The loss of models that normalize by the batch, which have no bits/dim of a batch.
  package private(set) var batchLoss: [Value] = []
  /// With the weights that are evaluated.
  package private(set) var testBitsPerDimension: [Value] = []
  package private(set) var learningRate: [Value] = []
  package private(set) var imagesPerSecond: [Value] = []

  /// Reads the metrics of a run, which may be going on: a torn last line is passed over.
  ///
  /// - Throws: `FileError` if there are none, or with the number of a line that holds none.
  package init(_ folder: RunFolder) throws {
    let bytes = try MappedFile(folder.metrics).withBytes { Array($0) }
    let newline = UInt8(ascii: "\n")
    var lines = bytes.split(separator: newline, omittingEmptySubsequences: false)
    // Behind the last newline stands nothing, or what is being written.
    lines.removeLast()
    if lines.isEmpty { throw FileError(folder.metrics, "holds no metrics yet") }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    // Before version 0.3 a run that went on counted its seconds anew.
    var (latest, before) = (0.0, 0.0)
    for (index, line) in lines.enumerated() {
      do {
        var metrics = try decoder.decode(Metrics.self, from: Data(line))
        if metrics.seconds < latest { before += latest }
        latest = metrics.seconds
        metrics.seconds += before
        add(metrics)
      } catch {
        throw FileError(folder.metrics, "line \(index + 1) is not a line of metrics")
      }
    }
  }

  private mutating func add(_ metrics: Metrics) {
    func value(_ number: Double?) -> [Value] {
      number.map { [Value(images: metrics.images, seconds: metrics.seconds, value: $0)] } ?? []
    }
    trainBitsPerDimension += value(metrics.trainBitsPerDim)
    if metrics.trainBitsPerDim == nil { batchLoss += value(metrics.loss) }
    testBitsPerDimension += value(metrics.testBitsPerDim)
    learningRate += value(metrics.learningRate)
    imagesPerSecond += value(metrics.imagesPerSecond)
  }
}

extension RunFolder {
  /// The sample grids that are there, oldest first.
  package func sampleGrids() -> [(step: Int, path: String)] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/samples")) ?? []
    return names.compactMap { name in
      guard name.hasSuffix(".png"), let step = Int(name.dropLast(".png".count)), step >= 0 else { return nil }
      return (step, "\(path)/samples/\(name)")
    }.sorted { $0.step < $1.step }
  }
}
