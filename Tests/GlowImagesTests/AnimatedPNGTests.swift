import Foundation
import GlowFiles
import GlowTestSupport
import Testing

@testable import GlowImages

@Suite("Animated PNG")
struct AnimatedPNGTests {
  @Test("a reader without animation sees the first frame", arguments: [1, 3])
  func firstFrame(channels: Int) throws {
    let frames = (1...3).map { testImage(9, 7, channels, seed: $0) }
    let file = try AnimatedPNG.encode(frames, milliseconds: 80)
    #expect(try file.withUnsafeBytes { try PNG.decode($0, path: "a.png") } == frames[0])
  }

  @Test("chunks stand in their order with whole sums and running numbers")
  func chunks() throws {
    // Large enough for several IDAT chunks a frame.
    let frames = (1...2).map { testImage(80, 90, 3, seed: $0) }
    let file = try AnimatedPNG.encode(frames, milliseconds: 1500)
    var types: [String] = []
    var numbers: [Int] = []
    var offset = 8
    while offset < file.count {
      let length = file[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
      let type = String(decoding: file[offset + 4..<offset + 8], as: UTF8.self)
      let content = Array(file[offset + 8..<offset + 8 + length])
      // The crafted chunk has a sum of its own making.
      #expect(Array(file[offset..<offset + 12 + length]) == Crafted.chunk(type, content))
      types.append(type)
      if type == "acTL" { #expect(content == [0, 0, 0, 2, 0, 0, 0, 0]) }
      if type == "fcTL" || type == "fdAT" { numbers.append(content[..<4].reduce(0) { $0 << 8 | Int($1) }) }
      if type == "fcTL" {
        #expect(
          Array(content[4...])
            == [0, 0, 0, 90, 0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x05, 0xDC, 0x03, 0xE8, 0, 0])
      }
      offset += 12 + length
    }
    let data = types.count { $0 == "IDAT" }
    #expect(data > 1)
    let expected =
      ["IHDR", "acTL", "fcTL"] + [String](repeating: "IDAT", count: data) + ["fcTL"]
      + [String](repeating: "fdAT", count: types.count { $0 == "fdAT" }) + ["IEND"]
    #expect(types == expected && types.contains("fdAT"))
    #expect(numbers == Array(0..<numbers.count))
  }

  @Test("one frame is an animation too")
  func single() throws {
    let image = testImage(4, 4, 3)
    let file = try AnimatedPNG.encode([image], milliseconds: 1)
    #expect(try file.withUnsafeBytes { try PNG.decode($0, path: "a.png") } == image)
  }
}

@Suite("Animated PNG in another decoder", .python("PIL.Image"))
struct AnimatedPNGPythonTests {
  @Test("Pillow finds every frame's pixels and times", arguments: [1, 3])
  func frames(channels: Int) throws {
    let folder = try TestFolder()
    let frames = (1...5).map { testImage(70, 66, channels, seed: $0) }
    try AnimatedPNG.write(frames, milliseconds: 80, to: "\(folder.path)/a.png")
    try folder.write(frames.flatMap(\.pixels), "a.raw")
    let program = """
      import sys, PIL.Image
      image = PIL.Image.open(sys.argv[1])
      expected = open(sys.argv[2], "rb").read()
      assert image.n_frames == 5, image.n_frames
      assert image.info["loop"] == 0 and not image.default_image, image.info
      size = len(expected) // 5
      for index in range(5):
          image.seek(index)
          assert image.size == (66, 70), image.size
          assert image.info["duration"] == 80.0, image.info
          mode = {1: "L", 3: "RGB"}[size // (66 * 70)]
          assert image.convert(mode).tobytes() == expected[index * size:(index + 1) * size], index
      """
    let result = try Python.run(program, "\(folder.path)/a.png", "\(folder.path)/a.raw")
    #expect(result.status == 0, "\(result.error)")
  }
}
