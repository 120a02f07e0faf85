import Foundation
import GlowTestSupport
import Testing

@Suite("Installing")
struct InstallTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: "glow-install-\(UUID())").path
  private let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").path

  private func sh(_ script: String, _ arguments: String...) throws -> ChildProcess {
    try ChildProcess.run("/bin/sh", ["Packaging/\(script)"] + arguments, in: root)
  }

  private func files() throws -> Set<String> {
    let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    return Set(
      names.filter {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: "\(folder)/\($0)", isDirectory: &isFolder)
          && !isFolder.boolValue
      })
  }

  @Test("what is installed is removed again, and nothing else")
  func installs() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let foreign = "usr/share/man/man1/glow-worm.1"
    try FileManager.default.createDirectory(
      atPath: "\(folder)/usr/share/man/man1", withIntermediateDirectories: true)
    #expect(FileManager.default.createFile(atPath: "\(folder)/\(foreign)", contents: nil))
    // Twice: an installation may be renewed.
    for _ in 0..<2 {
      let child = try sh("install.sh", ChildProcess.glow, "/usr", folder)
      #expect(child.status == 0, "\(child.error)")
    }
    let found = try files()
    for name in [
      "bin/glow", "share/man/man1/glow.1", "share/man/man1/glow-train.1", "share/doc/glow/LICENSE",
      "share/bash-completion/completions/glow", "share/zsh/site-functions/_glow",
      "share/fish/vendor_completions.d/glow.fish",
    ] { #expect(found.contains("usr/\(name)"), "\(name)") }
    #expect(FileManager.default.isExecutableFile(atPath: "\(folder)/usr/bin/glow"))
    #expect(try sh("uninstall.sh", "/usr", folder).status == 0)
    #expect(try files() == [foreign])
    let again = try sh("uninstall.sh", "/usr", folder)
    #expect(again.status == 1 && again.error.contains("glow is not installed here"))
  }

  @Test("charts are written in the font that stands beside the command, where one does")
  func font() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for name in ["bin", "share/glow/fonts"] {
      try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
    let glow = "\(folder)/bin/glow"
    // By a process of its own: a child that another test starts just then would inherit a file that is open for writing, and
    // what somebody writes to cannot be executed.
    #expect(try ChildProcess.run("/bin/cp", [ChildProcess.glow, glow], in: folder).status == 0)
    func chart(_ name: String) throws -> Data {
      let child = try ChildProcess.run(
        glow, ["sheet", "run", "--data", "faces", "--limit", "8", "--out", name], in: folder)
      #expect(child.status == 0, "\(child.error)")
      return try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
    }
    let training = try ChildProcess.run(
      glow,
      [
        "train", "--data", "faces", "--out", "run", "--steps", "1", "--limit", "8", "--levels", "1",
        "--depth", "1",
        "--width", "4", "--batch", "4",
      ], in: folder)
    #expect(training.status == 0, "\(training.error)")
    let before = try chart("before.png")
    #expect(try chart("same.png") == before)
    // No font at all, which a text cannot hide.
    try FileManager.default.copyItem(
      atPath: "\(root)/Packaging/fonts.conf", toPath: "\(folder)/share/glow/fonts.conf")
    #expect(try chart("after.png") != before)
  }
}
