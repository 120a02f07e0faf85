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
    .timeLimit(.minutes(1)))
  func specialFiles() {
    let pipe = FileManager.default.temporaryDirectory.appending(path: "glow-pipe-\(UUID())").path
    #expect(mkfifo(pipe, 0o600) == 0)
    defer { unlink(pipe) }
    for path in [pipe, "/dev/zero", "/"] {
      #expect(throws: FileError(path, "is not a regular file")) { try MappedFile(path) }
    }
  }
}
