import Foundation
import GlowFiles
import GlowImages
import GlowLatents
import GlowTestSupport
import Testing

/// The commands that walk through the latent space.
extension CommandTests {
  private func image(_ name: String) throws -> ByteImage { try PNG.read("\(root)/\(name)") }

  /// Trains a model for a few steps as "run" and writes four faces to "faces".
  private func prepare() throws {
    let training = try glow(
      "train", "--data", "faces", "--limit", "64", "--out", "run", "--batch", "16", "--steps", "6",
      "--levels",
      "2", "--depth", "2", "--width", "16")
    try #require(training.status == 0, "\(training.error)")
    try #require(try glow("data", "faces", "--limit", "4", "--export", "faces").status == 0)
  }

  /// Expects a command to fail with one line that holds `text`.
  private func expectFailure(
    _ text: String, _ arguments: String..., status: Int32 = 1,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let outcome = try glow(list: arguments)
    #expect(
      outcome.status == status && outcome.error.contains(text), "\(outcome.status): \(outcome.error)",
      sourceLocation: sourceLocation)
    if status == 1 {
      #expect(outcome.messages.count == 1, sourceLocation: sourceLocation)
    }
  }

  /// The `index`-th image of a strip of 32×32 images.
  private func cell(_ index: Int, of strip: ByteImage, row: Int = 0) -> [UInt8] {
    (0..<32).flatMap { y -> ArraySlice<UInt8> in
      let start = ((34 * row + y) * strip.shape.width + 34 * index) * 3
      return strip.pixels[start..<start + 96]
    }
  }

  /// Where an image stands in another one.
  private func places(of part: ByteImage, in whole: ByteImage) -> [(x: Int, y: Int)] {
    func row(_ image: ByteImage, _ x: Int, _ y: Int) -> ArraySlice<UInt8> {
      let start = (y * image.shape.width + x) * 3
      return image.pixels[start..<start + part.shape.width * 3]
    }
    var result: [(x: Int, y: Int)] = []
    for top in 0...whole.shape.height - part.shape.height {
      for left in 0...whole.shape.width - part.shape.width {
        let isHere = (0..<part.shape.height).allSatisfy { row(whole, left, top + $0) == row(part, 0, $0) }
        if isHere { result.append((left, top)) }
      }
    }
    return result
  }

  @Test("decode: latents as NumPy saves them come out as those that encode wrote")
  func latentsOfNumpy() throws {
    defer { clean() }
    try prepare()
    #expect(try glow("encode", "run", "--data", "faces", "--limit", "2", "--out", "z.npy").status == 0)
    let size = 32 * 32 * 3
    let values = try LatentFile("\(root)/z.npy", size: size).rows(0..<2)
    func decoded(_ shape: [Int], _ values: [Float], bigEndian: Bool, fortran: Bool) throws -> [UInt8] {
      let header = NumpyHeader(
        dataType: bigEndian ? ">f8" : "<f8", isFortranOrdered: fortran, shape: shape)
      let bytes = values.flatMap { value -> [UInt8] in
        let bits = Double(value).bitPattern
        return withUnsafeBytes(of: bigEndian ? bits.bigEndian : bits.littleEndian, Array.init)
      }
      try write("other.npy", header.encoded() + bytes)
      let outcome = try glow("decode", "run", "--latents", "other.npy", "--out", "other.png")
      #expect(outcome.status == 0, "\(outcome.error)")
      return try image("other.png").pixels
    }
    #expect(try glow("decode", "run", "--latents", "z.npy", "--out", "both.png").status == 0)
    let both = try image("both.png").pixels
    #expect(try decoded([2, size], values, bigEndian: true, fortran: false) == both)
    let columns = (0..<size).flatMap { [values[$0], values[size + $0]] }
    #expect(try decoded([2, size], columns, bigEndian: false, fortran: true) == both)
    // One image, without the axis of the batch.
    let first = Array(values[..<size])
    #expect(
      try decoded([size], first, bigEndian: false, fortran: false)
        == decoded([1, size], first, bigEndian: false, fortran: false))
  }

  @Test("interpolate: both ends of the strip, and the corners of the grid, are the images themselves")
  func interpolate() throws {
    defer { clean() }
    try prepare()
    let names = (1...4).map { "faces/00000\($0).png" }
    let faces = try names.map { try image($0).pixels }
    for method in ["linear", "spherical"] {
      let outcome = try glow(
        "interpolate", "run", names[0], names[1], "--steps", "5", "--method", method, "--scale", "1", "--out",
        "strip.png")
      #expect(outcome.output == "strip.png: 5 images, \(method) interpolation\n", "\(outcome.error)")
      let strip = try image("strip.png")
      #expect(strip.shape == ImageShape(height: 32, width: 5 * 34 - 2, channels: 3))
      #expect(cell(0, of: strip) == faces[0] && cell(4, of: strip) == faces[1])
      #expect(cell(2, of: strip) != faces[0] && cell(2, of: strip) != faces[1])
    }
    #expect(
      try glow(list: ["interpolate", "run"] + names + ["--grid", "3", "--scale", "1", "--out", "grid.png"])
        .status == 0)
    let grid = try image("grid.png")
    for (index, face) in faces.enumerated() {
      #expect(cell(index % 2 * 2, of: grid, row: index / 2 * 2) == face)
    }

    // Other sizes are brought to the model's, and gray to its channels.
    let large = ByteImage(
      shape: ImageShape(height: 64, width: 80, channels: 3), pixels: [UInt8](repeating: 90, count: 15360))
    try PNG.write(large, to: "\(root)/large.png")
    #expect(
      try glow("interpolate", "run", "large.png", names[0], "--out", "strip.png").output.hasPrefix(
        "large.png: 64×80 images are cropped to 64×64 and averaged to 32×32\n"))
    let gray = ByteImage(
      shape: ImageShape(height: 32, width: 32, channels: 1), pixels: [UInt8](repeating: 1, count: 1024))
    try PNG.write(gray, to: "\(root)/gray.png")
    #expect(
      try glow("interpolate", "run", "gray.png", names[0], "--out", "strip.png").output.hasPrefix(
        "gray.png: gray is repeated in three channels\n"))
    try expectFailure("missing.png", "interpolate", "run", "missing.png", names[0], "--out", "x.png")
    try expectFailure("not 3", "interpolate", "run", "a", "b", "c", "--out", "x.png", status: 64)
    try expectFailure("--grid", "interpolate", "run", "a", "b", "--grid", "3", "--out", "x.png", status: 64)
    try expectFailure(
      "it takes no class", "interpolate", "run", names[0], names[1], "--class", "1", "--out", "x.png")
    #expect(!FileManager.default.fileExists(atPath: "\(root)/x.png"))
  }

  @Test(
    "attribute and manipulate: strength 0 is the image itself, the animation begins with the first strength")
  func manipulate() throws {
    defer { clean() }
    try prepare()
    let one = try glow(
      "attribute", "run", "--data", "faces", "--limit", "40", "--name", "Smiling", "--out", "smile.npy")
    #expect(one.output.contains("Smiling") && one.output.contains("images with and"), "\(one.error)")
    #expect(
      try glow(
        "attribute", "run", "--data", "faces", "--limit", "40", "--all", "--orthogonal", "--out", "vectors"
      ).status == 0)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: "\(root)/vectors").sorted()
        == ["Blond_Hair.npy", "Eyeglasses.npy", "Long_Hair.npy", "Open_Mouth.npy", "Smiling.npy"])

    let outcome = try glow(
      "manipulate", "run", "faces/000001.png", "--attribute", "smile.npy", "--attribute",
      "vectors/Smiling.npy,vectors/Blond_Hair.npy", "--strengths", "-1,0,2.5", "--scale", "1", "--out",
      "strip.png", "--animate", "moving.png", "--frames", "5")
    #expect(outcome.status == 0, "\(outcome.error)")
    // The labels have no fixed size: the image at strength 0 stands somewhere in each of the two rows.
    let strip = try image("strip.png")
    #expect(places(of: try image("faces/000001.png"), in: strip).count == 2)
    let first = try image("moving.png")
    #expect(first.shape == ImageShape(height: 32, width: 66, channels: 3))
    for row in 0..<2 {
      let face = ByteImage(
        shape: ImageShape(height: 32, width: 32, channels: 3), pixels: cell(row, of: first))
      #expect(places(of: face, in: strip).count == 1)
    }
  }

  @Test("manipulate: the animation goes forth and back, as Pillow plays it", .python("PIL.Image"))
  func animationInPython() throws {
    defer { clean() }
    try prepare()
    #expect(
      try glow("attribute", "run", "--data", "faces", "--limit", "40", "--name", "Smiling", "--out", "a.npy")
        .status == 0)
    #expect(
      try glow(
        "manipulate", "run", "faces/000001.png", "--attribute", "a.npy", "--strengths", "-1,2.5", "--out",
        "strip.png", "--animate", "moving.png", "--frames", "5"
      ).status == 0)
    let program = """
      import sys, PIL.Image
      animation = PIL.Image.open(sys.argv[1])
      assert animation.n_frames == 2 * 5 - 2, animation.n_frames
      frames = []
      for index in range(8):
          animation.seek(index)
          frames.append(animation.convert("RGB").tobytes())
      assert all(frames[index] == frames[8 - index] for index in range(1, 8))
      assert len(set(frames)) == 5
      """
    let result = try Python.run(program, "\(root)/moving.png")
    #expect(result.status == 0, "\(result.error)")
  }

  @Test("sample: several temperatures share their latents, 0 and 0.7 among them as drawn alone")
  func temperatures() throws {
    defer { clean() }
    try prepare()
    #expect(
      try glow(
        "sample", "run", "--temperature", "0,0.7,1", "--count", "3", "--scale", "1", "--out", "sheet.png"
      ).status == 0)
    let sheet = try image("sheet.png")
    for temperature in ["0", "0.7", "1"] {
      #expect(
        try glow(
          "sample", "run", "--temperature", temperature, "--count", "3", "--separate", "--out", "one.png"
        ).status == 0)
      var left = 0
      for index in 0..<3 {
        let found = places(of: try image("one-000\(index).png"), in: sheet)
        #expect(found.count == (temperature == "0" ? 3 : 1))
        if temperature != "0", let place = found.first {
          #expect(place.x > left)
          left = place.x
        }
      }
    }
    try expectFailure("-1", "sample", "run", "--temperature=-1", "--out", "x.png", status: 64)
    try expectFailure("0.5,x", "sample", "run", "--temperature", "0.5,x", "--out", "x.png", status: 64)
    try expectFailure(
      "--separate", "sample", "run", "--temperature", "0,1", "--separate", "--out", "x.png", status: 64)
  }

  @Test("vectors take weights; empty names are refused, and images that are not finite are counted")
  func weights() throws {
    defer { clean() }
    try prepare()
    #expect(
      try glow("attribute", "run", "--data", "faces", "--limit", "40", "--name", "Smiling", "--out", "a.npy")
        .status == 0)
    func manipulate(_ attribute: String, _ strengths: String, _ out: String) throws -> ChildProcess {
      try glow(
        "manipulate", "run", "faces/000001.png", "--attribute", attribute, "--strengths", strengths, "--out",
        out)
    }
    // Half of the vector twice as often; the labels differ, the images do not.
    #expect(try manipulate("a.npy", "2", "whole.png").status == 0)
    let whole = try image("whole.png")
    let pushed = try cut(whole)
    for weights in ["a.npy:0.5", "a.npy:0.5,a.npy:0"] {
      #expect(try manipulate(weights, "4", "parts.png").status == 0)
      #expect(places(of: pushed, in: try image("parts.png")).count == 1, "\(weights)")
    }
    for bad in [",", "a.npy,,a.npy", "a.npy,", ":0.5", "a.npy:nan", ""] {
      #expect(try manipulate(bad, "1", "x.png").status == 64, "\(bad)")
    }
    try expectFailure(
      "a.npy:half", "manipulate", "run", "faces/000001.png", "--attribute", "a.npy:half", "--out", "x.png")

    let some = try manipulate("a.npy", "0,1e30", "some.png")
    #expect(
      some.status == 0
        && some.error.contains("warning: 1 of 2 decoded images has values that are not finite"),
      "\(some.error)")
    let all = "values that are not finite"
    try expectFailure(
      all, "manipulate", "run", "faces/000001.png", "--attribute", "a.npy", "--strengths", "1e30", "--out",
      "x.png")
    try expectFailure(all, "sample", "run", "--temperature", "1e300", "--count", "4", "--out", "x.png")
    let huge = [Float](repeating: 3e38, count: 3072).withUnsafeBytes { Array($0) }
    try write("huge.npy", NumpyHeader(dataType: "<f4", shape: [1, 3072]).encoded() + huge)
    try expectFailure(
      "the decoded image has " + all, "decode", "run", "--latents", "huge.npy", "--out", "x.png")
    // Too large a sheet is refused before it is decoded.
    try expectFailure(
      "too large", "sample", "run", "--temperature", "0,1", "--count", "64", "--scale", "32", "--out", "x.png"
    )
    #expect(!FileManager.default.fileExists(atPath: "\(root)/x.png"))
  }

  /// The one image of a strip: above the margin of 10, right of which 10 are free too.
  private func cut(_ sheet: ByteImage) throws -> ByteImage {
    let (left, top) = (sheet.shape.width - 10 - 64, sheet.shape.height - 10 - 64)
    return ByteImage(
      shape: ImageShape(height: 64, width: 64, channels: 3),
      pixels: (0..<64).flatMap { row in
        let start = ((top + row) * sheet.shape.width + left) * 3
        return sheet.pixels[start..<start + 192]
      })
  }

  @Test("a conditional model: encode and decode use the same classes, the other commands ask for one")
  func conditional() throws {
    defer { clean() }
    try prepare()
    for index in 0..<4 {
      let face = try Data(contentsOf: URL(filePath: "\(root)/faces/00000\(index + 1).png"))
      for part in ["train", "test"] {
        try write("classes/\(part)/\(index % 2 == 0 ? "cat" : "dog")/\(index).png", Array(face))
      }
    }
    let training = try glow(
      "train", "--data", "classes", "--out", "two", "--batch", "4", "--steps", "40", "--levels", "2",
      "--depth",
      "1", "--width", "16", "--conditional", "--lr", "0.005", "--warmup-epochs", "0", "--ema", "0")
    try #require(training.status == 0, "\(training.error)")
    #expect(try glow("encode", "two", "--data", "classes", "--out", "z.npy").output.contains("4 of 4 images"))
    let needs = "two is conditional and needs the class of the images: give --class, a name or 0 to 1"
    try expectFailure(
      needs + ", or the encoded images with --data", "decode", "two", "--latents", "z.npy", "--out", "back")
    #expect(
      try glow("decode", "two", "--latents", "z.npy", "--data", "classes", "--out", "back").status == 0)
    // Class by class: cats are the first face and the third.
    for (row, index) in [0, 2, 1, 3].enumerated() {
      #expect(try image("back/00000\(row).png") == image("faces/00000\(index + 1).png"))
    }
    #expect(try glow("decode", "two", "--latents", "z.npy", "--class", "0", "--out", "cats").status == 0)
    #expect(try image("cats/000001.png") == image("faces/000003.png"))
    #expect(try image("cats/000003.png") != image("faces/000004.png"))
    try expectFailure(
      "holds 2 images, expected the 4", "decode", "two", "--latents", "z.npy", "--data", "classes", "--limit",
      "2", "--out", "x")
    try expectFailure(
      "not both", "decode", "two", "--latents", "z.npy", "--data", "classes", "--class", "1", "--out", "x",
      status: 64)
    try expectFailure(
      "leave out --data", "decode", "run", "--latents", "z.npy", "--data", "classes", "--out", "x")

    let faces = ["faces/000001.png", "faces/000003.png"]
    let walk = ["interpolate", "two"] + faces + ["--out", "walk.png"]
    let refused = try glow(list: walk)
    #expect(refused.status == 1 && refused.error.contains(needs), "\(refused.error)")
    #expect(try glow(list: walk + ["--class", "0"]).status == 0)
    #expect(
      try glow("attribute", "two", "--data", "classes", "--name", "dog", "--out", "dog.npy").status == 0)
    let push = ["manipulate", "two", faces[0], "--attribute", "dog.npy", "--out", "push.png"]
    #expect(try glow(list: push).error.contains(needs))
    #expect(try glow(list: push + ["--class", "0"]).status == 0)
    try expectFailure(needs, "sheet", "two", "--data", "classes", "--out", "x.png")
    #expect(try glow("sheet", "two", "--data", "classes", "--class", "1", "--out", "sheet.png").status == 0)
    try expectFailure(
      "--class must be 0 to 1 or one of", "sheet", "two", "--data", "classes", "--class", "2", "--out",
      "x.png")
  }

  @Test("sheet: samples, an interpolation and an attribute; without attributes, the first two")
  func sheet() throws {
    defer { clean() }
    try prepare()
    let outcome = try glow("sheet", "run", "--data", "faces", "--limit", "40", "--out", "sheet.png")
    #expect(outcome.status == 0 && outcome.output.contains("sheet.png"), "\(outcome.error)")
    let sheet = try image("sheet.png")
    for end in 0..<2 {
      let face = try FaceDataset(count: 2, seed: 0, part: .test).image(end)
      #expect(!places(of: ImageGrid.arrange([face], scale: 2), in: sheet).isEmpty)
    }
    // A list for the training images alone, whose first attribute all of them have.
    for index in 0..<4 {
      let face = try Data(contentsOf: URL(filePath: "\(root)/faces/00000\(index + 1).png"))
      for part in ["train", "test"] { try write("parts/\(part)/\(index).png", Array(face)) }
    }
    let list = "4\nAlways Odd\n" + (0..<4).map { "\($0).png 1 \($0 % 2 == 1 ? 1 : -1)\n" }.joined()
    try write("parts/train/list_attr_celeba.txt", Array(list.utf8))
    let parts = try glow("sheet", "run", "--data", "parts", "--out", "parts.png")
    #expect(parts.status == 0 && parts.output.contains("more Odd"), "\(parts.error)")
    try expectFailure(
      "of 4 images all have Always", "sheet", "run", "--data", "parts", "--name", "Always", "--out",
      "x.png")
    try FileManager.default.removeItem(atPath: "\(root)/faces/list_attr_celeba.txt")
    #expect(try glow("sheet", "run", "--data", "./faces", "--out", "plain.png").status == 0)
    #expect(try image("plain.png").shape.height < sheet.shape.height)
  }

  @Test("attribute: classes of folders and CelebA's list, and what cannot be found is named")
  func attributeSources() throws {
    defer { clean() }
    try prepare()
    // Exported faces have the list beside them: their vector is that of the faces themselves.
    #expect(
      try glow("attribute", "run", "--data", "faces", "--limit", "4", "--name", "Smiling", "--out", "a.npy")
        .status
        == 0)
    #expect(
      try glow("attribute", "run", "--data", "./faces", "--name", "Smiling", "--out", "b.npy").status == 0)
    func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: "\(root)/\(name)")) }
    #expect(try bytes("a.npy") == bytes("b.npy"))
    for (index, name) in ["cat", "cat", "dog", "dog"].enumerated() {
      let face = try [UInt8](bytes("faces/00000\(index + 1).png"))
      try write("classes/\(name)/\(index).png", face)
    }
    let classes = try glow("attribute", "run", "--data", "classes", "--all", "--out", "vectors")
    #expect(classes.output.contains("dog, 2 images with and 2 without"), "\(classes.error)")
    #expect(
      try glow("attribute", "run", "--data", "classes", "--all", "--orthogonal", "--out", "apart").status == 0
    )
    // Two classes beside nothing else: each against the other, as the mean difference has it.
    for name in ["cat", "dog"] { #expect(try bytes("apart/\(name).npy") == bytes("vectors/\(name).npy")) }
    let one = try glow("attribute", "run", "--data", "classes", "--all", "--limit", "1", "--out", "x")
    #expect(one.status == 1 && one.error.contains("of 1 image all have cat"))
    let list = "4\nAlways Odd\n" + (0..<4).map { "\($0).png 1 \($0 % 2 == 1 ? 1 : -1)\n" }.joined()
    for index in 0..<4 { try write("listed/\(index).png", [UInt8](bytes("faces/00000\(index + 1).png"))) }
    try write("listed/list_attr_celeba.txt", Array(list.utf8))
    let some = try glow("attribute", "run", "--data", "listed", "--all", "--orthogonal", "--out", "some")
    #expect(
      some.status == 0 && some.messages[0].hasPrefix("warning: left out: of 4 images all have Always"),
      "\(some.error)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(root)/some") == ["Odd.npy"])
    try expectFailure(
      "no attribute 'Wings', expected Smiling, Blond_Hair", "attribute", "run", "--data", "faces", "--limit",
      "4",
      "--name", "Wings", "--out", "x.npy")
    try expectFailure(
      "of 1 image all have", "attribute", "run", "--data", "classes", "--limit", "1", "--name", "cat",
      "--out", "x.npy")
    try expectFailure("--all", "attribute", "run", "--data", "faces", "--out", "x.npy", status: 64)
    try expectFailure(
      "faces/000001.png: is not a .npy file", "manipulate", "run", "faces/000001.png", "--attribute",
      "faces/000001.png", "--out", "x.png")
    try expectFailure(
      "--strengths", "manipulate", "run", "faces/000001.png", "--attribute", "a.npy", "--strengths", "1,nan",
      "--out", "x.png", status: 64)
    #expect(!(try FileManager.default.contentsOfDirectory(atPath: root).contains { $0.hasPrefix("x") }))
  }
}
