import GlowFiles
import Testing

@testable import GlowImages

@Suite(".npy")
struct NumpyTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func open(_ bytes: [UInt8]) throws -> any Dataset {
    try DataSource.open(folder.write(bytes, "a.npy"), part: .test).dataset
  }

  @Test("four and three dimensions")
  func reading() throws {
    let values = [UInt8](0..<24)
    let color = try open(NumpyHeader(dataType: "|u1", shape: [2, 2, 2, 3]).encoded() + values)
    #expect(color.count == 2 && color.shape == ImageShape(height: 2, width: 2, channels: 3))
    #expect(try color.image(1).pixels == Array(12..<24))
    #expect(color.source(1) == "\(folder.path)/a.npy#1")
    let gray = try open(NumpyHeader(dataType: "|u1", shape: [1, 4, 6]).encoded() + values)
    #expect(gray.shape == ImageShape(height: 4, width: 6, channels: 1))
    let opened = try DataSource.open("\(folder.path)/a.npy", part: .train)
    #expect(opened.part == nil && opened.kind == ".npy")
  }

  @Test("headers of any type round-trip", arguments: [[], [5], [2, 3], [1, 0, 7]])
  func headers(shape: [Int]) throws {
    for type in ["|u1", "<f4", "<f8"] {
      let header = NumpyHeader(dataType: type, isFortranOrdered: shape.count == 2, shape: shape)
      let bytes = header.encoded() + [UInt8](repeating: 0, count: try #require(header.dataSize))
      let parsed = try bytes.withUnsafeBytes { try NumpyHeader.parse($0, path: "a") }
      #expect(parsed.header == header)
      #expect(parsed.dataOffset % 64 == 0 && parsed.dataOffset == header.encoded().count)
    }
  }

  @Test("version 2 has a longer length")
  func versionTwo() throws {
    let text = "{'fortran_order': False, 'shape': (1, 1, 1), 'descr': '|u1'}"
    let start: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 2, 0, UInt8(text.utf8.count), 0, 0, 0]
    let file: [UInt8] = start + Array(text.utf8) + [77]
    #expect(try open(file).image(0).pixels == [77])
  }

  /// What an array of bytes 0, 1, 2, … of this shape is read as.
  private func understand(_ shape: [Int], isFortran: Bool = false, _ layout: ArrayLayout? = nil) throws
    -> OpenedData
  {
    let header = NumpyHeader(dataType: "|u1", isFortranOrdered: isFortran, shape: shape)
    let values = (0..<shape.reduce(1, *)).map { UInt8(truncatingIfNeeded: $0) }
    var options = DataOptions()
    options.layout = layout
    return try DataSource.open(
      folder.write(header.encoded() + values, "a.npy"), part: .train, options: options)
  }

  @Test(
    "an array that can mean one thing is taken for that, with a word where a person might think otherwise")
  func shapes() throws {
    let one = try understand([8, 8, 3])
    #expect(one.dataset.count == 1 && one.dataset.shape == ImageShape(height: 8, width: 8, channels: 3))
    #expect(one.note == "an array [8, 8, 3] is taken for one image [height, width, channels]")
    #expect(try one.dataset.image(0).pixels == (0..<192).map { UInt8($0) })
    let first = try understand([2, 3, 2, 2])
    #expect(first.note == "an array [2, 3, 2, 2] is taken for [images, channels, height, width]")
    #expect(try first.dataset.image(1).pixels == [12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23])
    let planes = try understand([2, 12])
    #expect(planes.note == "an array [2, 12] is taken for [images, channels × 2 × 2]")
    #expect(try planes.dataset.image(1) == first.dataset.image(1))
    #expect(try understand([2, 4, 5]).dataset.shape == ImageShape(height: 4, width: 5, channels: 1))
    // Few columns are no channels of transparency where there are as few rows, or a layout says so.
    #expect(try understand([6, 4, 4]).dataset.count == 6)
    for shape in [[5, 6, 4], [5, 6, 2], [2, 5, 30]] {
      let dataset = try understand(shape, .channelsLast).dataset
      #expect(
        dataset.count == shape[0]
          && dataset.shape == ImageShape(height: shape[1], width: shape[2], channels: 1))
    }
    let gray = try understand([2, 4], .planes).dataset
    #expect(gray.shape == ImageShape(height: 2, width: 2, channels: 1))
    let pixels = try understand([2, 12], .channelsLast)
    #expect(pixels.note == "an array [2, 12] is taken for [images, 2 × 2 × channels]")
    #expect(try pixels.dataset.image(1).pixels == [UInt8](12..<24))
    #expect(try understand([2, 12], .channelsFirst).dataset.image(1) == first.dataset.image(1))
    let photograph = try understand([6, 4], .gray)
    #expect(photograph.note == "an array [6, 4] is taken for one gray image")
    #expect(photograph.dataset.shape == ImageShape(height: 6, width: 4, channels: 1))
    #expect(try photograph.dataset.count == 1 && photograph.dataset.image(0).pixels == [UInt8](0..<24))
    #expect(try understand([3, 4, 5], .channelsLast).dataset.count == 3)
    #expect(try understand([3, 4, 5], .channelsFirst).dataset.image(0).pixels.prefix(4) == [0, 20, 40, 1])
    #expect(try understand([2, 3, 2, 3], .channelsLast).dataset.shape.height == 3)
    #expect(try understand([2, 3, 2, 3], .channelsFirst).dataset.shape.width == 3)
    // The first index runs fastest.
    let fortran = try understand([2, 2, 2, 3], isFortran: true).dataset
    #expect(try fortran.image(1).pixels == [1, 9, 17, 5, 13, 21, 3, 11, 19, 7, 15, 23])
  }

  @Test("an array that can mean two things is refused with the options to choose")
  func ambiguousShapes() throws {
    func expect(_ shape: [Int], as layout: ArrayLayout? = nil, _ part: String) {
      let error = #expect(throws: FileError.self) { _ = try understand(shape, layout) }
      #expect(error?.reason.contains(part) ?? false, "\(String(describing: error))")
    }
    expect([2, 3, 2, 3], "choose with --layout NHWC or NCHW")
    expect(
      [3, 4, 5], "three gray images (--layout NHWC) or one of [channels, height, width] (--layout NCHW)")
    expect([4, 16], "one gray image (--layout HW) or 4 of 4×4×1 values (--layout planes)")
    expect(
      [1024, 768],
      "one gray image (--layout HW) or 1024 of 16×16×3 values (--layout planes, or NHWC if the values of a pixel"
    )
    expect([4, 10], as: .channelsLast, "expected [images, values] of square images")
    expect([4, 10], "expected [images, values] of square images")
    expect([4, 2, 2, 3], as: .channelsFirst, "that fits --layout NCHW")
    expect(
      [2, 2, 2, 4],
      "expected [images, height, width, 1 or 3]: these may be images with transparency, whose last channel is to be "
        + "left out")
    for channels in [2, 4] {
      expect(
        [5, 6, channels],
        "one image with transparency, whose last channel is to be left out (a[..., :3], or [..., :1] if it is gray), "
          + "or 5 gray images of 6×\(channels) (--layout NHWC)")
    }
    expect([2, 5, 30], "one image of 30 channels, or 2 gray images of 5×30 (--layout NHWC)")
  }

  @Test("headers as other writers make them")
  func otherHeaders() throws {
    for text in [
      "{'descr': 'u1', 'fortran_order': False, 'shape': (4L, 1L, 1L), }",
      "{\"descr\": \"<u1\", \"fortran_order\": False, \"shape\": (1, 2, 2)}",
      "{'shape': (1, 2, 2), 'fortran_order': False, 'descr': '>u1'}",
      "{'descr': '=u1', 'fortran_order': False, 'shape': (1, 2, 2)}          \n",
    ] { #expect(try open(Crafted.npy(text, [1, 2, 3, 4])).shape.count == 4, "\(text)") }
  }

  @Test("wrong files are refused")
  func badInput() throws {
    func expect(_ bytes: [UInt8], _ reason: String, sourceLocation: SourceLocation = #_sourceLocation) {
      expectError("\(folder.path)/a.npy", reason, sourceLocation: sourceLocation) { try open(bytes) }
    }
    func dictionary(_ type: String, _ order: String, _ shape: String) -> String {
      "{'descr': '\(type)', 'fortran_order': \(order), 'shape': \(shape), }"
    }
    let good = Crafted.npy(dictionary("|u1", "False", "(1, 2, 2)"), [1, 2, 3, 4])
    expect([], "is empty, expected a .npy file")
    expect(Array("PK a zip file".utf8), "is not a .npy file")
    expect(Array(good.prefix(9)), "is not a .npy file")
    expect(
      Array(good.prefix(30)), "claims a header of \(good.count - 14) bytes, has 20")
    var future = good
    future[6] = 9
    expect(future, "has .npy version 9.0, expected 1, 2 or 3")
    expect(Array(good.dropLast()), "has 3 bytes of values, expected 4 for shape [1, 2, 2]")
    expect(good + [0], "has 5 bytes of values, expected 4 for shape [1, 2, 2]")
    expect(
      Crafted.npy(dictionary("<f4", "False", "(1, 1, 1)"), [0, 0, 0, 0]),
      "holds values of type '<f4', expected bytes, '|u1': save them as uint8 in 0 to 255")
    expect(
      Crafted.npy(dictionary("|u1", "False", "(0, 4, 4)"), []),
      "has shape [0, 4, 4], expected at least one value")
    let huge = "4611686018427387904"
    expect(
      Crafted.npy(dictionary("|u1", "False", "(\(huge), 4, 1)"), []),
      "claims impossible values: type |u1, shape [\(huge), 4, 1]")
    for text in [
      "{}", "", "{'descr': '|u1'}", "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (1,), }",
      dictionary("|u1", "false", "(1, 1, 1)"), dictionary("|u1", "False", "(-1, 1, 1)"),
      dictionary("|u1", "False", "(99999999999999999999, 1, 1)"), dictionary("|u1", "False", "(1, 1"),
      dictionary("|u1", "False", "(1, 1, 1)") + " x",
    ] {
      expect(Crafted.npy(text, [0]), "has a .npy header that is not understood: \(text)")
    }
  }
}
