import GlowImages
import Testing

@testable import GlowPlots

@Suite("Canvas")
struct CanvasTests {
  /// The RGB value at a pixel.
  private func pixel(_ image: ByteImage, _ x: Int, _ y: Int) -> [UInt8] {
    let start = (y * image.shape.width + x) * 3
    return Array(image.pixels[start..<start + 3])
  }

  @Test("rectangles fill exactly their pixels, in the color asked for")
  func rectangles() throws {
    let canvas = try Canvas(width: 4, height: 3, scale: 2)
    canvas.fill(Rectangle(x: 1, y: 1, width: 2, height: 1), Color(0x1020F0))
    let image = try canvas.image()
    #expect(image.shape == ImageShape(height: 6, width: 8, channels: 3))
    for y in 0..<6 {
      for x in 0..<8 {
        let isInside = (2..<6).contains(x) && (2..<4).contains(y)
        #expect(pixel(image, x, y) == (isInside ? [0x10, 0x20, 0xF0] : [255, 255, 255]), "\(x) \(y)")
      }
    }
  }

  @Test("images keep their bytes, each pixel a square", arguments: [1, 3])
  func images(channels: Int) throws {
    let shape = ImageShape(height: 2, width: 3, channels: channels)
    let source = ByteImage(shape: shape, pixels: (0..<shape.count).map { UInt8($0 * 13 + 1) })
    let canvas = try Canvas(width: 8, height: 6)
    canvas.draw(source, x: 1, y: 2, enlargement: 2)
    let image = try canvas.image()
    for y in 0..<6 {
      for x in 0..<8 {
        var expected: [UInt8] = [255, 255, 255]
        if (1..<7).contains(x) && (2..<6).contains(y) {
          let start = ((y - 2) / 2 * 3 + (x - 1) / 2) * channels
          expected =
            channels == 3
            ? Array(source.pixels[start..<start + 3]) : .init(repeating: source.pixels[start], count: 3)
        }
        #expect(pixel(image, x, y) == expected, "\(x) \(y)")
      }
    }
  }

  @Test("text darkens pixels where it stands, and nowhere else")
  func text() throws {
    func darkColumns(_ anchor: TextAnchor) throws -> (first: Int, last: Int) {
      let canvas = try Canvas(width: 200, height: 40)
      canvas.text("HHH", at: Point(100, 20), anchor: anchor, style: TextStyle(size: 20, color: .black))
      let image = try canvas.image()
      let dark = (0..<200).filter { x in (0..<40).contains { pixel(image, x, $0)[0] < 64 } }
      let rows = (0..<40).filter { y in (0..<200).contains { pixel(image, $0, y)[0] < 64 } }
      #expect(rows.first! >= 11 && rows.last! <= 28, "centered on its place: \(rows)")
      return (dark.first!, dark.last!)
    }
    let width = try Canvas(width: 1, height: 1).textWidth("HHH", style: TextStyle(size: 20))
    #expect(width > 30 && width < 60)
    let (start, middle, end) = (try darkColumns(.start), try darkColumns(.middle), try darkColumns(.end))
    #expect(start.first >= 100 && start.last < 100 + Int(width))
    #expect(abs((middle.first + middle.last) / 2 - 100) <= 1)
    #expect(end.last < 100 && end.first >= 100 - Int(width) - 1)
  }

  @Test("text that is read from below is as high as it was wide")
  func upwardText() throws {
    let canvas = try Canvas(width: 40, height: 200)
    canvas.text("HHH", at: Point(20, 150), style: TextStyle(size: 20, color: .black), isUpward: true)
    let image = try canvas.image()
    let rows = (0..<200).filter { y in (0..<40).contains { pixel(image, $0, y)[0] < 64 } }
    #expect(rows.last! <= 150 && rows.first! < 120 && rows.first! > 90)
  }

  @Test("what is drawn while clipped stays inside")
  func clip() throws {
    let canvas = try Canvas(width: 4, height: 1)
    canvas.clipped(to: Rectangle(x: 1, y: 0, width: 1, height: 1)) {
      canvas.fill(Rectangle(x: 0, y: 0, width: 4, height: 1), .black)
    }
    #expect(try canvas.image().pixels == [255, 255, 255, 0, 0, 0, 255, 255, 255, 255, 255, 255])
  }

  @Test("pictures that are too large are refused before they take memory")
  func limits() {
    for (width, height, scale) in [
      (16385, 1, 1), (1, 8193, 2), (16384, 4097, 1), (.max, .max, 1), (1, 1, .max),
    ] {
      #expect(throws: DrawingError.self) { try Canvas(width: width, height: height, scale: scale) }
    }
  }
}
