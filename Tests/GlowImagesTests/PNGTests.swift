import GlowFiles
import Testing

@testable import GlowImages

@Suite("PNG")
struct PNGTests {
  private func decode(_ bytes: [UInt8]) throws -> ByteImage {
    try bytes.withUnsafeBytes { try PNG.decode($0, path: "a.png") }
  }

  @Test("what is written is read back", arguments: [1, 3], [0, 6, 9])
  func roundTrip(channels: Int, compression: Int) throws {
    let image = testImage(17, 33, channels)
    #expect(try decode(PNG.encode(image, compression: compression)) == image)
  }

  @Test("files round-trip and tell their shape")
  func files() throws {
    let folder = try TestFolder()
    let path = "\(folder.path)/a.png"
    let image = testImage(5, 4, 3)
    try PNG.write(image, to: path)
    #expect(try PNG.shape(ofFile: path) == image.shape)
    #expect(try PNG.read(path) == image)
  }

  @Test("a stronger compression gives a smaller file")
  func compression() throws {
    let shape = ImageShape(height: 64, width: 64, channels: 1)
    let image = ByteImage(shape: shape, pixels: (0..<64).flatMap { [UInt8](repeating: $0, count: 64) })
    #expect(try PNG.encode(image, compression: 9).count < PNG.encode(image, compression: 0).count / 2)
  }

  @Test("gray of 1, 2 and 4 bits fills 0 to 255")
  func shallowGray() throws {
    let one = Crafted.png(width: 4, height: 1, depth: 1, colorType: 0, rows: [[0b0110_0000]])
    #expect(try decode(one).pixels == [0, 255, 255, 0])
    let two = Crafted.png(width: 4, height: 1, depth: 2, colorType: 0, rows: [[0b0001_1011]])
    #expect(try decode(two).pixels == [0, 85, 170, 255])
    let four = Crafted.png(width: 2, height: 1, depth: 4, colorType: 0, rows: [[0x1F]])
    #expect(try decode(four).pixels == [17, 255])
  }

  @Test("16 bits are scaled to the nearest of 8")
  func deepGray() throws {
    let bytes = Crafted.png(
      width: 3, height: 1, depth: 16, colorType: 0, rows: [[0x00, 0x80, 0x00, 0x81, 0xFF, 0xFF]])
    // 128/257 is nearer to 0, 129/257 nearer to 1; dropping the low byte would make both 0.
    #expect(try decode(bytes).pixels == [0, 1, 255])
  }

  @Test("alpha is dropped and hides nothing")
  func alpha() throws {
    let rgba = Crafted.png(
      width: 2, height: 1, depth: 8, colorType: 6, rows: [[10, 20, 30, 0, 40, 50, 60, 128]])
    let image = try decode(rgba)
    #expect(image.shape == ImageShape(height: 1, width: 2, channels: 3))
    #expect(image.pixels == [10, 20, 30, 40, 50, 60])
    let gray = Crafted.png(width: 2, height: 1, depth: 8, colorType: 4, rows: [[10, 0, 40, 128]])
    #expect(try decode(gray).pixels == [10, 40])
  }

  @Test("a palette becomes RGB, its transparency and a gamma change nothing")
  func palette() throws {
    let bytes = Crafted.png(
      width: 4, height: 1, depth: 2, colorType: 3,
      extra: [
        Crafted.chunk("gAMA", Crafted.bigEndian(100_000)), Crafted.chunk("PLTE", [1, 2, 3, 40, 50, 60]),
        Crafted.chunk("tRNS", [0, 128]),
      ],
      rows: [[0b0100_0001]])
    let image = try decode(bytes)
    #expect(image.shape == ImageShape(height: 1, width: 4, channels: 3))
    #expect(image.pixels == [40, 50, 60, 1, 2, 3, 1, 2, 3, 40, 50, 60])
  }

  @Test("what is not a PNG file is refused")
  func notPNG() {
    expectError("a.png", "is not a PNG file") { try decode(Array("just a text\n".utf8)) }
    expectError("a.png", "is empty, expected a PNG file") { try decode([]) }
  }

  @Test("every truncation of a file is refused")
  func truncation() throws {
    let whole = try PNG.encode(testImage(6, 5, 3))
    for count in 1..<whole.count {
      #expect(throws: FileError.self) { try decode(Array(whole.prefix(count))) }
    }
    expectError("a.png", "is a damaged PNG file: the file ends early") {
      try decode(Array(whole.prefix(whole.count - 20)))
    }
  }

  @Test("a flipped bit in any critical chunk is refused")
  func damage() throws {
    let whole = try PNG.encode(testImage(6, 5, 3))
    for index in whole.indices {
      var damaged = whole
      damaged[index] ^= 0x04
      #expect(throws: FileError.self, "byte \(index)") { try decode(damaged) }
    }
  }

  @Test("sides above the limit are refused with the limit's name")
  func limits() {
    let wide = Crafted.png(width: 16385, height: 1, depth: 8, colorType: 0, rows: [[0]])
    expectError(
      "a.png",
      "is a damaged PNG file: Invalid IHDR data (Image width exceeds user limit in IHDR)"
    ) { try decode(wide) }
    #expect(throws: FileError.self) {
      try decode(Crafted.png(width: 0, height: 1, depth: 8, colorType: 0, rows: [[0]]))
    }
  }

  @Test("a small file that claims a huge image is refused before anything is allocated")
  func claims() {
    let bytes = Crafted.png(width: 16384, height: 16384, depth: 8, colorType: 2, rows: [[0]])
    expectError(
      "a.png",
      "is a damaged PNG file: \(bytes.count) bytes cannot hold the 16384×16384×3 it claims"
    ) { try decode(bytes) }
  }

  @Test("a highly compressible image is not taken for a false claim")
  func compressible() throws {
    let shape = ImageShape(height: 2000, width: 2000, channels: 3)
    let image = ByteImage(shape: shape, pixels: [UInt8](repeating: 0, count: shape.count))
    #expect(try decode(PNG.encode(image, compression: 9)) == image)
  }
}
