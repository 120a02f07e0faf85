import Foundation
import GlowFiles
import Testing

@testable import GlowImages

/// A folder of its own for a test, removed with the object.
final class TestFolder {
  let path = FileManager.default.temporaryDirectory.appending(path: "glow-images-\(UUID())").path

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file, and the folders it stands in, and returns its path.
  @discardableResult
  func write(_ bytes: [UInt8], _ name: String) throws -> String {
    let file = "\(path)/\(name)"
    let folder = URL(filePath: file).deletingLastPathComponent().path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try AtomicFile.write(bytes, to: file)
    return file
  }

  /// The folder as a container of files.
  var container: PlainFolder { PlainFolder(path) }

  @discardableResult
  func write(_ image: ByteImage, _ name: String) throws -> String { try write(PNG.encode(image), name) }
}

/// Expects `body` to throw a `FileError` with exactly this path and reason.
func expectError<Result>(
  _ path: String, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () throws -> Result
) {
  #expect(throws: FileError(path, reason), sourceLocation: sourceLocation) { _ = try body() }
}

/// An image whose bytes look random and depend on `seed`.
func testImage(_ height: Int, _ width: Int, _ channels: Int, seed: Int = 1) -> ByteImage {
  var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
  let shape = ImageShape(height: height, width: width, channels: channels)
  let pixels = (0..<shape.count).map { _ in
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return UInt8(truncatingIfNeeded: state >> 56)
  }
  return ByteImage(shape: shape, pixels: pixels)
}

/// Files written by hand, so that they can be wrong in one place.
enum Crafted {
  static func bigEndian(_ value: Int) -> [UInt8] {
    [24, 16, 8, 0].map { (shift: Int) -> UInt8 in UInt8(value >> shift & 0xFF) }
  }

  /// A whole PNG whose `rows` (without filter bytes, of all passes) are stored uncompressed.
  static func png(
    width: Int, height: Int, depth: UInt8, colorType: UInt8, extra: [[UInt8]] = [], rows: [[UInt8]]
  ) -> [UInt8] {
    let header = bigEndian(width) + bigEndian(height) + [depth, colorType, 0, 0, 0]
    var data: [UInt8] = []
    for row in rows { data += [UInt8(0)] + row }
    let stream: [UInt8] = [UInt8(0x78), 0x01] + stored(data) + bigEndian(adler(data))
    var file = signature + chunk("IHDR", header)
    for chunk in extra { file += chunk }
    return file + chunk("IDAT", stream) + chunk("IEND", [])
  }

  static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  static func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
    let named: [UInt8] = Array(type.utf8) + content
    return bigEndian(content.count) + named + bigEndian(crc(named))
  }

  /// A whole .gz file whose content is stored uncompressed.
  static func gzip(_ content: [UInt8]) -> [UInt8] {
    let header: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]
    let trailer: [UInt8] = bigEndian(content.count) + bigEndian(crc(content))
    return header + stored(content) + Array(trailer.reversed())
  }

  static func idx(_ magic: Int, _ dimensions: [Int], _ values: [UInt8]) -> [UInt8] {
    var file = bigEndian(magic)
    for dimension in dimensions { file += bigEndian(dimension) }
    return file + values
  }

  /// A .npy file of version 1.0 with this text as its header.
  static func npy(_ dictionary: String, _ values: [UInt8]) -> [UInt8] {
    let text = Array(dictionary.utf8)
    let start: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0, UInt8(text.count), 0]
    return start + text + values
  }

  private static func stored(_ data: [UInt8]) -> [UInt8] {
    precondition(data.count < 65536)
    let length: [UInt8] = [UInt8(data.count & 0xFF), UInt8(data.count >> 8)]
    let inverted: [UInt8] = length.map { ~$0 }
    return [UInt8(1)] + length + inverted + data
  }

  private static func crc(_ bytes: [UInt8]) -> Int {
    var sum = UInt32.max
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 {
        let carry = sum & 1
        sum >>= 1
        if carry == 1 { sum ^= 0xEDB8_8320 }
      }
    }
    return Int(~sum)
  }

  private static func adler(_ bytes: [UInt8]) -> Int {
    var (low, high) = (1, 0)
    for byte in bytes {
      low = (low + Int(byte)) % 65521
      high = (high + low) % 65521
    }
    return high << 16 | low
  }
}
