import Foundation
import GlowFiles
import GlowKernels

/// Collects tensors and writes them as one safetensors file, with the CRC-32 of each, and of the header, in the
/// metadata.
public struct SafetensorsWriter {
  private var metadata: [String: String]
  private var tensors: [(name: String, type: TensorType, shape: [Int], data: TensorData)] = []

  /// - Parameter metadata: what to keep in the file; checksums of an earlier file are left out.
  public init(metadata: [String: String] = [:]) {
    self.metadata = metadata.filter { !$0.key.hasPrefix(checksumKey("")) }
  }

  /// Adds a tensor of F32 or F64, by the type of the values. Names must differ.
  public mutating func add<S: Scalar>(_ name: String, shape: [Int], values: UnsafePointer<S>) {
    let count = shape.reduce(1, *)
    let bytes = UnsafeRawBufferPointer(UnsafeBufferPointer(start: values, count: count))
    add(name, S.self == Double.self ? .float64 : .float32, shape, bytes)
  }

  /// Adds a tensor of F32 or F64, by the type of the values. Names must differ.
  public mutating func add<S: Scalar>(_ name: String, shape: [Int], values: [S]) {
    precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) values for shape \(shape)")
    values.withUnsafeBytes { add(name, S.self == Double.self ? .float64 : .float32, shape, $0) }
  }

  /// Adds a tensor of U8. Names must differ.
  public mutating func add(_ name: String, shape: [Int], values: [UInt8]) {
    precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) values for shape \(shape)")
    values.withUnsafeBytes { add(name, .uint8, shape, $0) }
  }

  /// Adds a tensor of I32. Names must differ.
  public mutating func add(_ name: String, shape: [Int], values: [Int32]) {
    precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) values for shape \(shape)")
    values.withUnsafeBytes { add(name, .int32, shape, $0) }
  }

  private mutating func add(
    _ name: String, _ type: TensorType, _ shape: [Int], _ bytes: UnsafeRawBufferPointer
  ) {
    let data = TensorData(bytes)
    precondition(
      metadata.updateValue(checksum(data.bytes), forKey: checksumKey(name)) == nil,
      "two tensors named \(name)")
    tensors.append((name, type, shape, data))
  }

  /// Writes the file, whole or not at all (`AtomicFile`).
  ///
  /// - Throws: `FileError`.
  public func write(to path: String) throws {
    let header = try self.header(path)
    var start = UInt64(header.count).littleEndian
    try withUnsafeBytes(of: &start) { length in
      try header.withUnsafeBytes { header in
        try AtomicFile.write([length, header] + tensors.map(\.data.bytes), to: path)
      }
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
      let end = offset + tensor.data.bytes.count
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

/// A copy of bytes that keeps its address.
private final class TensorData {
  let bytes: UnsafeRawBufferPointer

  init(_ source: UnsafeRawBufferPointer) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 8)
    copy.copyMemory(from: source)
    bytes = UnsafeRawBufferPointer(copy)
  }

  deinit { bytes.deallocate() }
}
