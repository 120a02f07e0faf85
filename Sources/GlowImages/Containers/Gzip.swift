import CZlib
import GlowFiles

/// Reading what deflate has compressed, by itself or in a .gz file. Calls zlib's `inflate`.
enum Gzip {
  /// What stands around the compressed bytes.
  enum Form {
    /// A header and a checksum.
    case gzip
    /// zlib's header and checksum.
    case zlib
    /// Nothing.
    case raw

    /// For `inflateInit2`: 15 bits of window, and the form.
    fileprivate var windowBits: Int32 {
      switch self {
      case .gzip: 15 + 16
      case .zlib: 15
      case .raw: -15
      }
    }
  }

  /// The most bytes that `count` compressed ones can stand for: deflate codes at most 258 bytes in two bits.
  static func largestExpansion(of count: Int) -> Int {
    let (product, overflow) = count.multipliedReportingOverflow(by: 1032)
    return overflow ? Int.max : product
  }

  static func recognizes(_ file: FileContent) -> Bool { file.prefix(2) == [0x1F, 0x8B] }

  /// What the last four bytes of a .gz file say of its content's length; 0 if there are too few.
  static func claimedSize(of bytes: UnsafeRawBufferPointer) -> Int {
    if bytes.count < 18 { return 0 }
    return Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: bytes.count - 4, as: UInt32.self)))
  }

  /// What tells its content apart from others: the sum and the length that a .gz file ends with.
  static func key(of bytes: UnsafeRawBufferPointer, path: String) -> Unpacked.Key {
    let size = claimedSize(of: bytes)
    if size == 0 { return Unpacked.Key(path: path, size: 0, checksum: 0) }
    let sum = bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt32.self)
    return Unpacked.Key(path: path, size: size, checksum: Int(UInt32(littleEndian: sum)))
  }

  /// All of a .gz file, whose last four bytes say how long its content is.
  ///
  /// - Throws: `FileError` if it is damaged, or would take more than `largest` bytes.
  static func inflateAll(_ bytes: UnsafeRawBufferPointer, largest: Int, path: String) throws -> [UInt8] {
    if bytes.count < 18 { throw FileError(path, "is a damaged .gz file: it ends early") }
    let size = claimedSize(of: bytes)
    if size > largest || bytes.count > largest {
      throw FileError(path, "unpacks to more than \(largest.grouped) bytes: gunzip it first")
    }
    if size > largestExpansion(of: bytes.count) {
      throw FileError(path, "has \(bytes.count) compressed bytes, too few for the \(size) it claims")
    }
    let content = try inflate(bytes, limit: size + 1, path: path)
    if content.count != size {
      throw FileError(
        path, "does not have the \(size) bytes it claims: gunzip it first if it has several parts")
    }
    return content
  }

  /// Whether a .gz file lacks its end, as far as its first `largest` bytes of content tell.
  static func isCutOff(_ bytes: UnsafeRawBufferPointer, largest: Int, path: String) throws -> Bool {
    try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1 << 18) { room in
      try withStream(.gzip, path: path) { stream in
        var (read, written) = (0, 0)
        while written < largest {
          switch step(&stream, from: bytes, &read, into: room, &written) {
          case Z_OK: continue
          case Z_BUF_ERROR: return true
          default: return false
          }
        }
        return false
      }
    }
  }

  /// The content, or its first `limit` bytes if it is longer; the checksum is compared if it is not.
  ///
  /// - Throws: `FileError` if the stream is damaged or ends early.
  static func inflate(
    _ bytes: UnsafeRawBufferPointer, limit: Int, path: String, form: Form = .gzip
  ) throws -> [UInt8] {
    let damaged = form == .gzip ? "is a damaged .gz file" : "is damaged"
    return try withStream(form, path: path) { stream in
      try [UInt8](unsafeUninitializedCapacity: limit) { output, written in
        var read = 0
        while written < limit {
          let room = UnsafeMutableBufferPointer(rebasing: output[written..<limit])
          let status = step(&stream, from: bytes, &read, into: room, &written)
          switch status {
          case Z_STREAM_END: return
          case Z_OK: continue
          case Z_BUF_ERROR: throw FileError(path, "\(damaged): it ends early")
          default: throw FileError(path, "\(damaged): \(text(stream, status))")
          }
        }
      }
    }
  }

  private static func withStream<Result>(
    _ form: Form, path: String, _ body: (inout z_stream) throws -> Result
  ) throws -> Result {
    var stream = z_stream()
    let status = inflateInit2_(&stream, form.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    if status != Z_OK { throw FileError(path, "cannot be decompressed: \(text(stream, status))") }
    defer { inflateEnd(&stream) }
    return try body(&stream)
  }

  /// Goes on with what follows the `read` bytes of the input, and adds what was read and written.
  ///
  /// - Returns: what zlib says of it.
  private static func step(
    _ stream: inout z_stream, from input: UnsafeRawBufferPointer, _ read: inout Int,
    into output: UnsafeMutableBufferPointer<UInt8>, _ written: inout Int
  ) -> Int32 {
    // zlib counts in 32 bits, so longer inputs and outputs are handed over in pieces.
    let offered = min(input.count - read, 1 << 30)
    let room = min(output.count, 1 << 30)
    let source = input.bindMemory(to: UInt8.self).baseAddress.map { $0 + read }
    stream.next_in = UnsafeMutablePointer(mutating: source)
    stream.avail_in = UInt32(offered)
    stream.next_out = output.baseAddress
    stream.avail_out = UInt32(room)
    let status = CZlib.inflate(&stream, Z_NO_FLUSH)
    read += offered - Int(stream.avail_in)
    written += room - Int(stream.avail_out)
    return status
  }

  private static func text(_ stream: z_stream, _ status: Int32) -> String {
    stream.msg.map { String(cString: $0) } ?? "zlib status \(status)"
  }
}
