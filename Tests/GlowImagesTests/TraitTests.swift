import GlowFiles
import Testing

@testable import GlowImages

/// What becomes of images, counted while they are decoded, and said of those that are hardly images.
@Suite("What is known of images once they are decoded")
struct TraitTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func open(_ change: (inout DataOptions) -> Void = { _ in }) throws -> OpenedData {
    var options = DataOptions()
    change(&options)
    return try DataSource.open(folder.path, part: .train, options: options)
  }

  private func found(_ dataset: any Dataset) throws -> String? {
    var counts = TraitCounts()
    for index in 0..<dataset.count { counts.add(try dataset.imageAndTraits(index).traits) }
    return counts.note
  }

  @Test("images of another size than the rest are counted by what is done to them")
  func sizes() throws {
    for index in 0..<30 {
      let (height, width) = index == 7 ? (4, 4) : index == 9 ? (16, 20) : (16, 16)
      try folder.write(testImage(height, width, 3, seed: index), "\(100 + index).png")
    }
    let dataset = try open { $0.imageSize = 8 }.dataset
    let note = "of 30 images 1 are padded, 1 are cropped, 29 are averaged"
    #expect(try found(dataset) == note && dataset.checkAll() == note)
    #expect(DataCheck.brokenImages(dataset).note == note)
    // What views of the images there are changes nothing.
    #expect(
      try found(dataset.labeled(0, of: ["a"]).images(0..<8)) == "of 8 images 1 are padded, 7 are averaged")
    // What is done to all alike the opening line says.
    #expect(try found(dataset.images(10..<30)) == nil)
    let cropped = try open { ($0.crop, $0.imageSize) = (12, 12) }.dataset
    #expect(try found(cropped) == "of 30 images 1 are padded, 29 are cropped")
  }

  @Test("many sizes are summed up")
  func manySizes() throws {
    for index in 0..<9 { try folder.write(testImage(8 + index, 8 + index, 1, seed: index), "\(index).png") }
    #expect(
      try open { $0.imageSize = 8 }.notes == [
        "9×9 images are averaged to 8×8", "10×10 images are averaged to 8×8",
        "11×11 images are averaged to 8×8", "12×12 images are averaged to 8×8",
        "and 4 other sizes among 9 files, smallest 13×13, largest 16×16",
      ])
  }

  @Test("a channel of transparency that hides nothing needs no word")
  func opaque() throws {
    func png(_ alpha: UInt8) -> [UInt8] {
      Crafted.png(width: 1, height: 1, depth: 8, colorType: 6, rows: [[1, 2, 3, alpha]])
    }
    try folder.write(png(255), "a.png")
    let opened = try open()
    #expect(try opened.note == nil && found(opened.dataset) == nil)
    #expect(try opened.dataset.image(0).pixels == [1, 2, 3])
    // Headers alone do not tell.
    #expect(try opened.dataset.checkAll() == "of 1 image 1 have a channel of transparency, which is dropped")
    try folder.write(png(254), "b.png")
    let other = try open()
    #expect(other.note?.contains("transparency is dropped") == true && other.note?.contains("b.png") == true)
    #expect(try found(other.dataset) == "of 2 images 1 have transparency, which is dropped")
    #expect(try found(open { $0.background = Background("white") }.dataset) == nil)
  }

  @Test("images that are nearly black are said to be, in files and in arrays")
  func dark() throws {
    func image(_ largest: UInt8) -> ByteImage {
      var image = ByteImage(
        shape: ImageShape(height: 16, width: 16, channels: 1), pixels: [UInt8](repeating: 0, count: 256))
      image.pixels[17] = largest
      return image
    }
    func note(_ largest: UInt8) -> String {
      "the largest value of a few images is \(largest) of 255: these images are dark"
    }
    try folder.write(image(1), "a.png")
    #expect(try open().note == note(1) + "; multiply their values by 255 to fill the range")
    try folder.write(image(15), "b.png")
    #expect(try open().note == note(15) + "; multiply their values by 17 to fill the range")
    try folder.write(image(16), "c.png")
    #expect(try open().note == nil)
    let other = try TestFolder()
    let header = NumpyHeader(dataType: "|u1", shape: [1, 16, 16])
    let path = try other.write(header.encoded() + image(0).pixels, "a.npy")
    #expect(try DataSource.open(path, part: .train).note == note(0))
  }
}
