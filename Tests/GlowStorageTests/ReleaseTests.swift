import Foundation
import GlowStorage
import Testing

@Suite("The version")
struct ReleaseTests {
  private func text(_ name: String) throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
    return try String(contentsOf: root.appending(path: name), encoding: .utf8)
  }

  @Test("the citation and the newest entry of the changelog are of this version")
  func agree() throws {
    #expect(try text("CITATION.cff").contains("\nversion: \(Release.version)\n"))
    let newest = try text("CHANGELOG.md").split(separator: "\n").first { $0.hasPrefix("## ") }
    #expect(newest?.hasPrefix("## \(Release.version),") == true)
  }
}
