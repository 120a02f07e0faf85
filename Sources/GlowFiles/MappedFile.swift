import Glibc
import Synchronization

/// A file's bytes, mapped into memory and read page by page as they are touched.
///
/// A file that is shortened meanwhile, or whose disk fails, is an error (`Mappings`). Calls `open`, `fstat` and `mmap`.
package final class MappedFile: @unchecked Sendable {
  package let path: String
  package var count: Int { bytes.count }
  private let bytes: UnsafeRawBufferPointer
  private let isDamaged = Atomic<Bool>(false)
  private let name: [CChar]
  /// Which file it is, whatever its name becomes.
  private let identity: (device: dev_t, number: ino_t)

  /// - Throws: `FileError` if the file cannot be opened or is not a regular file.
  package convenience init(_ path: String) throws { try self.init(bytes: Array(path.utf8), path: path) }

  /// - Parameters:
  ///   - name: the file's path as the system has it, which need not be UTF-8.
  ///   - path: the same for a person to read.
  /// - Throws: `FileError` if the file cannot be opened or is not a regular file.
  package init(bytes name: [UInt8], path: String) throws {
    self.path = path
    // O_NONBLOCK: opening a named pipe would otherwise wait for somebody to write to it.
    self.name = name.map { CChar(bitPattern: $0) } + [0]
    let descriptor = open(self.name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    if descriptor < 0 { throw FileError.system(path, "cannot open") }
    defer { close(descriptor) }
    var status = stat()
    if fstat(descriptor, &status) != 0 { throw FileError.system(path, "cannot read") }
    if status.st_mode & S_IFMT != S_IFREG { throw FileError(path, "is not a regular file") }
    identity = (status.st_dev, status.st_ino)
    let count = Int(status.st_size)
    if count == 0 {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let memory = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), memory != MAP_FAILED else {
      throw FileError.system(path, "cannot map")
    }
    bytes = UnsafeRawBufferPointer(start: memory, count: count)
    Mappings.add(self, bytes)
  }

  /// Calls `body` with the file's bytes, which it must not keep.
  ///
  /// - Throws: `FileError` if bytes that were touched could not be read; what `body` throws.
  package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    // Without this the mapping could end after the last mention of the object, while its bytes are in use.
    let result = withExtendedLifetime(self) { Swift.Result { try body(bytes) } }
    if isDamaged.load(ordering: .relaxed) || isShortened {
      throw FileError(path, "was shortened, or its disk failed, while it was read")
    }
    return try result.get()
  }

  /// The rest of a page that the file still reaches into reads as zeros, and nothing reports it.
  private var isShortened: Bool {
    var status = stat()
    return stat(name, &status) == 0 && (status.st_dev, status.st_ino) == identity && status.st_size < count
  }

  /// Puts zeros in place of the bytes from the page of `address` on, which cannot be read, and remembers it.
  fileprivate func replace(from address: UnsafeRawPointer) -> Bool {
    isDamaged.store(true, ordering: .relaxed)
    let page = Int(getpagesize())
    let start = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: address) / UInt(page) * UInt(page))
    let end = bytes.baseAddress! + bytes.count
    let zeros = mmap(
      start, end - UnsafeRawPointer(start!), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
    return zeros != MAP_FAILED
  }

  deinit {
    guard let base = bytes.baseAddress else { return }
    Mappings.remove(bytes)
    munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
  }
}

/// The files that are mapped now. The system reports a page that it cannot read by SIGBUS, to the thread that touches
/// it; the thread then goes on with zeros, and `withBytes` throws.
private enum Mappings {
  private static let files = Mutex<[UInt: Entry]>([:])

  /// Not a reference that keeps the file: it removes itself.
  private struct Entry: @unchecked Sendable {
    let end: UInt
    let file: Unmanaged<MappedFile>
  }

  static func add(_ file: MappedFile, _ bytes: UnsafeRawBufferPointer) {
    _ = handler
    let start = UInt(bitPattern: bytes.baseAddress)
    files.withLock {
      $0[start] = Entry(end: start + UInt(bytes.count), file: .passUnretained(file))
    }
  }

  static func remove(_ bytes: UnsafeRawBufferPointer) {
    _ = files.withLock { $0.removeValue(forKey: UInt(bitPattern: bytes.baseAddress)) }
  }

  /// The thread is in `body`, where it holds no lock of this file and of no allocator: the handler may do what any code
  /// may.
  private static func replace(_ address: UnsafeRawPointer) -> Bool {
    files.withLock { files in
      let place = UInt(bitPattern: address)
      guard let (_, entry) = files.first(where: { $0 <= place && place < $1.end }) else { return false }
      return entry.file.takeUnretainedValue().replace(from: address)
    }
  }

  nonisolated(unsafe) private static var former = sigaction()

  private static let handler: Void = {
    var action = sigaction()
    action.__sigaction_handler.sa_sigaction = { _, info, _ in
      if let address = info?.pointee._sifields._sigfault.si_addr, Mappings.replace(address) { return }
      // Not ours: the instruction is repeated, and meets who was there before.
      sigaction(SIGBUS, &Mappings.former, nil)
    }
    action.sa_flags = SA_SIGINFO | SA_NODEFER
    sigaction(SIGBUS, &action, &former)
  }()
}
