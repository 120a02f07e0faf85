import GlowFiles
import GlowKernels
import Synchronization

/// Contents that a data set keeps in memory because they are compressed where they stand: each once, however often it is
/// opened, as long as somebody has it. A part to train on and one that is held out share what is in both.
package enum Unpacked {
  /// What tells contents apart before they are unpacked: what the packed file says of them.
  struct Key: Hashable, Sendable {
    let path: String
    /// Bytes.
    let size: Int
    let checksum: Int
  }

  private struct Kept { weak var bytes: UnpackedBytes? }
  private static let kept = Mutex<[Key: Kept]>([:])

  /// Bytes of all contents that are kept now.
  package static var bytes: Int {
    kept.withLock { $0.reduce(0) { $0 + ($1.value.bytes == nil ? 0 : $1.key.size) } }
  }

  /// The content that `unpack` gives, or the one that it has given before if that is still kept.
  ///
  /// - Throws: `MemoryError` if there is no room for it; what `unpack` throws.
  static func content(_ key: Key, _ unpack: () throws -> FileContent) throws -> FileContent {
    if let bytes = kept.withLock({ $0[key]?.bytes }) { return FileContent(bytes, path: key.path) }
    try requireRoom(for: [key], of: key.path)
    let content = try unpack()
    if let bytes = content.unpacked {
      kept.withLock { kept in
        kept = kept.filter { $0.value.bytes != nil }
        kept[key] = Kept(bytes: bytes)
      }
    }
    return content
  }

  /// Refuses contents that do not fit into memory together, before any of them is unpacked.
  ///
  /// - Parameter path: what they stand in.
  /// - Throws: `MemoryError`.
  static func requireRoom(for keys: [Key], of path: String) throws {
    let new = kept.withLock { kept in Set(keys).filter { kept[$0]?.bytes == nil } }
    try requireMemory(
      sum(new), for: "\(path), unpacked,",
      advice: "store it without compression (numpy.savez, a plain .tar), which needs none")
  }

  /// What is said of contents that are kept; nil if they are not worth a word.
  static func note(_ keys: [Key]) -> String? {
    let bytes = sum(Set(keys))
    if bytes < 1_000_000 { return nil }
    return "\(noteStart) \(megabytes(bytes)) (none without compression: numpy.savez, a plain .tar, gunzip)"
  }

  /// What each such note begins with.
  static let noteStart = "unpacked into memory:"

  private static func sum(_ keys: Set<Key>) -> Int { keys.reduce(0) { min($0 + $1.size, .max / 2) } }
}

/// What is in memory of a file's content.
final class UnpackedBytes: Sendable {
  let values: [UInt8]

  init(_ values: [UInt8]) { self.values = values }
}
