import GlowImages
import Testing

@testable import GlowPlots

@Suite("Labeled sheets")
struct LabeledSheetTests {
  private let shape = ImageShape(height: 4, width: 6, channels: 3)

  private func image(_ seed: Int) -> ByteImage {
    ByteImage(
      shape: shape, pixels: (0..<shape.count).map { UInt8(truncatingIfNeeded: ($0 + 1) * 37 + seed * 101) })
  }

  /// Whether `image`, enlarged, stands in `sheet` with its corner at (x, y).
  private func stands(_ image: ByteImage, in sheet: ByteImage, x: Int, y: Int, scale: Int) -> Bool {
    (0..<image.shape.height * scale).allSatisfy { row in
      (0..<image.shape.width * scale).allSatisfy { column in
        (0..<3).allSatisfy { channel in
          sheet.pixels[((y + row) * sheet.shape.width + x + column) * 3 + channel]
            == image.pixels[(row / scale * image.shape.width + column / scale) * 3 + channel]
        }
      }
    }
  }

  private func isInked(_ sheet: ByteImage, columns: Range<Int>, rows: Range<Int>) -> Bool {
    rows.contains { y in columns.contains { sheet.pixels[(y * sheet.shape.width + $0) * 3] < 128 } }
  }

  @Test("images stand in rows and columns, byte for byte")
  func grid() throws {
    var sheet = LabeledSheet(rows: [.init("", [image(0), image(1), image(2)]), .init("", [image(3)])])
    sheet.scale = 3
    sheet.spacing = 5
    let picture = try sheet.image()
    #expect(picture.shape == ImageShape(height: 20 + 2 * 12 + 5, width: 20 + 3 * 18 + 2 * 5, channels: 3))
    for (index, place) in [(10, 10), (33, 10), (56, 10), (10, 27)].enumerated() {
      #expect(stands(image(index), in: picture, x: place.0, y: place.1, scale: 3), "\(index)")
    }
    #expect(picture.pixels[((27 + 2) * picture.shape.width + 33 + 2) * 3] == 255, "the second row is shorter")
  }

  @Test("labels stand before the rows and above the columns, the title above all")
  func labels() throws {
    var sheet = LabeledSheet(rows: [
      .init("first", [image(0), image(1)]), .init("II", [image(2), image(3)]),
    ])
    sheet.scale = 8
    let plain = try sheet.image()
    let left = plain.shape.width - 10 - 2 * 48 - 2
    #expect(left > 40 && stands(image(3), in: plain, x: left + 50, y: 10 + 34, scale: 8))
    #expect(isInked(plain, columns: 10..<left - 8, rows: 10..<42))
    #expect(isInked(plain, columns: left - 16..<left - 8, rows: 44..<76))
    sheet.columnLabels = ["0.5", "1"]
    let labeled = try sheet.image()
    let top = labeled.shape.height - plain.shape.height + 10
    #expect(top > 20 && stands(image(0), in: labeled, x: left, y: top, scale: 8))
    #expect(isInked(labeled, columns: left..<left + 48, rows: 10..<top))
    sheet.columnLabels = ["0.5", "a label that is wider than its column"]
    let upward = try sheet.image()
    #expect(upward.shape.width == plain.shape.width && upward.shape.height > plain.shape.height + 100)
    sheet.columnLabels = []
    sheet.title = "a title that is wider than the whole sheet"
    let titled = try sheet.image()
    #expect(titled.shape.width > plain.shape.width && titled.shape.height > plain.shape.height)
  }

  @Test("captions stand above the images of their row alone")
  func captions() throws {
    var sheet = LabeledSheet(rows: [.init("", [image(0), image(1)]), .init("", [image(2), image(3)])])
    sheet.scale = 8
    let plain = try sheet.image()
    sheet.rows[1].captions = ["0", "0.25"]
    let picture = try sheet.image()
    let extra = picture.shape.height - plain.shape.height
    #expect(extra > 15 && picture.shape.width == plain.shape.width)
    for (index, place) in [(10, 10), (60, 10), (10, 44 + extra), (60, 44 + extra)].enumerated() {
      #expect(stands(image(index), in: picture, x: place.0, y: place.1, scale: 8))
    }
    for column in [10..<58, 60..<108] {
      #expect(isInked(picture, columns: column, rows: 42..<42 + extra))
    }
  }

  @Test("what cannot be drawn is said")
  func errors() throws {
    #expect(throws: DrawingError("a sheet needs an image")) {
      try LabeledSheet(rows: [.init("a", [])]).image()
    }
    let other = ByteImage(shape: ImageShape(height: 1, width: 1, channels: 1), pixels: [0])
    #expect(throws: DrawingError("images of a sheet have one shape: b holds 1×1×1 beside 4×6×3")) {
      try LabeledSheet(rows: [.init("a", [image(0)]), .init("b", [other])]).image()
    }
    var wide = LabeledSheet(rows: [.init("", .init(repeating: image(0), count: 200))])
    wide.scale = 64
    #expect(throws: DrawingError.self) { try wide.image() }
    wide.rows[0].images = []
    #expect(throws: DrawingError.self) { try wide.check(shape: shape, columns: 200) }
    try wide.check(shape: shape, columns: 20)
    // Labels take part: 42 images of 384 pixels are within the limit of 16384 by 128.
    try wide.check(shape: shape, columns: 42)
    wide.rows[0].label = "a label of more than a hundred pixels"
    #expect(throws: DrawingError.self) { try wide.check(shape: shape, columns: 42) }
    // Neither side is too long, but both are long.
    let large = LabeledSheet(rows: .init(repeating: .init("", []), count: 5))
    #expect(throws: DrawingError.self) {
      try large.check(shape: ImageShape(height: 1000, width: 1000, channels: 3), columns: 8)
    }
  }
}
