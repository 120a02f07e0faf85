import CJPEGCodec
import GlowFiles

/// JPEG files as bytes: gray stays one channel; YCbCr and inks (CMYK and YCCK, inverted as Adobe writes them) become RGB.
///
/// Bytes are those of libjpeg's defaults, which Pillow has too: the slow exact DCT, smooth upsampling; inks become
/// RGB by Pillow's formula. Images are turned as their EXIF orientation says. Calls libjpeg-turbo.
enum JPEG: ImageCodec {
  static let name = "JPEG"

  static func recognizes(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: [0xFF, 0xD8, 0xFF]) }

  static func header(of bytes: UnsafeRawBufferPointer, path: String) throws -> ImageHeader {
    let stored = try storedHeader(of: bytes, path: path)
    let turn = orientation(bytes)
    let (height, width) = (Int(stored.height), Int(stored.width))
    let shape = ImageShape(height: height, width: width, channels: stored.channels == 1 ? 1 : 3)
    return ImageHeader(shape: turn.turned(shape), traits: traits(stored, turn))
  }

  private static func traits(_ stored: jpeg_codec_header, _ turn: Orientation) -> ImageTraits {
    var traits: ImageTraits = []
    if turn != .upright { traits.insert(.turned) }
    if stored.channels == 4 { traits.insert(.inks) }
    return traits
  }

  static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, background: Background?,
    into pixels: UnsafeMutableBufferPointer<UInt8>
  ) throws -> ImageTraits {
    let stored = try storedHeader(of: bytes, path: path)
    let (height, width, channels) = (Int(stored.height), Int(stored.width), Int(stored.channels))
    let turn = orientation(bytes)
    let shape = turn.turned(ImageShape(height: height, width: width, channels: min(channels, 3)))
    try turn.putUpright(shape, into: pixels) { target in
      if channels != 4 { return try decode(bytes, path: path, into: target) }
      var inks = [UInt8](repeating: 0, count: height * width * channels)
      try inks.withUnsafeMutableBufferPointer { try decode(bytes, path: path, into: $0) }
      _ = target.update(fromContentsOf: rgb(inks: inks))
    }
    return traits(stored, turn)
  }

  private static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, into samples: UnsafeMutableBufferPointer<UInt8>
  ) throws {
    try call(path: path) { message in
      jpeg_codec_decode(
        bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count, samples.baseAddress,
        samples.count, message)
    }
  }

  private static func storedHeader(of bytes: UnsafeRawBufferPointer, path: String) throws -> jpeg_codec_header
  {
    var header = jpeg_codec_header()
    try call(path: path) { message in
      jpeg_codec_read_header(
        bytes.assumingMemoryBound(to: UInt8.self).baseAddress, bytes.count, &header, message)
    }
    let (height, width) = (Int(header.height), Int(header.width))
    if max(height, width) > PNG.maximumSide {
      throw FileError(path, "is \(height)×\(width), expected at most \(PNG.maximumSide) a side")
    }
    // Checked before the image is allocated: every block of 8×8 takes a bit at least.
    if (height + 7) / 8 * ((width + 7) / 8) > 8 * bytes.count {
      throw FileError(
        path, "is a damaged JPEG file: \(bytes.count) bytes cannot hold the \(height)×\(width) it claims")
    }
    return header
  }

  /// Each ink takes its part of the light that black leaves.
  private static func rgb(inks: [UInt8]) -> [UInt8] {
    var pixels: [UInt8] = []
    pixels.reserveCapacity(inks.count / 4 * 3)
    for start in stride(from: 0, to: inks.count, by: 4) {
      // Inverted: 255 is no ink.
      let light = Int(inks[start + 3])
      for channel in 0..<3 {
        let product = (255 - Int(inks[start + channel])) * light + 128
        pixels.append(UInt8(light - ((product >> 8) + product) >> 8))
      }
    }
    return pixels
  }

  /// From the first EXIF block before the image's data.
  private static func orientation(_ bytes: UnsafeRawBufferPointer) -> Orientation {
    var start = 2
    while bytes.count - start >= 4, bytes[start] == 0xFF {
      let marker = bytes[start + 1]
      if marker == 0xFF {
        start += 1
        continue
      }
      // The data begin, or the file ends.
      if marker == 0xDA || marker == 0xD9 { break }
      let end = start + 2 + (Int(bytes[start + 2]) << 8 | Int(bytes[start + 3]))
      if end > bytes.count || end < start + 4 { break }
      let content = bytes[(start + 4)..<end]
      if marker == 0xE1, content.starts(with: "Exif\0\0".utf8) {
        return Orientation(exif: content.dropFirst(6)) ?? .upright
      }
      start = end
    }
    return .upright
  }

  private static func call(path: String, _ body: (UnsafeMutablePointer<CChar>?) -> Int32) throws {
    var message = [CChar](repeating: 0, count: Int(JPEG_CODEC_MESSAGE_SIZE))
    let status = message.withUnsafeMutableBufferPointer { body($0.baseAddress) }
    if status != 0 {
      let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      throw FileError(path, "cannot be read as JPEG: \(String(decoding: text, as: UTF8.self))")
    }
  }
}
