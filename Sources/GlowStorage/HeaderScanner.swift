/// The part of JSON that a safetensors header is made of: objects, lists, strings and whole numbers ≥ 0.
enum HeaderValue {
  case string(String)
  case integer(Int)
  case list([HeaderValue])
  /// In the order of the text; no name comes twice.
  case object([(name: String, value: HeaderValue)])
}

/// Why bytes are not a safetensors header.
struct HeaderError: Error, Equatable {
  let reason: String
  init(_ reason: String) { self.reason = reason }
}

/// Reads the JSON of a header (RFC 8259), strictly: a name that comes twice in an object, which JSON libraries
/// answer with one of the two values, is an error here.
struct HeaderScanner {
  private static let maximumDepth = 8
  /// Lists are shapes, whose values take far more memory than text.
  private static let maximumListCount = 64

  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  private var depth = 0

  /// - Throws: `HeaderError` with the byte at which the text stops being a header.
  static func scan(_ bytes: UnsafeRawBufferPointer) throws -> HeaderValue {
    var scanner = HeaderScanner(bytes: bytes)
    let value = try scanner.value()
    scanner.skipSpace()
    if scanner.position < bytes.count { throw scanner.failure("nothing after the object") }
    return value
  }

  private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  private func failure(_ expected: String) -> HeaderError {
    HeaderError("the header is not valid JSON at its byte \(position): expected \(expected)")
  }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  /// Steps over `character` if it comes next, after white space.
  private mutating func skip(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func require(_ character: Unicode.Scalar) throws {
    if !skip(character) { throw failure("“\(character)”") }
  }

  private mutating func value() throws -> HeaderValue {
    depth += 1
    defer { depth -= 1 }
    if depth > HeaderScanner.maximumDepth {
      throw failure("at most \(HeaderScanner.maximumDepth) nested values")
    }
    if skip("{") { return .object(try object()) }
    if skip("[") { return .list(try list()) }
    if next == UInt8(ascii: "\"") { return .string(try string()) }
    return .integer(try integer())
  }

  private mutating func object() throws -> [(name: String, value: HeaderValue)] {
    var members: [(name: String, value: HeaderValue)] = []
    var names: Set<String> = []
    if skip("}") { return members }
    repeat {
      skipSpace()
      let name = try string()
      if !names.insert(name).inserted { throw HeaderError("the header names “\(name)” twice") }
      try require(":")
      members.append((name, try value()))
    } while skip(",")
    try require("}")
    return members
  }

  private mutating func list() throws -> [HeaderValue] {
    var items: [HeaderValue] = []
    if skip("]") { return items }
    repeat {
      if items.count == HeaderScanner.maximumListCount {
        throw failure("at most \(HeaderScanner.maximumListCount) values in a list")
      }
      items.append(try value())
    } while skip(",")
    try require("]")
    return items
  }

  private mutating func integer() throws -> Int {
    let start = position
    var number = 0
    while let byte = next, byte >= 0x30, byte <= 0x39 {
      let (tens, overflow) = number.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(byte - 0x30))
      if overflow || carry { throw failure("a number below 2⁶³") }
      number = sum
      position += 1
    }
    if position == start { throw failure("an object, a list, a string or a whole number") }
    if position - start > 1 && bytes[start] == UInt8(ascii: "0") { throw failure("no leading zero") }
    return number
  }

  private mutating func string() throws -> String {
    guard next == UInt8(ascii: "\"") else { throw failure("a string") }
    position += 1
    var units: [UInt8] = []
    while let byte = next, byte != UInt8(ascii: "\"") {
      if byte < 0x20 { throw failure("no control character in a string") }
      position += 1
      if byte == UInt8(ascii: "\\") {
        units.append(contentsOf: String(try escape()).utf8)
      } else {
        units.append(byte)
      }
    }
    if next == nil { throw failure("the end of a string") }
    position += 1
    guard let text = String(validating: units, as: UTF8.self) else {
      throw failure("valid UTF-8 in the string before")
    }
    return text
  }

  private mutating func escape() throws -> Unicode.Scalar {
    guard let byte = next else { throw failure("the end of a string") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try codePoint()
    default: throw failure("an escape of JSON")
    }
  }

  private mutating func codePoint() throws -> Unicode.Scalar {
    let unit = try codeUnit()
    if let scalar = Unicode.Scalar(unit) { return scalar }
    // A character outside the first plane stands as a pair of surrogates.
    guard unit < 0xDC00, next == UInt8(ascii: "\\") else { throw failure("a pair of surrogates") }
    position += 1
    guard next == UInt8(ascii: "u") else { throw failure("a pair of surrogates") }
    position += 1
    let second = try codeUnit()
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00))
    else { throw failure("a pair of surrogates") }
    return scalar
  }

  private mutating func codeUnit() throws -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw failure("four hexadecimal digits")
      }
      unit = unit << 4 | UInt32(digit)
      position += 1
    }
    return unit
  }
}
