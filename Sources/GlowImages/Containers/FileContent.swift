import GlowFiles

/// The bytes of a file: mapped, a part of a mapped archive, or unpacked in memory.
struct FileContent: Sendable {
  /// For a person to read.
  let path: String
  let count: Int

  private enum Storage {
    case mapped(MappedFile)
    case memory(UnpackedBytes)
  }

  private let storage: Storage
  /// Where these bytes begin in the storage.
  private let start: Int

  init(_ file: MappedFile) {
    self.init(storage: .mapped(file), start: 0, count: file.count, path: file.path)
  }

  init(_ bytes: [UInt8], path: String) { self.init(UnpackedBytes(bytes), path: path) }

  init(_ bytes: UnpackedBytes, path: String) {
    self.init(storage: .memory(bytes), start: 0, count: bytes.values.count, path: path)
  }

  /// What it is in memory; nil if it is mapped.
  var unpacked: UnpackedBytes? {
    switch storage {
    case .mapped: nil
    case .memory(let bytes): bytes
    }
  }

  private init(storage: Storage, start: Int, count: Int, path: String) {
    self.path = path
    self.count = count
    self.storage = storage
    self.start = start
  }

  /// A part of these bytes that is a file by itself.
  func part(_ range: Range<Int>, path: String) -> FileContent {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    return FileContent(storage: storage, start: start + range.lowerBound, count: range.count, path: path)
  }

  /// Calls `body` with the bytes, which it must not keep.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    let range = start..<start + count
    switch storage {
    case .mapped(let file):
      return try file.withBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    case .memory(let bytes):
      return try bytes.values.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
  }

  /// The first bytes, at most `count`; none if they cannot be read.
  func prefix(_ count: Int) -> [UInt8] { (try? withBytes { Array($0.prefix(count)) }) ?? [] }
}
