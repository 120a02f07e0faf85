import Foundation
import Glibc
import GlowFiles
import Synchronization
import Testing

private let victims = Atomic<Int>(0)
private let ended = Atomic<Int>(0)

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
    try Data("half".utf8).write(to: URL(filePath: "\(folder)/.a.0123456789abc.partial"))
    // Other programs call theirs so.
    try Data("half".utf8).write(to: URL(filePath: "\(folder)/.download.partial"))
    try AtomicFile.write("whole", to: "\(folder)/b")
    AtomicFile.removeLeftovers(in: folder)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == [".download.partial", "b"])
    #expect(throws: FileError.self) { try Folder.checkIsEmpty(folder) }
  }

  @Test("two that fill one folder at once do not mix, and one that fails leaves nothing")
  func filledTwice() throws {
    let path = "\(folder)/filled"
    try Folder.make(path)
    #expect(throws: FileError(path, "holds files already: give an empty folder or a new one")) {
      try Folder.fill(path) { first in
        try AtomicFile.write("first", to: "\(first)/a")
        try Folder.fill(path) { second in
          try AtomicFile.write("second", to: "\(second)/a")
          // That of the first is still there.
          #expect(FileManager.default.fileExists(atPath: "\(first)/a"))
        }
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["a"])
    #expect(try text("filled/a") == "second")
  }

  @Test("what another is writing is no leftover, and a link in the way is not followed")
  func concurrentWrites() throws {
    let path = "\(folder)/a"
    try AtomicFile.write("precious", to: "\(folder)/precious")
    #expect(symlink("precious", "\(folder)/.a.0123456789abc.partial") == 0)
    try AtomicFile.write(to: path) { first in
      AtomicFile.removeLeftovers(in: folder)
      try AtomicFile.write("second", to: path)
      try Array("first".utf8).withUnsafeBytes { try first.append($0) }
    }
    #expect(try text("a") == "first" && text("precious") == "precious")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["a", "precious"])
  }

  private func text(_ name: String) throws -> String {
    try MappedFile("\(folder)/\(name)").withBytes { String(decoding: $0, as: UTF8.self) }
  }

  @Test("a link stays one, the file behind it keeps its mode, and a name may be as long as names can be")
  func links() throws {
    try AtomicFile.write("old", to: "\(folder)/target")
    #expect(chmod("\(folder)/target", 0o604) == 0 && symlink("target", "\(folder)/link") == 0)
    try AtomicFile.write("new", to: "\(folder)/link")
    var status = stat()
    #expect(lstat("\(folder)/link", &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
    #expect(stat("\(folder)/target", &status) == 0 && status.st_mode & 0o777 == 0o604)
    #expect(try text("target") == "new")
    #expect(symlink("circle", "\(folder)/circle") == 0)
    #expect(throws: FileError.self) { try AtomicFile.write("x", to: "\(folder)/circle") }
    let long = String(repeating: "x", count: 255)
    try AtomicFile.write("long", to: "\(folder)/\(long)")
    #expect(try text(long) == "long")
  }

  @Test("a device is written through and stays one")
  func devices() throws {
    try AtomicFile.write("x", to: "/dev/null")
    var status = stat()
    #expect(stat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
    #expect(throws: FileError("/dev/full", "cannot write: No space left on device")) {
      try AtomicFile.write("x", to: "/dev/full")
    }
  }

  @Test("a folder is filled as a whole or not at all, and only an empty one")
  func folders() throws {
    struct Failure: Error {}
    let path = "\(folder)/new/one/"
    #expect(throws: Failure.self) {
      try Folder.fill(path) { inner in
        try AtomicFile.write("x", to: "\(inner)/a")
        throw Failure()
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/new") == [])
    try Folder.fill(path) { try AtomicFile.write("x", to: "\($0)/a") }
    #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["a"])
    #expect(throws: FileError.self) { try Folder.fill(path) { _ in } }
    #expect(throws: FileError("\(path)a/b", "cannot make this folder: Not a directory")) {
      try Folder.make("\(path)a/b")
    }
  }

  @Test("a file that is shortened while it is mapped is an error, not the end of the process")
  func shortened() throws {
    for (size, left) in [(100_000, 5000), (100_000, 0), (5000, 4500)] {
      let path = "\(folder)/a\(left)"
      try AtomicFile.write([UInt8](repeating: 1, count: size), to: path)
      let file = try MappedFile(path)
      #expect(try file.withBytes { $0.reduce(0) { $0 + Int($1) } } == size)
      #expect(truncate(path, left) == 0)
      let error = #expect(throws: FileError.self) { try file.withBytes { $0.reduce(0) { $0 + Int($1) } } }
      #expect(error?.path == path && error?.reason.contains("was shortened") == true)
      // What is written anew under the name is another file.
      try AtomicFile.write([UInt8](repeating: 1, count: size), to: path)
      #expect(try MappedFile(path).withBytes { $0.reduce(0) { $0 + Int($1) } } == size)
    }
  }

  @Test("a lock that is not got closes nothing but its own file")
  func locks() throws {
    let lock = try #require(try FolderLock(folder))
    defer { withExtendedLifetime(lock) {} }
    do {
      // Were a descriptor closed twice, one of these files that other threads open would be the victim.
      let others = (0..<2).map { _ in
        Thread {
          for _ in 0..<2000 {
            let descriptor = open("/dev/null", O_RDONLY)
            sched_yield()
            if close(descriptor) != 0 { victims.wrappingAdd(1, ordering: .relaxed) }
          }
          ended.wrappingAdd(1, ordering: .relaxed)
        }
      }
      for thread in others { thread.start() }
      while ended.load(ordering: .relaxed) < 2 {
        let second = try FolderLock(folder)
        #expect(second == nil)
      }
      #expect(victims.load(ordering: .relaxed) == 0)
    }
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
