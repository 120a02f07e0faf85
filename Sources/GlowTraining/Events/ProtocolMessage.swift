/// A message of protocol buffers, field by field in their wire format (protobuf.dev, "Encoding").
struct ProtocolMessage {
  private(set) var bytes: [UInt8] = []

  private enum Wire: UInt64 {
    case variable = 0
    case eightBytes = 1
    case counted = 2
    case fourBytes = 5
  }

  /// An `int64`, `int32` or enumeration.
  mutating func add(_ field: UInt64, _ value: Int) {
    begin(field, .variable)
    addVariable(UInt64(bitPattern: Int64(value)))
  }

  mutating func add(_ field: UInt64, _ value: Double) {
    begin(field, .eightBytes)
    bytes += littleEndian(value.bitPattern)
  }

  mutating func add(_ field: UInt64, _ value: Float) {
    begin(field, .fourBytes)
    bytes += littleEndian(value.bitPattern)
  }

  /// A `bytes` field.
  mutating func add(_ field: UInt64, _ value: [UInt8]) {
    begin(field, .counted)
    addVariable(UInt64(value.count))
    bytes += value
  }

  mutating func add(_ field: UInt64, _ value: String) { add(field, Array(value.utf8)) }

  mutating func add(_ field: UInt64, _ value: ProtocolMessage) { add(field, value.bytes) }

  private mutating func begin(_ field: UInt64, _ wire: Wire) { addVariable(field << 3 | wire.rawValue) }

  /// Seven bits a byte, the lowest first; the eighth says that more follow.
  private mutating func addVariable(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

/// The bytes of a number, the lowest first.
func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
