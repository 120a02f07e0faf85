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
    let values = [UInt8](0..<12)
    let color = try open(NumpyHeader(dataType: "|u1", shape: [2, 1, 2, 3]).encoded() + values)
    #expect(color.count == 2 && color.shape == ImageShape(height: 1, width: 2, channels: 3))
    #expect(try color.image(1).pixels == Array(6..<12))
    #expect(color.source(1) == "\(folder.path)/a.npy#1")
    let gray = try open(NumpyHeader(dataType: "|u1", shape: [2, 2, 3]).encoded() + values)
    #expect(gray.shape == ImageShape(height: 2, width: 3, channels: 1))
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
      "holds values of type '<f4', expected bytes, '|u1'")
    expect(
      Crafted.npy(dictionary("|u1", "True", "(1, 1, 1)"), [0]),
      "is in Fortran's order, expected C's: save it from numpy.ascontiguousarray")
    let shapes = "expected [images, height, width] or [images, height, width, 1 or 3]"
    expect(Crafted.npy(dictionary("|u1", "False", "(2, 1)"), [0, 0]), "has shape [2, 1], \(shapes)")
    expect(
      Crafted.npy(dictionary("|u1", "False", "(1, 1, 1, 2)"), [0, 0]), "has shape [1, 1, 1, 2], \(shapes)")
    expect(Crafted.npy(dictionary("|u1", "False", "(0, 4, 4)"), []), "has shape [0, 4, 4], \(shapes)")
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
