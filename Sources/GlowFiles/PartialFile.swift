import Glibc

/// A file that a long job writes record by record, as NAME.part until it is whole. Whatever ends the process, what has
/// been written stays there, for another to go on with.
///
/// While it is written it is locked. Calls `open`, `flock`, `write`, `ftruncate`, `fsync` and `rename`.
package final class PartialFile {
  /// The name that the file gets in the end.
  package let path: String
  /// Whether there was no such file yet.
  package let isNew: Bool
  private let target: String
  private let descriptor: Int32

  /// Where the file is until it is whole: beside the one that a symbolic link stands for.
  package static func name(of path: String) -> String { "\((try? AtomicFile.target(of: path)) ?? path).part" }
  private var hidden: String { "\(target).part" }

  /// Opens the file, or makes it, to write behind what it holds.
  ///
  /// - Throws: `FileError`, if another process is writing it, too.
  package init(_ path: String) throws {
    self.path = path
    target = try AtomicFile.target(of: path)
    (descriptor, isNew) = try PartialFile.open("\(target).part")
  }

  deinit { close(descriptor) }

  /// Opens and locks a file, and makes it if it is not there.
  private static func open(_ name: String) throws -> (descriptor: Int32, isNew: Bool) {
    let options = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW
    while true {
      var descriptor = Glibc.open(name, options | O_CREAT | O_EXCL, 0o666)
      let isNew = descriptor >= 0
      if !isNew && errno == EEXIST { descriptor = Glibc.open(name, options) }
      if descriptor < 0 {
        if !isNew && errno == ENOENT { continue }
        throw FileError.system(name, "cannot write")
      }
      let isLocked: Bool
      do { isLocked = try lock(descriptor, path: name) } catch {
        close(descriptor)
        if isNew { unlink(name) }
        throw error
      }
      if !isLocked {
        close(descriptor)
        throw FileError(name, "another process is writing it")
      }
      // The process that had it may have given it its own name in between.
      var (opened, named) = (stat(), stat())
      if fstat(descriptor, &opened) == 0, stat(name, &named) == 0, opened.st_ino == named.st_ino {
        return (descriptor, isNew)
      }
      close(descriptor)
    }
  }

  /// Removes the file.
  package func discard() { unlink(hidden) }

  /// - Throws: `FileError`; a part of the bytes may then have been written.
  package func append(_ text: String) throws {
    var text = text
    try text.withUTF8 { try writeAll(UnsafeRawBufferPointer($0), to: descriptor, path: hidden) }
  }

  /// Drops what stands behind the first `count` bytes.
  ///
  /// - Throws: `FileError`.
  package func truncate(to count: Int) throws {
    if ftruncate(descriptor, off_t(count)) != 0 { throw FileError.system(hidden, "cannot write") }
  }

  /// Gives the file its name. A file that it replaces leaves it its mode.
  ///
  /// - Throws: `FileError`.
  package func finish() throws {
    var status = stat()
    if stat(target, &status) == 0 {
      if access(target, W_OK) != 0 { throw FileError.system(path, "cannot write") }
      fchmod(descriptor, status.st_mode & 0o7777)
    }
    try synchronize(descriptor, path: hidden)
    if rename(hidden, target) != 0 { throw FileError.system(path, "cannot write") }
    try Folder.synchronize(Folder.split(target).folder)
  }
}
