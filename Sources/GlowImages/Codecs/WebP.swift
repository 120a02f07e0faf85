import CWebP
import GlowFiles

/// WebP files as bytes, always RGB, turned as their EXIF orientation says; of an animation nothing is read. Calls libwebp.
enum WebP: ImageCodec {
  static let name = "WebP"

  /// A few bytes may stand for an image of any size, so that only a limit bounds the memory for it.
  private static let maximumPixels = 1 << 26

  static func recognizes(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= 12 && bytes.starts(with: "RIFF".utf8) && bytes[8..<12].elementsEqual("WEBP".utf8)
  }

  static func header(of bytes: UnsafeRawBufferPointer, path: String) throws -> ImageHeader {
    var features = WebPBitstreamFeatures()
    let status = WebPGetFeatures(
      bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count, &features)
    if status != VP8_STATUS_OK { throw FileError(path, "is a damaged WebP file: \(text(status))") }
    if features.has_animation != 0 { throw FileError(path, "is an animation, expected one image") }
    let shape = ImageShape(height: Int(features.height), width: Int(features.width), channels: 3)
    if shape.height * shape.width > maximumPixels {
      throw FileError(path, "is \(shape), expected at most \(maximumPixels) pixels in a WebP file")
    }
    let turn = orientation(bytes)
    var traits: ImageTraits = features.has_alpha != 0 ? .alpha : []
    if turn != .upright { traits.insert(.turned) }
    return ImageHeader(shape: turn.turned(shape), traits: traits)
  }

  static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, background: Background?,
    into pixels: UnsafeMutableBufferPointer<UInt8>
  ) throws -> ImageTraits {
    let header = try header(of: bytes, path: path)
    let turn = orientation(bytes)
    let stored = ImageHeader(shape: turn.turned(header.shape), traits: header.traits)
    var isTransparent = false
    try turn.putUpright(header.shape, into: pixels) {
      isTransparent = try decode(bytes, path: path, stored, background: background, into: $0)
    }
    return header.traits.seen(isTransparent: isTransparent)
  }

  /// - Returns: whether there are colors that nobody sees.
  private static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, _ stored: ImageHeader, background: Background?,
    into pixels: UnsafeMutableBufferPointer<UInt8>
  ) throws -> Bool {
    let source = bytes.assumingMemoryBound(to: UInt8.self).baseAddress
    let width = stored.shape.width
    if !stored.traits.contains(.alpha) {
      if WebPDecodeRGBInto(source, bytes.count, pixels.baseAddress, pixels.count, Int32(3 * width)) == nil {
        throw FileError(path, "is a damaged WebP file: its header is whole, its pixels are not")
      }
      return false
    }
    var layers = [UInt8](repeating: 0, count: stored.shape.height * width * 4)
    let isRead = layers.withUnsafeMutableBufferPointer {
      WebPDecodeRGBAInto(source, bytes.count, $0.baseAddress, $0.count, Int32(4 * width)) != nil
    }
    if !isRead { throw FileError(path, "is a damaged WebP file: its header is whole, its pixels are not") }
    return try Background.flatten(layers, channels: 3, on: background, into: pixels, path: path)
  }

  /// From the chunk EXIF of the file's RIFF chunks.
  private static func orientation(_ bytes: UnsafeRawBufferPointer) -> Orientation {
    var start = 12
    while bytes.count - start >= 8 {
      let size = Int(
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self)))
      let content = start + 8
      if size > bytes.count - content { break }
      if bytes[start..<start + 4].elementsEqual("EXIF".utf8) {
        let block = bytes[content..<content + size]
        // Some writers keep what stands before the block in a JPEG file.
        let prefix = block.starts(with: "Exif\0\0".utf8) ? 6 : 0
        return Orientation(exif: block.dropFirst(prefix)) ?? .upright
      }
      start = content + size + size % 2
    }
    return .upright
  }

  private static func text(_ status: VP8StatusCode) -> String {
    switch status {
    case VP8_STATUS_NOT_ENOUGH_DATA: "it ends early"
    case VP8_STATUS_UNSUPPORTED_FEATURE: "it has a feature that libwebp does not know"
    default: "libwebp cannot read it"
    }
  }
}
