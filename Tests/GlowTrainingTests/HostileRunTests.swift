import Foundation
import GlowFiles
import GlowFlow
import GlowTestSupport
import Testing

@testable import GlowTraining

@Suite("Hostile run folders")
struct HostileRunTests {
  private final class Folder: Sendable {
    let path = FileManager.default.temporaryDirectory.appending(path: "glow-run-\(UUID())").path
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  private let folder: Folder
  private var run: RunFolder { RunFolder(folder.path) }

  init() throws { folder = try Folder() }

  private func bytes(_ path: String) throws -> [UInt8] { try MappedFile(path).withBytes { Array($0) } }

  @Test("changed configurations")
  func configuration() throws {
    let configuration = RunConfiguration(
      data: "faces", model: GlowConfiguration(), training: TrainingConfiguration())
    try configuration.write(to: run.configuration)
    let outcome = readHostileFiles(like: [try bytes(run.configuration)], count: 1000) { file in
      try overwrite(run.configuration, with: file)
      let found = try #require(try RunConfiguration.read(in: run))
      try found.model.validate()
      try found.training.validate()
    }
    #expect(outcome.wrong == [])
    #expect(outcome.accepted > 0 && outcome.refused > 100, "\(outcome)")
  }

  @Test("a configuration whose numbers no run can have is refused with the setting's name")
  func claims() throws {
    let configuration = RunConfiguration(
      data: "faces", model: GlowConfiguration(), training: TrainingConfiguration())
    try configuration.write(to: run.configuration)
    let text = String(decoding: try bytes(run.configuration), as: UTF8.self)
    let cases = [
      ("depth", "9223372036854775807", "depth must be 1 to 1024, not 9223372036854775807"),
      ("imageHeight", "1000000", "images must have sides of 1 to 16384 pixels, not 1000000×32"),
      ("batch", "9223372036854775807", "batch must be"),
      ("steps", "9223372036854775807", "steps must be 0 to 10¹², not 9223372036854775807"),
      ("initializationImages", "9223372036854775807", "initializationImages must be 1 to 1000000"),
      ("learningRate", "-1", "learningRate must be positive"),
      ("batch", "99999999999999999999", "is not the configuration of a run"),
    ]
    for (name, value, reason) in cases {
      let changed = text.replacing(try Regex("\"\(name)\" : [0-9.]+"), with: "\"\(name)\" : \(value)")
      #expect(changed != text)
      try AtomicFile.write(changed, to: run.configuration)
      let error = try #require(throws: FileError.self) { try RunConfiguration.read(in: run) }
      #expect(error.path == run.configuration && error.reason.hasPrefix(reason), "\(error)")
    }
    try AtomicFile.write(String(repeating: "[", count: 1_000_000), to: run.configuration)
    #expect(throws: FileError.self) { try RunConfiguration.read(in: run) }
  }

  @Test("changed logs keep whole lines alone")
  func metrics() throws {
    let log = try MetricsLog(run.metrics, after: 0)
    for step in 0..<4 {
      try log.append(Metrics(step: step, images: 8 * step, epoch: 0.5, loss: 1, seconds: 2))
    }
    let outcome = readHostileFiles(like: [try bytes(run.metrics)], count: 200) { file in
      try overwrite(run.metrics, with: file)
      _ = try MetricsLog(run.metrics, after: 10)
      for line in try bytes(run.metrics).split(separator: UInt8(ascii: "\n")) {
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line)) }
      }
      #expect(try bytes(run.metrics).last ?? UInt8(ascii: "\n") == UInt8(ascii: "\n"))
    }
    #expect(outcome.wrong == [] && outcome.accepted == 200)
  }
}
