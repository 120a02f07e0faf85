import CZlib
import GlowFiles
import GlowKernels

/// A safetensors file (https://github.com/huggingface/safetensors), mapped into memory for reading.
///
/// Only the header is looked at when it is opened. Every error is a `FileError` that names the path and, where
/// there is one, the entry.
package final class SafetensorsFile: Sendable {
  package let path: String
  package let metadata: [String: String]
  /// In the order of their bytes.
  package let entries: [TensorEntry]
  private let file: MappedFile
  private let indices: [String: Int]

  /// - Throws: `FileError` if the file cannot be read or breaks a rule of the format.
  package init(_ path: String) throws {
    self.path = path
    let file = try MappedFile(path)
    do {
      let header = try file.withBytes { try SafetensorsHeader($0) }
      metadata = header.metadata
      entries = header.entries
    } catch let error as HeaderError {
      throw FileError(path, error.reason)
    }
    self.file = file
    indices = Dictionary(uniqueKeysWithValues: zip(entries.map(\.name), entries.indices))
  }

  package subscript(name: String) -> TensorEntry? { indices[name].map { entries[$0] } }

  /// The entry of this name.
  ///
  /// - Throws: `FileError` if there is none.
  package func entry(_ name: String) throws -> TensorEntry {
    guard let entry = self[name] else { throw FileError(path, "\(name): is missing") }
    return entry
  }

  /// Calls `body` with the bytes of an entry, which it must not keep.
  ///
  /// - Throws: `FileError` if there is no such entry, and what `body` throws.
  package func withBytes<Result>(
    _ name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    let range = try entry(name).range
    return try file.withBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  /// The values of an entry, converted to `S`.
  ///
  /// - Throws: `FileError` if there is no such entry or its type is one of the 8-bit floating-point types.
  package func values<S: Scalar>(_ name: String, as _: S.Type) throws -> [S] {
    let type = try entry(name).type
    return try withBytes(name) { bytes in
      switch type {
      case .bool, .uint8: convert(bytes, UInt8.self) { S($0) }
      case .int8: convert(bytes, Int8.self) { S($0) }
      case .uint16: convert(bytes, UInt16.self) { S(UInt16(littleEndian: $0)) }
      case .int16: convert(bytes, Int16.self) { S(Int16(littleEndian: $0)) }
      case .float16:
        convert(bytes, UInt16.self) { S(Float(Float16(bitPattern: UInt16(littleEndian: $0)))) }
      case .bfloat16:
        convert(bytes, UInt16.self) { S(Float(bitPattern: UInt32(UInt16(littleEndian: $0)) << 16)) }
      case .uint32: convert(bytes, UInt32.self) { S(UInt32(littleEndian: $0)) }
      case .int32: convert(bytes, Int32.self) { S(Int32(littleEndian: $0)) }
      case .float32: convert(bytes, UInt32.self) { S(Float(bitPattern: UInt32(littleEndian: $0))) }
      case .uint64: convert(bytes, UInt64.self) { S(UInt64(littleEndian: $0)) }
      case .int64: convert(bytes, Int64.self) { S(Int64(littleEndian: $0)) }
      case .float64: convert(bytes, UInt64.self) { S(Double(bitPattern: UInt64(littleEndian: $0))) }
      case .float8E4M3, .float8E5M2:
        throw FileError(path, "\(name): values of type \(type.rawValue) cannot be read")
      }
    }
  }

  private func convert<Stored: FixedWidthInteger & BitwiseCopyable, S>(
    _ bytes: UnsafeRawBufferPointer, _: Stored.Type, _ element: (Stored) -> S
  ) -> [S] {
    let size = MemoryLayout<Stored>.size
    return (0..<bytes.count / size).map {
      element(bytes.loadUnaligned(fromByteOffset: $0 * size, as: Stored.self))
    }
  }

  /// Compares the header and every entry with their CRC-32 in the metadata.
  ///
  /// - Parameter isComplete: whether a checksum that is missing is an error too; else what has none, in a file of
  ///   another program, is not checked.
  /// - Throws: `FileError` naming the first entry whose bytes are not those that were written.
  package func checkSums(isComplete: Bool = false) throws {
    try checkHeader(isComplete: isComplete)
    for entry in entries {
      try check(entry.name, isComplete) { try withBytes(entry.name) { checksum($0) } }
    }
  }

  /// Compares the header alone with its CRC-32, as `checkSums` does.
  ///
  /// - Throws: `FileError`.
  package func checkHeader(isComplete: Bool = true) throws {
    try check(SafetensorsHeader.metadataName, isComplete) {
      headerChecksum(metadata: metadata, tensors: entries.map { ($0.name, $0.type, $0.shape) })
    }
  }

  private func check(_ name: String, _ isComplete: Bool, _ found: () throws -> String) throws {
    guard let expected = metadata[checksumKey(name)] else {
      if isComplete { throw FileError(path, "\(name): is damaged: it has no CRC-32") }
      return
    }
    let found = try found()
    if found != expected {
      throw FileError(path, "\(name): is damaged: its CRC-32 is \(found), expected \(expected)")
    }
  }
}

/// The CRC-32 of what a header says: its metadata and each tensor's name, type and shape. Neither the order nor
/// the spelling of the JSON matters, which other programs may change.
func headerChecksum(
  metadata: [String: String], tensors: [(name: String, type: TensorType, shape: [Int])]
) -> String {
  let own = checksumKey(SafetensorsHeader.metadataName)
  let facts =
    metadata.filter { $0.key != own }.map { "\($0.key)\0\($0.value)" }.sorted()
    + tensors.map { "\($0.name)\0\($0.type.rawValue)\0\($0.shape)" }.sorted()
  return Array(facts.joined(separator: "\0").utf8).withUnsafeBytes { checksum($0) }
}

/// Where the metadata keeps the CRC-32 of an entry.
func checksumKey(_ name: String) -> String { "crc32.\(name)" }

/// The CRC-32 of bytes as 8 hexadecimal digits. Calls `crc32_z`.
func checksum(_ bytes: UnsafeRawBufferPointer) -> String {
  let value = crc32_z(0, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
  // With no bytes to read, crc32_z answers 0, which is also the CRC-32 of nothing.
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 8 - digits.count) + digits
}
