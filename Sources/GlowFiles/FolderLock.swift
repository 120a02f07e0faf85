import Glibc

/// Keeps other processes from working in a folder as long as this object lives.
///
/// The lock is the operating system's, on the file `.lock`: it ends with the process, however that ends, and the file
/// itself means nothing. Calls `flock`.
package final class FolderLock {
  /// The name of the file.
  package static let fileName = ".lock"

  private let descriptor: Int32

  /// - Returns: nil if another has locked the folder.
  /// - Throws: `FileError`. A file system that knows no locks is no error: nothing is then promised.
  package init?(_ folder: String) throws {
    let path = "\(folder)/\(Self.fileName)"
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    if descriptor < 0 { throw FileError.system(path, "cannot write") }
    // From here on `deinit` runs, which closes the file.
    if try !lock(descriptor, path: path) { return nil }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }
}

/// Locks an open file, without waiting. A file system that knows no locks is no error: nothing is then promised.
///
/// - Returns: false if another process has locked it.
/// - Throws: `FileError`.
func lock(_ descriptor: Int32, path: String) throws -> Bool {
  while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
    let code = errno
    if code == EINTR { continue }
    if code == EWOULDBLOCK { return false }
    if [ENOTSUP, ENOSYS, ENOLCK, EINVAL].contains(code) { return true }
    throw FileError.system(path, "cannot lock", code)
  }
  return true
}
