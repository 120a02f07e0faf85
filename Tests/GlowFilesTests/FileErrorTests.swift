import Foundation
import Glibc
import GlowFiles
import Testing

@Suite("Errors of files")
struct FileErrorTests {
  @Test("whatever stood in the file, the message is one line without control characters")
  func oneLine() {
    #expect(FileError("a", "is damaged").description == "a: is damaged")
    #expect(FileError("a\nb", "c\u{1B}[2Jd\u{202E}").description == #"a\nb: c\u{1B}[2Jd\u{202E}"#)
    #expect(FileError("a", "Größe 3×3, „x“").description == "a: Größe 3×3, „x“")
  }

  @Test("a long path, such as a name in an archive, lacks its middle")
  func longPath() {
    let error = FileError("a.zip/" + String(repeating: "\u{7}", count: 4000) + "/z.png#3", "is damaged")
    #expect(
      error.description.hasPrefix("a.zip/\\u{07}") && error.description.hasSuffix("/z.png#3: is damaged"))
    #expect(error.description.unicodeScalars.count == 400 + ": is damaged".count)
    let path = String(repeating: "a", count: 400)
    #expect(FileError(path, "b").description == "\(path): b")
  }

  @Test("a long reason is cut")
  func longReason() {
    #expect(
      FileError("a", String(repeating: "x", count: 501)).description
        == "a: \(String(repeating: "x", count: 500))…")
    #expect(FileError("a", String(repeating: "x", count: 500)).description.hasSuffix("x"))
    // The limit is one of what is shown: escapes are longer than what they stand for.
    #expect(FileError("a", String(repeating: "\u{1}", count: 500)).description.count < 510)
  }

  @Test(
    "what is no regular file is refused, and a named pipe does not keep the reader waiting",
    // Tests beside it may have all threads for minutes.
    .timeLimit(.minutes(15)))
  func specialFiles() {
    let pipe = FileManager.default.temporaryDirectory.appending(path: "glow-pipe-\(UUID())").path
    #expect(mkfifo(pipe, 0o600) == 0)
    defer { unlink(pipe) }
    for path in [pipe, "/dev/zero", "/"] {
      #expect(throws: FileError(path, "is not a regular file")) { try MappedFile(path) }
    }
  }
}
