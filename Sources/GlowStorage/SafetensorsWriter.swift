import Foundation
import GlowFiles
import GlowKernels

/// Collects tensors and writes them as one safetensors file, with the CRC-32 of each, and of the header, in the
/// metadata.
///
/// No tensor is copied: each goes from where it is to the file, so that a save needs no memory beyond the header.
package struct SafetensorsWriter {
  private var metadata: [String: String]
  private var tensors: [(name: String, type: TensorType, shape: [Int], data: TensorBytes)] = []

  /// - Parameter metadata: what to keep in the file; checksums of an earlier file are left out.
  package init(metadata: [String: String] = [:]) {
    self.metadata = metadata.filter { !$0.key.hasPrefix(checksumKey("")) }
  }

  /// Adds a tensor of F32 or F64, by the type of the values, which must stay as they are until the file has been
  /// written. Names must differ.
  package mutating func add<S: Scalar>(_ name: String, shape: [Int], values: UnsafePointer<S>) {
    let values = UnsafeBufferPointer(start: values, count: shape.reduce(1, *))
    add(name, S.self == Double.self ? .float64 : .float32, shape) { try $0(UnsafeRawBufferPointer(values)) }
  }

  /// Adds a tensor of F32 or F64, by the type of the values. Names must differ.
  package mutating func add<S: Scalar>(_ name: String, shape: [Int], values: [S]) {
    precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) values for shape \(shape)")
    add(name, S.self == Double.self ? .float64 : .float32, shape) { try values.withUnsafeBytes($0) }
  }

  /// Adds a tensor of U8. Names must differ.
  package mutating func add(_ name: String, shape: [Int], values: [UInt8]) {
    precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) values for shape \(shape)")
    add(name, .uint8, shape) { try values.withUnsafeBytes($0) }
  }

  /// Adds a tensor of I32. Names must differ.
  package mutating func add(_ name: String, shape: [Int], values: [Int32]) {
    precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) values for shape \(shape)")
    add(name, .int32, shape) { try values.withUnsafeBytes($0) }
  }

  /// Adds a tensor of I64. Names must differ.
  package mutating func add(_ name: String, shape: [Int], values: [Int64]) {
    precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) values for shape \(shape)")
    add(name, .int64, shape) { try values.withUnsafeBytes($0) }
  }

  private mutating func add(
    _ name: String, _ type: TensorType, _ shape: [Int], _ data: @escaping TensorBytes
  ) {
    precondition(metadata[checksumKey(name)] == nil, "two tensors named \(name)")
    // Nothing in it can throw.
    try? data { metadata[checksumKey(name)] = checksum($0) }
    tensors.append((name, type, shape, data))
  }

  /// Writes the file, whole or not at all (`AtomicFile`).
  ///
  /// - Throws: `FileError`.
  package func write(to path: String) throws {
    let header = try self.header(path)
    var start = UInt64(header.count).littleEndian
    try AtomicFile.write(to: path) { file in
      try withUnsafeBytes(of: &start) { try file.append($0) }
      try header.withUnsafeBytes { try file.append($0) }
      for tensor in tensors { try tensor.data { try file.append($0) } }
    }
  }

  /// The JSON, filled up with spaces so that the data starts at a multiple of 8.
  private func header(_ path: String) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    func text(_ value: some Encodable) throws -> String {
      String(decoding: try encoder.encode(value), as: UTF8.self)
    }
    var metadata = metadata
    metadata[checksumKey(SafetensorsHeader.metadataName)] = headerChecksum(
      metadata: metadata, tensors: tensors.map { ($0.name, $0.type, $0.shape) })
    var members = ["\"\(SafetensorsHeader.metadataName)\":\(try text(metadata))"]
    var offset = 0
    for tensor in tensors {
      let end = offset + tensor.shape.reduce(1, *) * tensor.type.size
      members.append(
        "\(try text(tensor.name)):{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":\(try text(tensor.shape)),"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    header += [UInt8](repeating: UInt8(ascii: " "), count: (8 - header.count % 8) % 8)
    if header.count > SafetensorsHeader.maximumCount {
      throw FileError(path, "cannot write: a header of \(header.count) bytes is more than the format allows")
    }
    return header
  }
}

/// Lends the bytes of a tensor.
private typealias TensorBytes = (_ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
