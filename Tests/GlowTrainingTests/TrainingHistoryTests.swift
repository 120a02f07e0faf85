import Foundation
import GlowFiles
import Testing

@testable import GlowTraining

@Suite("The history of a run")
struct TrainingHistoryTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-history-\(UUID())").path

  private func history(_ text: String) throws -> TrainingHistory {
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: root) }
    try AtomicFile.write(text, to: "\(root)/metrics.jsonl")
    return try TrainingHistory(RunFolder(root))
  }

  private let step =
    #"{"step":5,"images":40,"epoch":0.5,"seconds":1,"train_bits_per_dim":6.5,"learning_rate":0.001,"images_per_second":80}"#
  private let evaluation =
    #"{"step":5,"images":40,"epoch":0.5,"seconds":1,"test_bits_per_dim":6.25,"later":[1]}"#

  @Test("each quantity has its own values; a line that is being written is passed over")
  func values() throws {
    for torn in ["", "{\"step\":6,\"ima", "{}"] {
      let history = try history("\(step)\n\(evaluation)\n\(torn)")
      #expect(history.trainBitsPerDimension == [.init(images: 40, seconds: 1, value: 6.5)])
      #expect(history.testBitsPerDimension == [.init(images: 40, seconds: 1, value: 6.25)])
      #expect(history.learningRate == [.init(images: 40, seconds: 1, value: 0.001)])
      #expect(history.imagesPerSecond == [.init(images: 40, seconds: 1, value: 80)])
    }
  }

  @Test("a loss without bits/dim is that of a batch's statistics; beside bits/dim it is not told")
  func batchLoss() throws {
    let begin = #"{"step":5,"images":40,"epoch":0.5,"seconds":1,"loss":7,"#
    let history = try history(begin + "\"learning_rate\":1}\n" + begin + "\"train_bits_per_dim\":6.5}\n")
    #expect(history.batchLoss == [.init(images: 40, seconds: 1, value: 7)])
    #expect(history.trainBitsPerDimension == [.init(images: 40, seconds: 1, value: 6.5)])
  }

  @Test("where seconds begin anew, as they did before version 0.3, they are those of a run that went on")
  func seconds() throws {
    let lines = [3.0, 5, 1, 4, 2, 2].map { step.replacing("\"seconds\":1", with: "\"seconds\":\($0)") + "\n" }
    #expect(try history(lines.joined()).learningRate.map(\.seconds) == [3, 5, 6, 9, 11, 11])
  }

  @Test("no metrics, and lines that are none, are said")
  func errors() throws {
    let path = "\(root)/metrics.jsonl"
    for empty in ["", step] {
      #expect(throws: FileError(path, "holds no metrics yet")) { try history(empty) }
    }
    for bad in ["", "{}", "[1]", "{\"step\":1e99}", "\u{0}"] {
      #expect(throws: FileError(path, "line 2 is not a line of metrics")) {
        try history("\(step)\n\(bad)\n\(evaluation)\n")
      }
    }
    let error = #expect(throws: FileError.self) { try TrainingHistory(RunFolder(root)) }
    #expect(error?.path == path)
  }
}
