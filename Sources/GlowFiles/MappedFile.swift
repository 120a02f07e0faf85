import Glibc

/// A file's bytes, mapped into memory and read page by page as they are touched.
///
/// The file must not be shortened while it is mapped. Calls `open`, `fstat` and `mmap`.
public final class MappedFile: @unchecked Sendable {
  public let path: String
  public var count: Int { bytes.count }
  private let bytes: UnsafeRawBufferPointer

  /// - Throws: `FileError` if the file cannot be opened or is not a regular file.
  public convenience init(_ path: String) throws { try self.init(bytes: Array(path.utf8), path: path) }

  /// - Parameters:
  ///   - name: the file's path as the system has it, which need not be UTF-8.
  ///   - path: the same for a person to read.
  /// - Throws: `FileError` if the file cannot be opened or is not a regular file.
  public init(bytes name: [UInt8], path: String) throws {
    self.path = path
    // O_NONBLOCK: opening a named pipe would otherwise wait for somebody to write to it.
    let descriptor = (name.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer {
      open($0.baseAddress!, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    }
    if descriptor < 0 { throw FileError.system(path, "cannot open") }
    defer { close(descriptor) }
    var status = stat()
    if fstat(descriptor, &status) != 0 { throw FileError.system(path, "cannot read") }
    if status.st_mode & S_IFMT != S_IFREG { throw FileError(path, "is not a regular file") }
    let count = Int(status.st_size)
    if count == 0 {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let memory = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), memory != MAP_FAILED else {
      throw FileError.system(path, "cannot map")
    }
    bytes = UnsafeRawBufferPointer(start: memory, count: count)
  }

  /// Calls `body` with the file's bytes, which it must not keep.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    // Without this the mapping could end after the last mention of the object, while its bytes are in use.
    try withExtendedLifetime(self) { try body(bytes) }
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }
}
