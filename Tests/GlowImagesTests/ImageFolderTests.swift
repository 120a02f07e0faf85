import Glibc
import GlowFiles
import Testing

@testable import GlowImages

@Suite("Image folders")
struct ImageFolderTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func open(_ part: DataPart = .train, imageSize: Int? = nil, limit: Int? = nil) throws -> OpenedData
  {
    var options = DataOptions()
    options.imageSize = imageSize
    options.limit = limit
    return try DataSource.open(folder.path, part: part, options: options)
  }

  @Test("a flat folder is sorted and has no parts")
  func flat() throws {
    for (seed, name) in ["b.png", "a.png", "c.PNG", ".hidden.png", "notes.txt"].enumerated() {
      try folder.write(testImage(4, 6, 3, seed: seed), name)
    }
    let opened = try open(.test)
    #expect(opened.part == nil && opened.kind == "images" && opened.dataset.classNames.isEmpty)
    #expect(
      (0..<opened.dataset.count).map(opened.dataset.source)
        == ["a.png", "b.png", "c.PNG"].map {
          "\(folder.path)/\($0)"
        })
    #expect(try opened.dataset.image(0) == testImage(4, 6, 3, seed: 1))
    try opened.dataset.checkAll()
  }

  @Test("one folder a class, numbered over both parts")
  func classes() throws {
    try folder.write(testImage(4, 4, 1), "train/cat/1.png")
    try folder.write(testImage(4, 4, 1), "train/dog/1.png")
    try folder.write(testImage(4, 4, 1), "train/ant/1.png")
    try folder.write(testImage(4, 4, 1), "test/dog/2.png")
    let train = try open(.train)
    let test = try open(.test)
    #expect(train.part == .train && test.part == .test)
    #expect(train.dataset.classNames == ["ant", "cat", "dog"])
    #expect(test.dataset.classNames == ["ant", "cat", "dog"])
    #expect((0..<3).map(train.dataset.label) == [0, 1, 2])
    #expect(test.dataset.label(0) == 2 && test.dataset.source(0) == "\(folder.path)/test/dog/2.png")
  }

  @Test("a limit on class folders takes from every class")
  func limit() throws {
    for name in ["a/1", "a/2", "a/3", "b/1", "b/2", "b/3"] {
      try folder.write(testImage(2, 2, 1), "\(name).png")
    }
    let dataset = try open(limit: 2).dataset
    #expect((0..<dataset.count).map(dataset.label) == [0, 1])
  }

  @Test("a part that is not there is refused")
  func missingPart() throws {
    try folder.write(testImage(4, 4, 1), "train/1.png")
    expectError(folder.path, "has a folder 'train' but no folder 'test'") { try open(.test) }
  }

  @Test("mixed sizes are refused with the fix, and the fix works")
  func mixedSizes() throws {
    let first = try folder.write(testImage(4, 4, 3), "a.png")
    let second = try folder.write(testImage(5, 4, 3), "b.png")
    let reason = "is 5×4×3, expected 4×4×3 like \(first); bring all to one size with --image-size N"
    let dataset = try open().dataset
    expectError(second, reason) { try dataset.checkAll() }
    expectError(second, reason) { try dataset.image(1) }
    let resized = try open(imageSize: 4).dataset
    try resized.checkAll()
    #expect(try resized.image(1).shape == ImageShape(height: 4, width: 4, channels: 3))
  }

  @Test("gray among RGB is refused")
  func mixedChannels() throws {
    let first = try folder.write(testImage(4, 4, 3), "a.png")
    let second = try folder.write(testImage(4, 4, 1), "b.png")
    let dataset = try open(imageSize: 2).dataset
    expectError(second, "is gray, expected RGB like \(first)") { try dataset.checkAll() }
  }

  @Test("images beside class folders are refused")
  func mixedLayout() throws {
    try folder.write(testImage(4, 4, 3), "a.png")
    try folder.write(testImage(4, 4, 3), "cat/a.png")
    expectError(folder.path, "holds images, such as a.png, and also folders of images, such as cat") {
      try open()
    }
  }

  @Test("what is not recognized is answered by what would be")
  func unrecognized() throws {
    expectError(folder.path, "is empty, expected \(DataSource.recognized)") { try open() }
    try folder.write([1], "a.jpg")
    expectError(
      folder.path,
      "holds nothing that is recognized (a.jpg is not read: convert images to PNG), "
        + "expected \(DataSource.recognized)"
    ) { try open() }
    expectError("\(folder.path)/a.jpg", "is not recognized, expected \(DataSource.recognized)") {
      try DataSource.open("\(folder.path)/a.jpg", part: .train)
    }
    expectError("\(folder.path)/none", "no such file or folder") {
      try DataSource.open("\(folder.path)/none", part: .train)
    }
  }

  @Test("a text file named .png is refused")
  func text() throws {
    let path = try folder.write(Array("text".utf8), "a.png")
    expectError(path, "is not a PNG file") { try open() }
  }

  @Test("sizes and limits below one are refused")
  func options() throws {
    try folder.write(testImage(4, 4, 3), "a.png")
    expectError(folder.path, "cannot be brought to image size 0, expected 1 to 16384") {
      try open(imageSize: 0)
    }
    expectError(folder.path, "cannot be limited to 0 images, expected at least 1") { try open(limit: 0) }
  }

  @Test("attributes are found beside the images or one folder up", arguments: ["", "images/"])
  func attributes(subfolder: String) throws {
    try folder.write(testImage(2, 2, 3), "\(subfolder)000001.png")
    try folder.write(testImage(2, 2, 3), "\(subfolder)000002.png")
    let rows = [
      AttributeList.Row(file: "000002.jpg", values: [true, false]),
      AttributeList.Row(file: "000001.jpg", values: [false, false]),
    ]
    let list = Array(AttributeList.format(names: ["Smiling", "Young"], rows: rows).utf8)
    try folder.write(list, AttributeList.fileName)
    let location = subfolder.isEmpty ? folder.path : "\(folder.path)/images"
    var options = DataOptions()
    options.readsAttributes = true
    let dataset = try DataSource.open(location, part: .train, options: options).dataset
    #expect(dataset.attributeNames == ["Smiling", "Young"])
    #expect(dataset.attributes(0) == [false, false] && dataset.attributes(1) == [true, false])
    try folder.write(testImage(2, 2, 3), "\(subfolder)000003.png")
    #expect(throws: FileError.self) { try DataSource.open(location, part: .train, options: options) }
    // Only who asks for attributes needs a list that is whole.
    let images = try DataSource.open(location, part: .train).dataset
    #expect(images.count == 3 && images.attributeNames.isEmpty)
    try images.checkAll()
  }

  @Test("names that are not UTF-8 are opened by their bytes and shown with escapes")
  func otherEncoding() throws {
    let image = testImage(4, 4, 3)
    let other = try folder.write(image, "cat/a.png")
    // "é" and "ü" in ISO 8859-1.
    let group = Array("\(folder.path)/caf".utf8) + [0xE9]
    let file = group + Array("/gr".utf8) + [0xFC] + Array("n.png".utf8)
    func call(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Int32) -> Int32 {
      (path + [0]).map { CChar(bitPattern: $0) }.withUnsafeBufferPointer { body($0.baseAddress!) }
    }
    #expect(call(group) { mkdir($0, 0o777) } == 0)
    #expect(call(file) { link(other, $0) } == 0)
    defer {
      _ = call(file) { unlink($0) }
      _ = call(group) { rmdir($0) }
    }
    let dataset = try open().dataset
    #expect(dataset.count == 2 && dataset.classNames == ["caf\\xE9", "cat"])
    #expect(dataset.source(0) == "\(folder.path)/caf\\xE9/gr\\xFCn.png")
    #expect(try dataset.image(0) == image && dataset.label(0) == 0 && dataset.label(1) == 1)
    try dataset.checkAll()
  }
}

