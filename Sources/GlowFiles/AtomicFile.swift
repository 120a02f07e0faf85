import Foundation
import Glibc

/// Writing a file so that its name always stands for a whole one: the old or the new.
///
/// The bytes go to a hidden neighbor, are synchronized to the disk, and the neighbor is renamed; then the
/// folder is synchronized. A crash at any instant leaves the old file as it was and at most one neighbor.
/// Calls `open`, `write`, `fsync` and `rename`.
public enum AtomicFile {
  /// A file that is being written.
  public struct Growing {
    fileprivate let descriptor: Int32
    fileprivate let path: String

    /// - Throws: `FileError`.
    public func append(_ bytes: UnsafeRawBufferPointer) throws {
      try writeAll(bytes, to: descriptor, path: path)
    }
  }

  /// Writes what `body` appends, piece by piece, as the file at `path`.
  ///
  /// - Throws: `FileError`, or what `body` throws; the neighbor is then gone and what stood at `path` is untouched,
  ///   unless it was the folder that could not be synchronized.
  public static func write(to path: String, _ body: (_ file: Growing) throws -> Void) throws {
    let temporary = temporaryPath(for: path)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    if descriptor < 0 { throw FileError.system(path, "cannot write") }
    do {
      defer { close(descriptor) }
      try body(Growing(descriptor: descriptor, path: path))
      if fsync(descriptor) != 0 { throw FileError.system(path, "cannot write") }
      if rename(temporary, path) != 0 { throw FileError.system(path, "cannot write") }
    } catch {
      unlink(temporary)
      throw error
    }
    try synchronize(folder: split(path).folder)
  }

  /// Writes `chunks` one after the other as the file at `path`.
  ///
  /// - Throws: `FileError`; the neighbor is then gone and what stood at `path` is untouched.
  public static func write(_ chunks: [UnsafeRawBufferPointer], to path: String) throws {
    try write(to: path) { file in for chunk in chunks { try file.append(chunk) } }
  }

  public static func write(_ bytes: [UInt8], to path: String) throws {
    try bytes.withUnsafeBytes { try write([$0], to: path) }
  }

  public static func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

  /// Removes what interrupted writes have left in a folder.
  public static func removeLeftovers(in folder: String) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      if name.hasPrefix(".") && name.hasSuffix(suffix) { unlink("\(folder)/\(name)") }
    }
  }

  private static let suffix = ".partial"

  private static func temporaryPath(for path: String) -> String {
    let (folder, name) = split(path)
    return "\(folder)/.\(name)\(suffix)"
  }

  private static func split(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    return (
      slash == path.startIndex ? "/" : String(path[..<slash]), String(path[path.index(after: slash)...])
    )
  }

  /// Makes the names in a folder themselves survive a loss of power. Some file systems do not support it, and a
  /// folder may be one to write in but not to open; these keep no promise.
  ///
  /// - Throws: `FileError`.
  public static func synchronize(folder: String) throws {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if descriptor < 0 {
      if errno == EACCES { return }
      throw FileError.system(folder, "cannot open")
    }
    defer { close(descriptor) }
    if fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP {
      throw FileError.system(folder, "cannot synchronize")
    }
  }
}

/// Writes all bytes to an open file, whose path is for the error. Calls `write`.
///
/// - Throws: `FileError`; a part may then have been written.
public func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws {
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
