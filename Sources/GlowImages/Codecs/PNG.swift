import CPNGCodec
import GlowFiles

/// PNG files as bytes: gray stays one channel, everything else becomes RGB.
///
/// Sample values are taken as stored, because a change of them changes bits/dim: no gamma, no compositing
/// (alpha is dropped, unless a background is asked for), palettes become RGB, 1-, 2- and 4-bit gray fills 0...255, 16 bits
/// are scaled to 8, those that are significant if the file says how many these are. A file that lacks nothing but its
/// last chunk, IEND, is read. Images are turned as their EXIF orientation says; of an animation the default image is taken.
/// Calls libpng.
package enum PNG: ImageCodec {
  static let name = "PNG"

  /// Height and width that are read and written.
  package static let maximumSide = Int(PNG_CODEC_MAXIMUM_SIDE)

  /// - Throws: `FileError` with `path` and what libpng said.
  package static func decode(_ bytes: UnsafeRawBufferPointer, path: String) throws -> ByteImage {
    let shape = try shape(of: bytes, path: path)
    let pixels = try [UInt8](unsafeUninitializedCapacity: shape.count) { buffer, count in
      try decode(
        bytes, path: path, background: nil,
        into: UnsafeMutableBufferPointer(rebasing: buffer[..<shape.count]))
      count = shape.count
    }
    return ByteImage(shape: shape, pixels: pixels)
  }

  /// - Throws: `FileError`.
  package static func read(_ path: String) throws -> ByteImage {
    try MappedFile(path).withBytes { try decode($0, path: path) }
  }

  /// Height, width and channels that the file will have once decoded, from its header alone.
  ///
  /// - Throws: `FileError`.
  package static func shape(ofFile path: String) throws -> ImageShape {
    try MappedFile(path).withBytes { try shape(of: $0, path: path) }
  }

  /// The bytes of a PNG file with a gray or RGB image.
  ///
  /// - Parameter compression: zlib's level, from 0 (none) to 9 (smallest).
  /// - Throws: `FileError` with the path "PNG" if libpng refuses, as it does when memory runs out.
  package static func encode(_ image: ByteImage, compression: Int = 6) throws -> [UInt8] {
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
  package static func write(_ image: ByteImage, to path: String) throws {
    try AtomicFile.write(encode(image), to: path)
  }

  /// What PNG files take of a disk at least, one an image of a shape.
  ///
  /// How small an image becomes depends on what it shows, so that this is what the smallest one has: the signature, the
  /// chunks IHDR, IDAT and IEND, zlib's header and checksum, and its rows, each with the byte of its filter, as tightly
  /// as deflate can pack anything: 258 bytes in 2 bits.
  package static func need(_ count: Int, of shape: ImageShape) -> DiskNeed {
    let rows = shape.height * (1 + shape.width * shape.channels)
    return DiskNeed(files: count, bytesEach: 8 + 25 + 12 + 12 + 6 + rows / (4 * 258))
  }

  static func recognizes(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: signature) }

  @discardableResult
  static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, background: Background?,
    into pixels: UnsafeMutableBufferPointer<UInt8>
  ) throws -> ImageTraits {
    let header = try header(of: bytes, path: path)
    var isTransparent = false
    try Chunks(bytes).orientation.putUpright(header.shape, into: pixels) {
      isTransparent = try decode(bytes, path: path, header, background: background, into: $0)
    }
    return header.traits.seen(isTransparent: isTransparent)
  }

  /// - Returns: whether there are colors that nobody sees.
  private static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, _ header: ImageHeader, background: Background?,
    into pixels: UnsafeMutableBufferPointer<UInt8>
  ) throws -> Bool {
    if !header.traits.contains(.alpha) {
      try decode(bytes, path: path, into: pixels)
      return false
    }
    let channels = header.shape.channels
    var layers = [UInt8](repeating: 0, count: header.shape.height * header.shape.width * (channels + 1))
    _ = try layers.withUnsafeMutableBufferPointer {
      try decode(bytes, path: path, keepsAlpha: true, into: $0)
    }
    return try Background.flatten(layers, channels: channels, on: background, into: pixels, path: path)
  }

  /// The largest value of a file of 16 bits, alpha apart.
  ///
  /// - Throws: `FileError`.
  static func largestValue(_ bytes: UnsafeRawBufferPointer, path: String) throws -> Int {
    var pixels = [UInt8](repeating: 0, count: try shape(of: bytes, path: path).count)
    return try pixels.withUnsafeMutableBufferPointer { try decode(bytes, path: path, into: $0) }
  }

  /// - Returns: the largest value before it was reduced, or 0 where nothing was.
  @discardableResult
  private static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, keepsAlpha: Bool = false,
    into pixels: UnsafeMutableBufferPointer<UInt8>
  ) throws -> Int {
    var largest: UInt32 = 0
    try call(path: path, "is a damaged PNG file") { message in
      png_codec_decode(
        bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count, keepsAlpha ? 1 : 0,
        pixels.baseAddress, pixels.count, &largest, message)
    }
    return Int(largest)
  }

  static func shape(of bytes: UnsafeRawBufferPointer, path: String) throws -> ImageShape {
    try header(of: bytes, path: path).shape
  }

  static func header(of bytes: UnsafeRawBufferPointer, path: String) throws -> ImageHeader {
    if bytes.isEmpty { throw FileError(path, "is empty, expected a PNG file") }
    guard recognizes(bytes) else { throw FileError(path, "is not a PNG file") }
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
    var traits: ImageTraits = []
    if header.has_alpha != 0 { traits.insert(.alpha) }
    if header.depth == 16 { traits.insert(.deep) }
    let chunks = Chunks(bytes)
    if chunks.lackOnlyEnd { traits.insert(.unended) }
    if chunks.areAnimation { traits.insert(.animated) }
    if chunks.orientation != .upright { traits.insert(.turned) }
    return ImageHeader(shape: chunks.orientation.turned(shape), traits: traits)
  }

  /// What a file's chunks say that libpng is not asked for.
  private struct Chunks {
    /// Whether they are whole, and none is the last one.
    var lackOnlyEnd = false
    var areAnimation = false
    var orientation = Orientation.upright

    init(_ bytes: UnsafeRawBufferPointer) {
      var start = signature.count
      while bytes.count - start >= 12 {
        let size = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
        let type = bytes[(start + 4)..<(start + 8)]
        if type.elementsEqual("IEND".utf8) { return }
        if type.elementsEqual("acTL".utf8) { areAnimation = true }
        if type.elementsEqual("eXIf".utf8), size <= bytes.count - start - 12 {
          let block = bytes[(start + 8)..<(start + 8 + size)]
          orientation = Orientation(exif: block) ?? .upright
        }
        start += 12 + size
      }
      lackOnlyEnd = start == bytes.count
    }
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
