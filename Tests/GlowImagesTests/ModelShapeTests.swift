import GlowFiles
import Testing

@testable import GlowImages

@Suite("Images for a model")
struct ModelShapeTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func open(
    _ model: ImageShape, imageSize: Int? = nil, location: String? = nil, part: DataPart = .train
  ) throws -> OpenedData {
    var options = DataOptions()
    options.modelShape = model
    options.imageSize = imageSize
    return try DataSource.open(location ?? folder.path, part: part, options: options)
  }

  private let rgb = ImageShape(height: 4, width: 4, channels: 3)

  @Test("gray images become RGB ones, and that is said")
  func gray() throws {
    let image = testImage(2, 2, 1)
    try folder.write(image, "a.png")
    let opened = try open(rgb)
    #expect(
      opened.note
        == "gray images are repeated in three channels; 2×2 images are padded to 4×4: bits/dim is over the padded size"
    )
    let result = try opened.dataset.image(0)
    #expect(result.shape == rgb)
    for channel in 0..<3 {
      #expect(result.pixels[(1 * 4 + 2) * 3 + channel] == image.pixels[1])
      #expect(result.pixels[channel] == 0)
    }
    let gray = try open(ImageShape(height: 2, width: 2, channels: 1))
    #expect(try gray.note == nil && gray.dataset.image(0) == image)
  }

  @Test("gray arrays become RGB ones")
  func grayArray() throws {
    let bytes = NumpyHeader(dataType: "|u1", shape: [2, 4, 4]).encoded() + testImage(8, 4, 1).pixels
    let path = try folder.write(bytes, "images.npy")
    let opened = try open(rgb, location: path)
    let image = try opened.dataset.image(1)
    #expect(opened.note == GrayToRGB.note && image.shape == rgb)
    #expect(image.pixels == testImage(8, 4, 1).pixels[16...].flatMap { [$0, $0, $0] })
  }

  @Test("a folder opens though its first file is damaged, and a file of another size is refused by name")
  func damaged() throws {
    let text = try folder.write(Array("text".utf8), "a.png")
    let small = try folder.write(testImage(2, 2, 3), "b.png")
    let first = try folder.write(testImage(4, 4, 3), "c.png")
    let gray = try folder.write(testImage(4, 4, 1), "d.png")
    let dataset = try open(rgb).dataset
    #expect(dataset.shape == rgb && dataset.count == 4)
    expectError(text, "is not \(ImageFile.expected)") { try dataset.image(0) }
    expectError(
      small, "is 2×2×3, expected 4×4×3 like \(first); bring all to one size with --image-size N"
    ) { try dataset.image(1) }
    #expect(try dataset.image(2) == testImage(4, 4, 3))
    #expect(try dataset.image(3) == GrayToRGB.convert(PNG.read(gray)))
    #expect(try open(rgb, imageSize: 4).dataset.image(1).shape == rgb)
  }

  @Test("a folder whose images all have another size is brought to the model's")
  func otherSize() throws {
    try folder.write(testImage(8, 8, 3), "a.png")
    let second = try folder.write(testImage(6, 6, 3), "b.png")
    let opened = try open(rgb)
    #expect(opened.note == "8×8 images are averaged to 4×4")
    #expect(try opened.dataset.image(0).shape == rgb)
    #expect(throws: FileError.self) { try opened.dataset.image(1) }
    #expect(throws: FileError.self) { try opened.dataset.checkAll() }
    #expect(try PNG.shape(ofFile: second).height == 6)
  }

  @Test("a file of the model's size is taken as it is, and a gray one as RGB, wherever it stands")
  func lateFiles() throws {
    // So many that none of the files looked at first is one of those that follow.
    for index in 0..<64 { try folder.write(testImage(8, 8, 3), "a\(index).png") }
    let own = testImage(4, 4, 3, seed: 3)
    try folder.write(own, "b.png")
    try folder.write(testImage(4, 4, 1, seed: 4), "c.png")
    try folder.write(testImage(8, 8, 1), "d.png")
    let other = try folder.write(testImage(6, 6, 3), "e.png")
    let dataset = try open(rgb).dataset
    #expect(try dataset.image(64) == own)
    #expect(try dataset.image(65) == GrayToRGB.convert(testImage(4, 4, 1, seed: 4)))
    #expect(try dataset.image(66).shape == rgb)
    for index in 0..<67 { try dataset.check(index) }
    expectError(
      other,
      "is 6×6×3, expected 8×8×3 like \(folder.path)/a0.png; bring all to one size with --image-size N"
    ) { try dataset.check(67) }
  }

  @Test("a gray model takes no RGB file, wherever it stands")
  func grayModel() throws {
    let color = try folder.write(testImage(4, 4, 3), "a.png")
    for index in 0..<16 { try folder.write(testImage(4, 4, 1), "b\(index).png") }
    let dataset = try open(ImageShape(height: 4, width: 4, channels: 1)).dataset
    expectError(color, "is RGB, expected gray like the model's images") { try dataset.image(0) }
    #expect(try dataset.image(16) == testImage(4, 4, 1))
  }

  @Test("a folder of damaged files alone has the model's shape")
  func allDamaged() throws {
    let path = try folder.write(Array("text".utf8), "a.png")
    let dataset = try open(rgb).dataset
    #expect(dataset.shape == rgb)
    expectError(path, "is not \(ImageFile.expected)") { try dataset.image(0) }
  }

  @Test("a limit checks the headers of no other images")
  func limitedCheck() throws {
    try folder.write(testImage(4, 4, 3), "a.png")
    try folder.write(testImage(4, 4, 3), "b.png")
    let damaged = try folder.write(Array("text".utf8), "c.png")
    var options = DataOptions()
    options.limit = 2
    try DataSource.open(folder.path, part: .train, options: options).dataset.checkAll()
    options.limit = 3
    expectError(damaged, "is not \(ImageFile.expected)") {
      try DataSource.open(folder.path, part: .train, options: options).dataset.checkAll()
    }
  }

  @Test("constant images have one color, noise all values; both depend on seed and index alone")
  func synthetic() throws {
    let shape = ImageShape(height: 16, width: 16, channels: 3)
    let constant = try open(shape, location: "constant", part: .test).dataset
    let noise = try open(shape, location: "noise", part: .test).dataset
    #expect(constant.count == 1000 && noise.shape == shape)
    let colors = try (0..<20).map { index in
      let pixels = try constant.image(index).pixels
      #expect(pixels == (0..<256).flatMap { _ in pixels[0..<3] })
      return Array(pixels[0..<3])
    }
    #expect(Set(colors).count == 20)
    var counts = [Int](repeating: 0, count: 256)
    for index in 0..<100 { for value in try noise.image(index).pixels { counts[Int(value)] += 1 } }
    // 76,800 values: 300 of each are expected, with a standard deviation of 17.3.
    #expect(counts.allSatisfy { abs($0 - 300) < 87 })
    let again = SyntheticDataset(.noise, shape: shape, count: 7, seed: 0, part: .test)
    #expect(try again.image(6) == noise.image(6) && noise.image(5) != noise.image(6))
    #expect(
      try SyntheticDataset(.noise, shape: shape, count: 7, seed: 1, part: .test).image(6) != again.image(6))
    #expect(
      try SyntheticDataset(.noise, shape: shape, count: 7, seed: 0, part: .train).image(6) != again.image(6))
  }
}
