import Foundation
import GlowStorage
import GlowTestSupport
import Testing

@testable import GlowCommand

@Suite("The manual")
struct ManualTests {
  @Test("there is a page for glow and for each of its commands, with every option that has help")
  func pages() throws {
    let pages = try Dictionary(uniqueKeysWithValues: Manual.pages())
    let commands = GlowCommand.configuration.subcommands.map { $0.configuration }
    let shown = commands.filter { $0.shouldDisplay }.compactMap(\.commandName)
    #expect(Set(pages.keys) == Set(["glow"] + shown.map { "glow-\($0)" }))
    let glow = try #require(pages["glow"])
    #expect(glow.hasPrefix(".TH GLOW 1 \"\" \"glow \(Release.version)\""))
    for name in shown { #expect(glow.contains("glow\\-\(name)\\fR(1)"), "\(name)") }
    let train = try #require(pages["glow-train"])
    #expect(train.contains("\\fBglow train\\fR \\fB\\-\\-out\\fR \\fIout\\fR [\\fIoptions\\fR]"))
    for part in [".SH MODEL OPTIONS", "\\fB\\-\\-no\\-guards\\fR", "One of: adamax, adam, muon."] {
      #expect(train.contains(part), "\(part)")
    }
  }

  @Test("no line is a request that the text did not mean, and none has a bare hyphen")
  func escapes() throws {
    let requests: Set = [
      ".TH", ".SH", ".TP", ".PP", ".B", ".I", ".BR", ".RI", ".nf", ".fi",
    ]
    for page in try Manual.pages() {
      for line in page.text.split(separator: "\n") {
        if line.hasPrefix(".") {
          #expect(requests.contains(String(line.prefix { $0 != " " })), "\(page.name): \(line)")
        }
        if !line.hasPrefix(".TH") {
          #expect(!line.contains(/[^\\]-/), "\(page.name): \(line)")
        }
      }
    }
  }

  @Test("the command writes them into a folder, and the version is the library's")
  func command() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "glow-manual-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #expect(try ChildProcess.run(ChildProcess.glow, ["manual", folder]).end() == 0)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    #expect(Set(names) == Set(try Manual.pages().map { "\($0.name).1" }))
    #expect(try ChildProcess.run(ChildProcess.glow, ["--version"]).output == "\(Release.version)\n")
  }
}
