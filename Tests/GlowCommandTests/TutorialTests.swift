import Foundation
import GlowTestSupport
import Testing

@Suite("The tutorial")
struct TutorialTests {
  /// What stands between the fences of a document.
  private func commands(_ document: String) throws -> String {
    let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/\(document)")
    let parts = try String(contentsOf: path, encoding: .utf8).components(separatedBy: "```\n")
    return parts.enumerated().filter { $0.offset % 2 == 1 }.map(\.element).joined()
  }

  @Test("its commands do what it says")
  func runs() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "glow-tutorial-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let path = URL(filePath: ChildProcess.glow).deletingLastPathComponent().path
    let script = "set -eu\nPATH='\(path)':$PATH\n" + (try commands("tutorial.md"))
    let child = try ChildProcess.run("/bin/sh", ["-c", script], in: folder)
    #expect(child.status == 0, "\(child.error)")
    #expect(child.output.contains("images: 400 images of 32×32×3\nall 400 images can be read\n"))
    #expect(child.output.contains("20 of 20 images are foreign by complexity"))
    for name in ["curves.png", "samples.png", "scores.jsonl", "detection/complexity.png"] {
      #expect(FileManager.default.fileExists(atPath: "\(folder)/\(name)"), "\(name)")
    }
    let complexity = try #require(child.output.firstMatch(of: /complexity +([0-9.]+)/)?.output.1)
    #expect(try #require(Double(complexity)) > 0.95)
  }
}
