import CZlib
import GlowFiles

/// Animated PNG files: a PNG of the first frame, to which chunks with the other frames are added. A reader that
/// does not know them shows the first frame.
///
/// Source: Portable Network Graphics (PNG) Specification (Third Edition), sections 4.9 and 11.3.6. Each frame is
/// compressed by libpng, which writes no animations itself. Calls `crc32`.
package enum AnimatedPNG {
  /// The bytes of a file that shows `frames` one after the other, for ever.
  ///
  /// - Parameters:
  ///   - frames: at least one, all of one shape, gray or RGB.
  ///   - milliseconds: how long each is shown, at most 65535.
  /// - Throws: `FileError` if libpng refuses.
  package static func encode(_ frames: [ByteImage], milliseconds: Int) throws -> [UInt8] {
    precondition(!frames.isEmpty && frames.allSatisfy { $0.shape == frames[0].shape })
    precondition((1...65535).contains(milliseconds))
    let first = chunks(of: try PNG.encode(frames[0]))
    var file = Array(first.start)
    file += chunk("IHDR", first.contents("IHDR").joined())
    // Times played: 0 is for ever.
    file += chunk("acTL", bytes(frames.count) + bytes(0))
    var sequence = 0
    for (index, frame) in frames.enumerated() {
      file += chunk("fcTL", frameControl(sequence, frame.shape, milliseconds))
      sequence += 1
      let data = index == 0 ? first : chunks(of: try PNG.encode(frame))
      for content in data.contents("IDAT") {
        if index == 0 {
          file += chunk("IDAT", content)
        } else {
          file += chunk("fdAT", bytes(sequence) + content)
          sequence += 1
        }
      }
    }
    return file + chunk("IEND", [])
  }

  /// Writes a file as a whole or not at all.
  ///
  /// - Throws: `FileError`.
  package static func write(_ frames: [ByteImage], milliseconds: Int, to path: String) throws {
    try AtomicFile.write(encode(frames, milliseconds: milliseconds), to: path)
  }

  /// The whole area is replaced by the frame and stays until the next one.
  private static func frameControl(_ sequence: Int, _ shape: ImageShape, _ milliseconds: Int) -> [UInt8] {
    let offset = bytes(0) + bytes(0)
    let delay = [UInt8(milliseconds >> 8), UInt8(milliseconds & 0xFF), UInt8(1000 >> 8), UInt8(1000 & 0xFF)]
    let disposeNone: UInt8 = 0
    let blendSource: UInt8 = 0
    return bytes(sequence) + bytes(shape.width) + bytes(shape.height) + offset + delay
      + [disposeNone, blendSource]
  }

  private static func chunk(_ type: String, _ content: some Sequence<UInt8>) -> [UInt8] {
    let named = Array(type.utf8) + content
    return bytes(named.count - 4) + named + bytes(Int(crc32(0, named, UInt32(named.count))))
  }

  /// A whole number of 32 bits, the highest byte first.
  private static func bytes(_ value: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  /// A PNG file of libpng's, taken apart.
  private struct Chunks {
    let start: ArraySlice<UInt8>
    let list: [(type: String, content: ArraySlice<UInt8>)]

    func contents(_ type: String) -> [ArraySlice<UInt8>] {
      list.filter { $0.type == type }.map(\.content)
    }
  }

  private static func chunks(of file: [UInt8]) -> Chunks {
    var list: [(String, ArraySlice<UInt8>)] = []
    var offset = 8
    while offset < file.count {
      let length = file[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
      let type = String(decoding: file[offset + 4..<offset + 8], as: UTF8.self)
      list.append((type, file[offset + 8..<offset + 8 + length]))
      // Length, type and sum take 12 bytes.
      offset += 12 + length
    }
    return Chunks(start: file[..<8], list: list)
  }
}
