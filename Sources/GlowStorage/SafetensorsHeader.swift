/// The element types of the safetensors format, by the name they have in a header.
package enum TensorType: String, Sendable, CaseIterable {
  case bool = "BOOL"
  case uint8 = "U8"
  case int8 = "I8"
  case float8E4M3 = "F8_E4M3"
  case float8E5M2 = "F8_E5M2"
  case uint16 = "U16"
  case int16 = "I16"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case uint32 = "U32"
  case int32 = "I32"
  case float32 = "F32"
  case uint64 = "U64"
  case int64 = "I64"
  case float64 = "F64"

  /// Bytes of an element.
  package var size: Int {
    switch self {
    case .bool, .uint8, .int8, .float8E4M3, .float8E5M2: 1
    case .uint16, .int16, .float16, .bfloat16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    }
  }
}

/// A named tensor of a safetensors file.
package struct TensorEntry: Sendable, Hashable {
  package let name: String
  package let type: TensorType
  /// Row-major; empty for a single value.
  package let shape: [Int]
  /// Its bytes, counted from the start of the file.
  package let range: Range<Int>

  /// Number of elements.
  package var count: Int { range.count / type.size }
}

/// What stands before the data of a safetensors file: a length in 8 little-endian bytes, and JSON of that length.
struct SafetensorsHeader {
  /// The format's own limit on the JSON.
  static let maximumCount = 100_000_000
  static let metadataName = "__metadata__"

  let metadata: [String: String]
  /// In the order of their bytes, which they fill from the end of the header to that of the file.
  let entries: [TensorEntry]

  /// Reads the header of the file that `file` is all of.
  ///
  /// - Throws: `HeaderError` for anything that the format does not allow.
  init(_ file: UnsafeRawBufferPointer) throws {
    guard file.count >= 8 else {
      throw HeaderError("is not a safetensors file: \(file.count) bytes are too few for a header")
    }
    let count = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
    guard count <= SafetensorsHeader.maximumCount else {
      throw HeaderError(
        "is not a safetensors file: a header of \(count) bytes is more than the format's"
          + " \(SafetensorsHeader.maximumCount)")
    }
    let dataStart = 8 + Int(count)
    guard dataStart <= file.count else {
      throw HeaderError("is cut off: the header ends at byte \(dataStart), the file at \(file.count)")
    }
    let text = UnsafeRawBufferPointer(rebasing: file[8..<dataStart])
    guard text.first == UInt8(ascii: "{"), case .object(let members) = try HeaderScanner.scan(text) else {
      throw HeaderError("is not a safetensors file: the header is not a JSON object")
    }
    var metadata: [String: String] = [:]
    var entries: [TensorEntry] = []
    for (name, value) in members {
      if name == SafetensorsHeader.metadataName {
        metadata = try SafetensorsHeader.metadata(value)
      } else {
        entries.append(
          try SafetensorsHeader.entry(name, value, dataStart: dataStart, fileCount: file.count))
      }
    }
    entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    try SafetensorsHeader.checkOrder(entries, dataStart: dataStart, fileCount: file.count)
    self.metadata = metadata
    self.entries = entries
  }

  private static func metadata(_ value: HeaderValue) throws -> [String: String] {
    guard case .object(let members) = value else { throw HeaderError("\(metadataName) is not an object") }
    var metadata: [String: String] = [:]
    for (name, value) in members {
      guard case .string(let text) = value else {
        throw HeaderError("\(metadataName): “\(name)” is not a string")
      }
      metadata[name] = text
    }
    return metadata
  }

  private static func entry(
    _ name: String, _ value: HeaderValue, dataStart: Int, fileCount: Int
  ) throws -> TensorEntry {
    var type: TensorType?
    var shape: [Int]?
    var offsets: [Int]?
    guard case .object(let members) = value else { throw HeaderError("\(name): is not an object") }
    for (member, value) in members {
      switch (member, value) {
      case ("dtype", .string(let text)):
        type = TensorType(rawValue: text)
        if type == nil { throw HeaderError("\(name): unknown dtype “\(text)”") }
      case ("shape", .list(let items)): shape = try integers(items, name, member)
      case ("data_offsets", .list(let items)): offsets = try integers(items, name, member)
      default: throw HeaderError("\(name): unexpected “\(member)” or value of it")
      }
    }
    guard let type, let shape, let offsets, offsets.count == 2 else {
      throw HeaderError("\(name): needs dtype, shape and two data_offsets")
    }
    guard offsets[0] <= offsets[1], offsets[1] <= fileCount - dataStart else {
      throw HeaderError(
        "\(name): data_offsets \(offsets) are not inside the \(fileCount - dataStart) bytes of data")
    }
    guard let count = byteCount(shape, type), count == offsets[1] - offsets[0] else {
      throw HeaderError(
        "\(name): \(type.rawValue) of shape \(shape) does not fill its \(offsets[1] - offsets[0]) bytes")
    }
    return TensorEntry(
      name: name, type: type, shape: shape, range: dataStart + offsets[0]..<dataStart + offsets[1])
  }

  private static func integers(_ items: [HeaderValue], _ name: String, _ member: String) throws -> [Int] {
    try items.map { item in
      guard case .integer(let number) = item else {
        throw HeaderError("\(name): “\(member)” is not a list of whole numbers")
      }
      return number
    }
  }

  /// The bytes of a tensor, or nil if they cannot be counted.
  private static func byteCount(_ shape: [Int], _ type: TensorType) -> Int? {
    var count = type.size
    for length in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: length)
      if overflow { return nil }
      count = product
    }
    return count
  }

  /// The format allows no byte of data that belongs to no entry or to two.
  private static func checkOrder(_ entries: [TensorEntry], dataStart: Int, fileCount: Int) throws {
    var end = dataStart
    for entry in entries {
      if entry.range.lowerBound != end {
        let what = entry.range.lowerBound < end ? "overlaps the entry before it" : "follows a hole"
        throw HeaderError("\(entry.name): \(what): starts at byte \(entry.range.lowerBound), not \(end)")
      }
      end = entry.range.upperBound
    }
    if end != fileCount {
      throw HeaderError("the data ends at byte \(end), the file at \(fileCount)")
    }
  }
}
