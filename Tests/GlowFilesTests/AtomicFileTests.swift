import Foundation
import GlowFiles
import Testing

@Suite("Files")
struct AtomicFileTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: "glow-files-\(UUID())").path

  init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }

  @Test("what is written is read back, and replaced as a whole")
  func roundTrip() throws {
    let path = "\(folder)/a"
    try AtomicFile.write("first", to: path)
    try AtomicFile.write("second", to: path)
    #expect(try MappedFile(path).withBytes { String(decoding: $0, as: UTF8.self) } == "second")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])
  }

  @Test("a failed write names the path and leaves nothing behind")
  func failure() throws {
    let path = "\(folder)/missing/a"
    #expect(throws: FileError(path, "cannot write: No such file or directory")) {
      try AtomicFile.write("x", to: path)
    }
    // A folder cannot be replaced by a file: the rename fails after everything was written.
    let taken = "\(folder)/taken"
    try FileManager.default.createDirectory(atPath: taken, withIntermediateDirectories: true)
    #expect(throws: FileError.self) { try AtomicFile.write("x", to: taken) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["taken"])
  }

  @Test("a file written piece by piece appears as a whole, or not at all")
  func pieces() throws {
    let path = "\(folder)/a"
    try AtomicFile.write(to: path) { file in
      for piece in ["one", "", "two"] { try Array(piece.utf8).withUnsafeBytes { try file.append($0) } }
    }
    struct Failure: Error {}
    #expect(throws: Failure.self) {
      try AtomicFile.write(to: path) { file in
        try [UInt8](repeating: 0, count: 9).withUnsafeBytes { try file.append($0) }
        throw Failure()
      }
    }
    #expect(try MappedFile(path).withBytes { String(decoding: $0, as: UTF8.self) } == "onetwo")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a"])
  }

  @Test("leftovers of interrupted writes are removed")
  func leftovers() throws {
    try Data("half".utf8).write(to: URL(filePath: "\(folder)/.a.partial"))
    try AtomicFile.write("whole", to: "\(folder)/b")
    AtomicFile.removeLeftovers(in: folder)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["b"])
  }

  @Test("missing files and folders are refused, empty files are empty")
  func mapping() throws {
    #expect(throws: FileError("\(folder)/no", "cannot open: No such file or directory")) {
      try MappedFile("\(folder)/no")
    }
    #expect(throws: FileError(folder, "is not a regular file")) { try MappedFile(folder) }
    try AtomicFile.write("", to: "\(folder)/empty")
    #expect(try MappedFile("\(folder)/empty").count == 0)
  }
}
