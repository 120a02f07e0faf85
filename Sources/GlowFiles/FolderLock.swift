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
    if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
    let code = errno
    if [ENOTSUP, ENOSYS, ENOLCK, EINVAL].contains(code) { return }
    // From here on `deinit` runs, which closes the file.
    if code == EWOULDBLOCK { return nil }
    throw FileError.system(path, "cannot lock", code)
  }

  deinit { if descriptor >= 0 { close(descriptor) } }
}
