import Foundation
import GlowImages
import GlowTestSupport
import Testing

/// What the tests of the command share.
extension CommandTests {
  /// Runs a line of the shell, in which `$GLOW` is the command.
  func shell(_ line: String) throws -> ChildProcess {
    let child = try ChildProcess.run("/bin/bash", ["-c", "GLOW='\(ChildProcess.glow)'; \(line)"], in: root)
    #expect(!child.wasKilled, "\(line) crashed")
    return child
  }

  /// Options of a model that is trained in a moment.
  static let tiny =
    "--levels 1 --depth 1 --width 8 --batch 4 --init-images 4 --steps 1 --threads 1 --sample-every 0"

  /// A model in `run`.
  func train(_ more: String = "", out: String = "run") throws {
    let outcome = try shell("$GLOW train --data faces --limit 8 --out \(out) \(Self.tiny) \(more)")
    #expect(outcome.status == 0, "\(outcome.error)")
  }

  /// What is in a folder.
  func names(_ folder: String = ".") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)").sorted()
  }

  func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: "\(root)/\(name)")) }

  /// A folder of class folders, four faces each.
  func writeImages(_ folder: String, _ classes: [String]) throws {
    for (place, name) in classes.enumerated() {
      for number in 0..<4 {
        let image = try FaceDataset(count: 1000, seed: 0, part: .train).image(10 * place + number)
        try write("\(folder)/\(name)/\(number).png", PNG.encode(image))
      }
    }
  }
}
