import GlowFiles

/// The header of a .npy file: which values follow it, in which shape
/// (`numpy.lib.format`, versions 1.0, 2.0 and 3.0).
package struct NumpyHeader: Sendable, Equatable {
  /// NumPy's name of the value type: "|u1", "<f4", "<f8".
  package let dataType: String
  package let isFortranOrdered: Bool
  package let shape: [Int]

  package init(dataType: String, isFortranOrdered: Bool = false, shape: [Int]) {
    self.dataType = dataType
    self.isFortranOrdered = isFortranOrdered
    self.shape = shape
  }

  /// Bytes of one value, or nil if the type's name does not end in them.
  package var valueSize: Int? {
    guard let size = Int(dataType.dropFirst(2)), (1...1024).contains(size) else { return nil }
    // Of texts it is the number of their characters.
    return dataType.dropFirst().first == "U" ? 4 * size : size
  }

  /// Whether values are integers, with or without a sign.
  var isOfWholeNumbers: Bool { ["u", "i"].contains(dataType.dropFirst().first) }

  /// Bytes of all values, or nil if they are more than an address can hold.
  package var dataSize: Int? {
    guard var size = valueSize else { return nil }
    // A zero anywhere makes the array empty, whatever the other dimensions are.
    if shape.contains(0) { return 0 }
    for dimension in shape {
      let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
      if overflow || product > Int.max / 2 { return nil }
      size = product
    }
    return size
  }

  /// Reads the header at the start of a file and checks that exactly its values follow.
  ///
  /// - Returns: the header and the offset of the first value in `bytes`.
  /// - Throws: `FileError` if `bytes` are not a whole .npy file.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer, path: String
  ) throws -> (header: NumpyHeader, dataOffset: Int) {
    let (header, offset) = try start(of: bytes, path: path)
    guard let expected = header.dataSize else {
      throw FileError(path, "claims impossible values: type \(header.dataType), shape \(header.shape)")
    }
    if bytes.count - offset != expected {
      throw FileError(
        path, "has \(bytes.count - offset) bytes of values, expected \(expected) for shape \(header.shape)")
    }
    return (header, offset)
  }

  /// Reads the header at the start of a file, whatever follows it.
  ///
  /// - Throws: `FileError` if there is none.
  static func start(
    of bytes: UnsafeRawBufferPointer, path: String
  ) throws -> (header: NumpyHeader, dataOffset: Int) {
    if bytes.isEmpty { throw FileError(path, "is empty, expected a .npy file") }
    guard bytes.starts(with: magic), bytes.count >= 10 else { throw FileError(path, "is not a .npy file") }
    let version = bytes[6]
    guard (1...3).contains(version) else {
      throw FileError(path, "has .npy version \(version).\(bytes[7]), expected 1, 2 or 3")
    }
    let start = version == 1 ? 10 : 12
    if bytes.count < start { throw FileError(path, "ends within its .npy header") }
    let length = bytes[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
    if length > bytes.count - start {
      throw FileError(path, "claims a header of \(length) bytes, has \(bytes.count - start)")
    }
    if length > largestHeader {
      throw FileError(path, "claims a header of \(length) bytes, expected at most \(largestHeader)")
    }
    let text = bytes[start..<start + length]
    guard let header = NumpyHeaderScanner(text).header() else {
      throw FileError(
        path, "has a .npy header that is not understood: \(String(decoding: text, as: UTF8.self))")
    }
    return (header, start + length)
  }

  /// The start of a file in version 1.0; the values follow directly. A multiple of 64 bytes long.
  package func encoded() -> [UInt8] {
    let dimensions = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    let order = isFortranOrdered ? "True" : "False"
    let text = "{'descr': '\(dataType)', 'fortran_order': \(order), 'shape': (\(dimensions)), }"
    let unpadded = 10 + text.utf8.count + 1
    let padding = (64 - unpadded % 64) % 64
    let length = text.utf8.count + padding + 1
    precondition(length <= UInt16.max, "a .npy header of version 1.0 has at most 65535 bytes")
    return Self.magic + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + Array(text.utf8)
      + [UInt8](repeating: UInt8(ascii: " "), count: padding) + [UInt8(ascii: "\n")]
  }

  private static let magic = [0x93] + Array("NUMPY".utf8)
  private static let largestHeader = 1 << 16
  /// Of a file's first bytes, as many as have a header.
  static let startSize = 12 + largestHeader
}

/// Reads the Python dictionary in a .npy header: the three keys, each once, in any order.
private struct NumpyHeaderScanner {
  /// NumPy's own limit.
  private static let maximumDimensions = 64

  private var rest: Slice<UnsafeRawBufferPointer>

  init(_ text: Slice<UnsafeRawBufferPointer>) { rest = text }

  consuming func header() -> NumpyHeader? {
    var dataType: String?
    var isFortranOrdered: Bool?
    var shape: [Int]?
    guard skip("{") else { return nil }
    while !skip("}") {
      guard let key = string(), skip(":") else { return nil }
      switch key {
      case "descr" where dataType == nil: dataType = string().map(Self.withByteOrder)
      case "fortran_order" where isFortranOrdered == nil: isFortranOrdered = boolean()
      case "shape" where shape == nil: shape = dimensions()
      default: return nil
      }
      if !skip(",") {
        guard skip("}") else { return nil }
        break
      }
    }
    skipSpace()
    guard rest.isEmpty, let dataType, let isFortranOrdered, let shape else { return nil }
    return NumpyHeader(dataType: dataType, isFortranOrdered: isFortranOrdered, shape: shape)
  }

  /// "|u1" for "u1": an order may be missing where there is none.
  private static func withByteOrder(_ type: String) -> String {
    type.first.map { "|<>=".contains($0) } ?? true ? type : "|" + type
  }

  private mutating func skipSpace() { rest = rest.drop { $0 == 0x20 || $0 == 0x0A } }

  private mutating func skip(_ token: String) -> Bool {
    skipSpace()
    guard rest.starts(with: token.utf8) else { return false }
    rest = rest.dropFirst(token.utf8.count)
    return true
  }

  private mutating func string() -> String? {
    guard let quote = ["'", "\""].first(where: { skip($0) }) else { return nil }
    let content = rest.prefix { $0 != quote.utf8.first! }
    rest = rest.dropFirst(content.count)
    guard rest.popFirst() != nil else { return nil }
    return String(decoding: content, as: UTF8.self)
  }

  private mutating func boolean() -> Bool? { skip("True") ? true : skip("False") ? false : nil }

  private mutating func dimensions() -> [Int]? {
    guard skip("(") else { return nil }
    var result: [Int] = []
    while !skip(")") {
      let digits = rest.prefix { (0x30...0x39).contains($0) }
      guard let value = Int(String(decoding: digits, as: UTF8.self)) else { return nil }
      rest = rest.dropFirst(digits.count)
      // Python 2 wrote 4L.
      if rest.first == UInt8(ascii: "L") { rest = rest.dropFirst() }
      result.append(value)
      if result.count > Self.maximumDimensions { return nil }
      if !skip(",") { return skip(")") ? result : nil }
    }
    return result
  }
}