@Suite("Attribute lists")
struct AttributeListTests {
  private func parse(_ text: String) throws -> (names: [String], rows: [AttributeList.Row]) {
    try Array(text.utf8).withUnsafeBytes { try AttributeList.parse($0, path: "list") }
  }

  @Test("CelebA's layout is read and written")
  func roundTrip() throws {
    let list = try parse("2\nSmiling Young \n000001.jpg -1  1\r\n000002.jpg  1 -1\n")
    #expect(list.names == ["Smiling", "Young"])
    #expect(list.rows[0] == AttributeList.Row(file: "000001.jpg", values: [false, true]))
    let again = try parse(AttributeList.format(names: list.names, rows: list.rows))
    #expect(again.names == list.names && again.rows == list.rows)
  }

  @Test("wrong lists are refused by line")
  func badInput() {
    expectError("list", "line 1: expected the number of images") { try parse("") }
    expectError("list", "line 1: expected the number of images") { try parse("x\nA\n") }
    expectError("list", "line 2: expected the names of the attributes, each once") { try parse("0\n\n") }
    expectError("list", "line 2: expected the names of the attributes, each once") { try parse("0\nA A\n") }
    expectError("list", "line 3: has 1 values, expected 2") { try parse("1\nA B\na.png 1\n") }
    expectError("list", "line 3: has the value '0', expected 1 or -1") { try parse("1\nA\na.png 0\n") }
    expectError("list", "lists 1 images, expected 2 from line 1") { try parse("2\nA\na.png 1\n") }
  }
}
