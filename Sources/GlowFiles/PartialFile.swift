import Glibc

/// A file that a long job writes record by record, as NAME.part until it is whole. Whatever ends the process, what has
/// been written stays there, for another to go on with.
///
/// While it is written it is locked. Calls `open`, `flock`, `write`, `ftruncate`, `fsync` and `rename`.
public final class PartialFile {
  /// The name that the file gets in the end.
  public let path: String
  private let target: String
  private let descriptor: Int32

  /// Where the file is until it is whole.
  public static func name(of path: String) -> String { "\(path).part" }
  private var hidden: String { PartialFile.name(of: target) }

  /// Opens the file, or makes it, to write behind what it holds.
  ///
  /// - Throws: `FileError`, if another process is writing it, too.
  public init(_ path: String) throws {
    self.path = path
    target = try AtomicFile.target(of: path)
    let name = PartialFile.name(of: target)
    descriptor = open(name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o666)
    if descriptor < 0 { throw FileError.system(name, "cannot write") }
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK {
      throw FileError(name, "another process is writing it")
    }
  }

  deinit { close(descriptor) }

  /// - Throws: `FileError`; a part of the bytes may then have been written.
  public func append(_ text: String) throws {
    var text = text
    try text.withUTF8 { try writeAll(UnsafeRawBufferPointer($0), to: descriptor, path: hidden) }
  }

  /// Drops what stands behind the first `count` bytes.
  ///
  /// - Throws: `FileError`.
  public func truncate(to count: Int) throws {
    if ftruncate(descriptor, off_t(count)) != 0 { throw FileError.system(hidden, "cannot write") }
  }

  /// Gives the file its name. A file that it replaces leaves it its mode.
  ///
  /// - Throws: `FileError`.
  public func finish() throws {
    var status = stat()
    if stat(target, &status) == 0 {
      if access(target, W_OK) != 0 { throw FileError.system(path, "cannot write") }
      fchmod(descriptor, status.st_mode & 0o7777)
    }
    if fsync(descriptor) != 0 { throw FileError.system(hidden, "cannot write") }
    if rename(hidden, target) != 0 { throw FileError.system(path, "cannot write") }
    try Folder.synchronize(Folder.split(target).folder)
  }
}
