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
    expectError(folder.path, "has no folder of the part 'test', only of train (--split train)") {
      try open(.test)
    }
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

  @Test("gray among RGB is repeated, whichever comes first, and that is said")
  func mixedChannels() throws {
    try folder.write(testImage(4, 4, 1), "a.png")
    try folder.write(testImage(4, 4, 3), "b.png")
    let opened = try open()
    #expect(opened.note == GrayToRGB.note && opened.dataset.shape.channels == 3)
    #expect(try opened.dataset.image(0) == GrayToRGB.convert(testImage(4, 4, 1)))
    try opened.dataset.checkAll()
  }

  @Test("RGB files without colors are gray where gray is wanted; others are refused")
  func grayAsRGB() throws {
    // So many that none of the files looked at first is one of those that follow.
    for index in 0..<33 { try folder.write(testImage(4, 4, 1), "a\(index).png") }
    try folder.write(GrayToRGB.convert(testImage(4, 4, 1, seed: 5)), "b.png")
    let dataset = try open().dataset
    #expect(try dataset.shape.channels == 1 && dataset.image(33) == testImage(4, 4, 1, seed: 5))
    try dataset.checkAll()
    let path = try folder.write(testImage(4, 4, 3), "c.png")
    let colored = try open().dataset
    expectError(path, "is RGB, expected gray like \(folder.path)/a0.png") { try colored.image(34) }
    expectError(path, "is RGB, expected gray like \(folder.path)/a0.png") { try colored.checkAll() }
  }

  @Test(
    "CelebA as it is: a folder in a folder, tables with a byte order mark, parts and attributes",
    arguments: ["txt", "csv"])
  func celebA(suffix: String) throws {
    let parent = folder.path + "/img_align_celeba"
    for index in 1...4 {
      try folder.write(testImage(2, 2, 3, seed: index), "img_align_celeba/img_align_celeba/00000\(index).png")
    }
    let isTable = suffix == "csv"
    let partition =
      isTable ? "image_id,partition\r\n1.jpg,0\r\n2.jpg,1\r\n3.jpg,2\r\n" : "1.jpg 0\n2.jpg 1\n3.jpg 2\n"
    let attributes =
      isTable
      ? "\u{FEFF}image_id,Smiling,Young\r\n1.jpg,-1,1\r\n2.jpg,1,1\r\n3.jpg,1,0\r\n"
      : "3\nSmiling Young\n1.jpg 0 1\n2.jpg 1 1\n3.jpg 1 0\n"
    func write(_ text: String, _ name: String) throws {
      try folder.write(Array(text.replacing(/([123])\.jpg/) { "00000\($0.1).jpg" }.utf8), "\(name).\(suffix)")
    }
    try write(partition, "list_eval_partition")
    try write(attributes, "list_attr_celeba")
    var options = DataOptions()
    options.readsAttributes = true
    // The innermost folder, too, is given.
    for (part, index, values) in [
      (DataPart.train, 1, [false, true]), (.valid, 2, [true, true]), (.test, 3, [true, false]),
    ] {
      let inner = index == 3 ? "/img_align_celeba" : ""
      let opened = try DataSource.open(parent + inner, part: part, options: options)
      #expect(
        try opened.part == part && opened.dataset.count == 1
          && opened.dataset.image(0) == testImage(2, 2, 3, seed: index))
      #expect(
        opened.dataset.attributeNames == ["Smiling", "Young"] && opened.dataset.attributes(0) == values)
      #expect(opened.dataset.classNames.isEmpty)
      #expect(opened.note?.contains("left out: 1 image without a line there, such as 000004.png") ?? false)
    }
  }

  @Test("CelebA's own folders: the images in Img, as they come or unpacked, and the lists in Anno and Eval")
  func celebAFolders() throws {
    let files = try (1...3).map {
      ("img_align_celeba/00000\($0).jpg", try PNG.encode(testImage(2, 2, 3, seed: $0)))
    }
    try folder.write(CraftedArchive.zip(files), "Img/img_align_celeba.zip")
    for file in files { try folder.write(file.1, "Img/\(file.0)") }
    try folder.write(Array("000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n".utf8), "Eval/list_eval_partition.txt")
    try folder.write(
      Array("3\nYoung\n000001.jpg 1\n000002.jpg -1\n000003.jpg 1\n".utf8), "Anno/list_attr_celeba.txt")
    var options = DataOptions()
    options.readsAttributes = true
    for place in ["Img/img_align_celeba.zip", "Img/img_align_celeba"] {
      let opened = try DataSource.open("\(folder.path)/\(place)", part: .valid, options: options)
      #expect(try opened.dataset.image(0) == testImage(2, 2, 3, seed: 2))
      #expect(opened.dataset.attributeNames == ["Young"] && opened.dataset.attributes(0) == [false])
    }
  }

  @Test("images beside class folders are refused")
  func mixedLayout() throws {
    try folder.write(testImage(4, 4, 3), "a.png")
    try folder.write(testImage(4, 4, 3), "cat/a.png")
    let reason =
      "holds images, such as a.png, and also folders of images, such as cat: it cannot be said which are classes"
    expectError("\(folder.path)/", reason) { try open() }
  }

  @Test("what is not recognized is answered by what would be")
  func unrecognized() throws {
    expectError(folder.path, "is empty, expected \(DataSource.recognized)") { try open() }
    try folder.write([1], "a.gif")
    let reason =
      "holds nothing that is recognized (left out: 1 .gif (not read)), expected \(DataSource.recognized)"
    expectError(folder.path, reason) { try open() }
    expectError("\(folder.path)/a.gif", reason) { try DataSource.open("\(folder.path)/a.gif", part: .train) }
    expectError("\(folder.path)/none", "no such file or folder") {
      try DataSource.open("\(folder.path)/none", part: .train)
    }
  }

  @Test("a text file named .png is refused")
  func text() throws {
    let path = try folder.write(Array("text".utf8), "a.png")
    expectError(path, "is not \(ImageFile.expected)") { try open() }
  }

  @Test("sizes and limits below one are refused")
  func options() throws {
    try folder.write(testImage(4, 4, 3), "a.png")
    expectError(folder.path, "cannot be brought to image size 0, expected 1 to 16384") {
      try open(imageSize: 0)
    }
    expectError(folder.path, "cannot be limited to 0 images, expected 1 to 100000000") { try open(limit: 0) }
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
    let partial = try DataSource.open(location, part: .train, options: options)
    #expect(partial.dataset.count == 2 && partial.dataset.attributes(1) == [true, false])
    #expect(
      partial.note
        == "left out: 1 image without a line in \(folder.path)/\(AttributeList.fileName), such as 000003.png"
    )
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
    // What is found by its name is opened there too.
    let batch = Array("\(folder.path)/b".utf8) + [0xE9] + Array("/data_batch_1.bin".utf8)
    let content = try folder.write([UInt8](repeating: 1, count: 3073), ".content")
    #expect(call(Array(batch.dropLast(17))) { mkdir($0, 0o777) } == 0)
    #expect(call(batch) { link(content, $0) } == 0)
    defer {
      _ = call(batch) { unlink($0) }
      _ = call(Array(batch.dropLast(17))) { rmdir($0) }
    }
    let batches = try DataSource.open(folder.path, part: .train)
    #expect(batches.kind == "CIFAR-10" && batches.dataset.count == 1)
    #expect(batches.dataset.source(0) == "\(folder.path)/b\\xE9/data_batch_1.bin#0")
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
    expectError("list", "line 3: has the value '2', expected 1 or -1, or 1 or 0") {
      try parse("1\nA\na.png 2\n")
    }
    expectError("list", "lists 1 image, expected 2 from line 1") { try parse("2\nA\na.png 1\n") }
  }
}
