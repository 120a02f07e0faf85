import CPNGCodec
import GlowFiles

/// PNG files as bytes: gray stays one channel, everything else becomes RGB.
///
/// Sample values are taken as stored, because a change of them changes bits/dim: no gamma, no compositing
/// (alpha is dropped), palettes become RGB, 1-, 2- and 4-bit gray fills 0...255, 16 bits are scaled to 8.
/// Calls libpng.
public enum PNG {
  /// Height and width that are read and written.
  public static let maximumSide = Int(PNG_CODEC_MAXIMUM_SIDE)

  /// - Throws: `FileError` with `path` and what libpng said.
  public static func decode(_ bytes: UnsafeRawBufferPointer, path: String) throws -> ByteImage {
    let shape = try shape(of: bytes, path: path)
    let pixels = try [UInt8](unsafeUninitializedCapacity: shape.count) { buffer, count in
      try decode(bytes, path: path, into: UnsafeMutableBufferPointer(rebasing: buffer[..<shape.count]))
      count = shape.count
    }
    return ByteImage(shape: shape, pixels: pixels)
  }

  /// - Throws: `FileError`.
  public static func read(_ path: String) throws -> ByteImage {
    try MappedFile(path).withBytes { try decode($0, path: path) }
  }

  /// Height, width and channels that the file will have once decoded, from its header alone.
  ///
  /// - Throws: `FileError`.
  public static func shape(ofFile path: String) throws -> ImageShape {
    try MappedFile(path).withBytes { try shape(of: $0, path: path) }
  }

  /// The bytes of a PNG file with a gray or RGB image.
  ///
  /// - Parameter compression: zlib's level, from 0 (none) to 9 (smallest).
  /// - Throws: `FileError` with the path "PNG" if libpng refuses, as it does when memory runs out.
  public static func encode(_ image: ByteImage, compression: Int = 6) throws -> [UInt8] {
    let shape = image.shape
    precondition(shape.channels == 1 || shape.channels == 3, "PNG images are gray or RGB")
    precondition((0...9).contains(compression), "zlib's levels are 0...9")
    var bytes: UnsafeMutablePointer<UInt8>?
    var count = 0
    try call(path: "PNG", "cannot be written") { message in
      png_codec_encode(
        image.pixels, UInt32(shape.width), UInt32(shape.height), UInt32(shape.channels), Int32(compression),
        &bytes, &count, message)
    }
    defer { png_codec_free(bytes) }
    return Array(UnsafeBufferPointer(start: bytes, count: count))
  }

  /// Writes a PNG file as a whole or not at all.
  ///
  /// - Throws: `FileError`.
  public static func write(_ image: ByteImage, to path: String) throws {
    try AtomicFile.write(encode(image), to: path)
  }

  /// Decodes into `pixels`, which has the bytes that `shape(of:path:)` promised.
  static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, into pixels: UnsafeMutableBufferPointer<UInt8>
  ) throws {
    try call(path: path, "is a damaged PNG file") { message in
      png_codec_decode(
        bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count, pixels.baseAddress, pixels.count,
        message)
    }
  }

  static func shape(of bytes: UnsafeRawBufferPointer, path: String) throws -> ImageShape {
    if bytes.isEmpty { throw FileError(path, "is empty, expected a PNG file") }
    guard bytes.starts(with: signature) else { throw FileError(path, "is not a PNG file") }
    var header = png_codec_header()
    try call(path: path, "is a damaged PNG file") { message in
      png_codec_read_header(
        bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count, &header, message)
    }
    let shape = ImageShape(
      height: Int(header.height), width: Int(header.width), channels: Int(header.channels))
    // Checked before the image is allocated: a few bytes must not ask for a gigabyte.
    let stored = (header.stored_row_bytes + 1) * shape.height
    if stored > Gzip.largestExpansion(of: bytes.count) {
      throw FileError(path, "is a damaged PNG file: \(bytes.count) bytes cannot hold the \(shape) it claims")
    }
    return shape
  }

  private static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  private static func call(
    path: String, _ failure: String, _ body: (UnsafeMutablePointer<CChar>?) -> Int32
  ) throws {
    var message = [CChar](repeating: 0, count: Int(PNG_CODEC_MESSAGE_SIZE))
    let status = message.withUnsafeMutableBufferPointer { body($0.baseAddress) }
    if status != 0 {
      let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      throw FileError(path, "\(failure): \(String(decoding: text, as: UTF8.self))")
    }
  }
}
