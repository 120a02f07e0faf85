import Foundation
import Glibc

/// Writing a file so that its name always stands for a whole one: the old or the new.
///
/// The bytes go to a hidden neighbor of a name that nobody else has, are synchronized to the disk, and the neighbor is
/// renamed; then the folder is synchronized. A crash at any instant leaves the old file as it was and at most one
/// neighbor. Where the name is a symbolic link, it is the file behind it that is replaced; a replaced file's mode is
/// kept. What is no regular file, a device or a named pipe for instance, is written through.
/// Calls `open`, `write`, `fsync` and `rename`.
package enum AtomicFile {
  /// A file that is being written.
  package struct Growing {
    fileprivate let descriptor: Int32
    fileprivate let path: String

    /// - Throws: `FileError`.
    package func append(_ bytes: UnsafeRawBufferPointer) throws {
      try writeAll(bytes, to: descriptor, path: path)
    }
  }

  /// Writes what `body` appends, piece by piece, as the file at `path`.
  ///
  /// - Parameter size: how many bytes they will be at least, where that is known: without room for them nothing is begun.
  /// - Throws: `FileError`, or what `body` throws; the neighbor is then gone and what stood at `path` is untouched,
  ///   unless it was the folder that could not be synchronized.
  package static func write(
    to path: String, size: Int = 0, _ body: (_ file: Growing) throws -> Void
  ) throws {
    var status = stat()
    let isThere = stat(path, &status) == 0
    if isSpecial(path) { return try writeThrough(path, body) }
    // The owner has said that this file must not be written.
    if isThere && access(path, W_OK) != 0 { throw FileError.system(path, "cannot write") }
    let target = try target(of: path)
    if size > 0 { try DiskNeed(bytesEach: size).check(in: Folder.split(target).folder, path: path) }
    let (descriptor, hidden) = try Unfinished.make(beside: target) { hidden -> Int32? in
      let descriptor = open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      return descriptor < 0 ? nil : descriptor
    }
    defer { Unfinished.forget(hidden) }
    do {
      defer { close(descriptor) }
      // Tells others that it is no leftover. Without it nothing but that is lost.
      flock(descriptor, LOCK_EX | LOCK_NB)
      if isThere { fchmod(descriptor, status.st_mode & 0o7777) }
      try body(Growing(descriptor: descriptor, path: path))
      try synchronize(descriptor, path: path)
      if rename(hidden, target) != 0 { throw FileError.system(path, "cannot write") }
    } catch {
      unlink(hidden)
      throw error
    }
    try Folder.synchronize(Folder.split(target).folder)
  }

  /// Writes `chunks` one after the other as the file at `path`.
  ///
  /// - Throws: `FileError`; the neighbor is then gone and what stood at `path` is untouched.
  package static func write(_ chunks: [UnsafeRawBufferPointer], to path: String) throws {
    try write(to: path) { file in for chunk in chunks { try file.append(chunk) } }
  }

  package static func write(_ bytes: [UInt8], to path: String) throws {
    try bytes.withUnsafeBytes { try write([$0], to: path) }
  }

  package static func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

  /// Removes what interrupted writes have left in a folder; what a process is writing stays.
  package static func removeLeftovers(in folder: String) {
    for name in (try? Folder.names(in: folder)) ?? [] where Unfinished.isHidden(name) {
      let path = "\(folder)/\(name)"
      let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
      defer { if descriptor >= 0 { close(descriptor) } }
      if descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK { continue }
      try? FileManager.default.removeItem(atPath: path)
    }
  }

  /// Whether a path is that of a device, a pipe or a socket, which are written through.
  package static func isSpecial(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT)
  }

  private static func writeThrough(_ path: String, _ body: (_ file: Growing) throws -> Void) throws {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    if descriptor < 0 { throw FileError.system(path, "cannot write") }
    var isOpen = true
    defer { if isOpen { close(descriptor) } }
    try body(Growing(descriptor: descriptor, path: path))
    isOpen = false
    if close(descriptor) != 0 { throw FileError.system(path, "cannot write") }
  }

  /// What a path stands for at the end of all symbolic links, whether that is there or not.
  ///
  /// - Throws: `FileError` if the links never end.
  package static func target(of path: String) throws -> String {
    var target = path
    // As many links as Linux follows.
    for _ in 0...40 {
      var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
      let count = readlink(target, &buffer, buffer.count)
      if count < 0 { return target }
      let link = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      target = link.hasPrefix("/") ? link : "\(Folder.split(target).folder)/\(link)"
    }
    throw FileError.system(path, "cannot write", ELOOP)
  }
}

/// Writes all bytes at the end of an open file, or none of them.
///
/// - Throws: `FileError`.
package func appendAll(_ bytes: [UInt8], to descriptor: Int32, path: String) throws {
  let end = lseek(descriptor, 0, SEEK_END)
  do { try bytes.withUnsafeBytes { try writeAll($0, to: descriptor, path: path) } } catch {
    ftruncate(descriptor, end)
    throw error
  }
}

/// Brings what was written to an open file onto its disk, or says that it cannot. After that there is nothing that closing
/// the file could still report.
///
/// - Throws: `FileError`.
package func synchronize(_ descriptor: Int32, path: String) throws {
  if fsync(descriptor) != 0 { throw FileError.system(path, "cannot write") }
}

/// Writes all bytes to an open file, whose path is for the error. Calls `write`.
///
/// - Throws: `FileError`; a part may then have been written.
package func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws {
  var done = 0
  while done < bytes.count {
    let count = Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
    if count < 0 {
      if errno == EINTR { continue }
      throw FileError.system(path, "cannot write")
    }
    done += count
  }
}
