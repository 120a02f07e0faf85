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

  @Test("no file is smaller than what a disk is asked for", arguments: [1, 3])
  func need(channels: Int) throws {
    for side in [1, 2, 16, 100, 1000] {
      let shape = ImageShape(height: side, width: side, channels: channels)
      let black = ByteImage(shape: shape, pixels: [UInt8](repeating: 0, count: shape.count))
      let need = PNG.need(3, of: shape)
      let smallest = try PNG.encode(black, compression: 9).count
      #expect(need.files == 3 && need.bytesEach <= smallest && 2 * need.bytesEach > smallest, "\(shape)")
    }
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

  @Test("of 16 bits those that are significant are scaled to 8")
  func significantBits() throws {
    // 12 bits: the lower 4 hold a copy of the upper ones and do not count.
    let bytes = Crafted.png(
      width: 3, height: 1, depth: 16, colorType: 0, extra: [Crafted.chunk("sBIT", [12])],
      rows: [[0x80, 0x0F, 0x7F, 0xF0, 0xFF, 0xF0]])
    #expect(try decode(bytes).pixels == [128, 127, 255])
    let traits = try bytes.withUnsafeBytes { try PNG.header(of: $0, path: "a.png").traits }
    let largest = try bytes.withUnsafeBytes { try PNG.largestValue($0, path: "a.png") }
    #expect(traits == .deep && largest == 0xFFF0)
  }

  @Test("transparent pixels are laid on a background if that is asked for")
  func background() throws {
    func decode(_ bytes: [UInt8], on background: String) throws -> [UInt8] {
      try bytes.withUnsafeBytes {
        try ImageFile.decode($0, path: "a.png", background: Background(background)).pixels
      }
    }
    let rgba = Crafted.png(
      width: 2, height: 1, depth: 8, colorType: 6, rows: [[10, 20, 30, 0, 40, 50, 60, 128]])
    #expect(try decode(rgba, on: "255,0,7") == [255, 0, 7, 147, 25, 34])
    let gray = Crafted.png(width: 2, height: 1, depth: 8, colorType: 4, rows: [[10, 0, 40, 255]])
    #expect(try decode(gray, on: "white") == [255, 40])
    expectError("a.png", "is gray with transparent pixels, expected a gray --background, such as white") {
      try decode(gray, on: "255,0,7")
    }
    let palette = Crafted.png(
      width: 4, height: 1, depth: 2, colorType: 3,
      extra: [Crafted.chunk("PLTE", [1, 2, 3, 40, 50, 60]), Crafted.chunk("tRNS", [0])],
      rows: [[0b0100_0001]])
    #expect(try decode(palette, on: "9") == [40, 50, 60, 9, 9, 9, 9, 9, 9, 40, 50, 60])
    let opaque = try PNG.encode(testImage(3, 2, 3))
    #expect(try decode(opaque, on: "white") == testImage(3, 2, 3).pixels)
    for text in ["", "256", "1,2", "red", "1,,2", "-1"] { #expect(Background(text) == nil, "\(text)") }
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
    for count in 1..<whole.count where count != whole.count - 12 {
      #expect(throws: FileError.self) { try decode(Array(whole.prefix(count))) }
    }
    // What lacks nothing but the chunk that ends a file is whole.
    let unended = Array(whole.prefix(whole.count - 12))
    #expect(try decode(unended) == decode(whole))
    let header = try unended.withUnsafeBytes { try PNG.header(of: $0, path: "a.png") }
    #expect(header.traits == .unended)
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
