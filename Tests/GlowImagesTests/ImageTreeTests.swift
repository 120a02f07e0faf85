import GlowFiles
import Testing

@testable import GlowImages

@Suite("What the names of image files say")
struct ImageTreeTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func tree(_ names: [String], _ part: DataPart = .train) throws -> ImageTree {
    var list = NameList()
    for name in names.sorted() { list.append(Array(name.utf8)) }
    return try ImageTree(list, in: folder.container, part: part, isUsed: { _ in false })
  }

  private func names(_ tree: ImageTree) -> [String] { (0..<tree.names.count).map { tree.names[$0] } }

  @Test(
    "folders are known as parts by many names",
    arguments: [
      ["train_32x32", "valid_32x32"], ["train", "val"], ["train", "valid"], ["Train", "Test"],
      ["train2017", "val2017"], ["training", "validation"], ["training_set", "test_set"],
      ["train_large", "val_large"], ["train_images", "test_images"], ["images-train", "images-valid"],
      ["train_birds", "test_birds"], ["trainset", "testset"], ["trn", "tst"],
    ])
  func parts(folders: [String]) throws {
    let files = ["\(folders[0])/a.png", "\(folders[0])/b.png", "\(folders[1])/c.png"]
    let train = try tree(files)
    #expect(names(train) == Array(files[..<2]) && train.part == .train && train.classNames.isEmpty)
    #expect(train.notes == ["parts \(folders[0])/, \(folders[1])/"])
    #expect(names(try tree(files, .test)) == [files[2]])
  }

  @Test("images to choose a model by are held out where nothing is called test, and that is said")
  func validation() throws {
    let files = ["train/a.png", "val/b.png"]
    #expect(try tree(files, .valid).notes == ["parts train/, val/"])
    #expect(try tree(files, .test).notes == ["parts train/, val/; val/ is taken for test"])
    let three = files + ["test/c.png"]
    #expect(
      try names(tree(three, .test)) == ["test/c.png"] && names(tree(three, .valid)) == ["val/b.png"])
    expectError(
      folder.path, "has no folder of the part 'valid', only of train and test (--split train or test)"
    ) {
      try tree(["train/a.png", "test/a.png"], .valid)
    }
  }

  @Test("pieces of a part are one part, with the classes of all; other folders of one part are refused")
  func pieces() throws {
    let files = [
      "Imagenet64_train_part1/cat/1.png", "Imagenet64_train_part2/cat/2.png",
      "Imagenet64_train_part2/dog/3.png", "Imagenet64_val/dog/4.png",
    ]
    let train = try tree(files)
    #expect(names(train) == Array(files[..<3]) && train.part == .train && train.labels == [0, 0, 1])
    #expect(
      train.notes == ["parts Imagenet64_train_part1/, Imagenet64_train_part2/, Imagenet64_val/"])
    #expect(names(try tree(files, .valid)) == [files[3]])
    // Without a folder for tests, too, and where all images of a part stand in the pieces themselves.
    let flat = try tree(["train_part_1/1.png", "train_part_2/2.png"])
    #expect(flat.part == .train && flat.names.count == 2 && flat.classNames.isEmpty)
    #expect(try tree(["spare_parts/1.png", "train_station/2.png"]).classNames.count == 2)
  }

  @Test("classes whose names have such a word are classes")
  func wordsOfClasses() throws {
    let classes = try tree(["test tube/a.png", "train station/b.png", "tram/c.png"])
    #expect(classes.part == nil && classes.classNames == ["test tube", "train station", "tram"])
  }

  @Test("what may be parts or classes is refused")
  func unclear() {
    expectError(
      folder.path,
      "has a folder 'train' like a part's and also 'bus': it cannot be said whether these are parts or classes"
    ) { try tree(["bus/a.png", "car/a.png", "train/a.png"]) }
    expectError(
      folder.path, "has two folders for the part 'train', train_32x32 and train_64x64: give one of them"
    ) { try tree(["train_32x32/a.png", "train_64x64/a.png", "valid_32x32/a.png"]) }
  }

  @Test("what stands beside the parts is left out with a word")
  func beside() throws {
    let files = ["train/a.png", "test/b.png", "extra/c.png", "d.png", "train/e.gif", "train/f.txt", "g.txt"]
    #expect(
      try tree(files).notes
        == ["parts train/, test/", "left out: 2 .png (beside the parts), 2 .txt, 1 .gif (not read)"])
  }

  @Test("images in folders below a class belong to it; folders called images are none")
  func deeper() throws {
    let places = try tree(["a/abbey/1.png", "a/bar/2.png", "b/3.png"])
    #expect(places.classNames == ["a", "b"] && places.labels == [0, 0, 1])
    #expect(places.notes == ["images in folders below a class belong to it"])
    let tiny = ["train/n01/images/1.png", "train/n02/images/2.png", "val/images/3.png"]
    let train = try tree(tiny)
    #expect(train.classNames == ["n01", "n02"] && train.labels == [0, 1] && train.notes.count == 1)
    let val = try tree(tiny, .valid)
    #expect(names(val) == ["val/images/3.png"] && val.classNames.isEmpty && val.labels.isEmpty)
  }

  @Test("folders that only wrap the data are looked into")
  func wrappers() throws {
    let inner = try tree(["data/cifar/train/cat/1.png", "data/cifar/test/cat/2.png"])
    #expect(inner.classNames == ["cat"] && inner.part == .train)
    #expect(inner.notes == ["taken from data/cifar/", "parts train/, test/"])
    let name = folder.path.split(separator: "/").last!
    #expect(try tree(["\(name)/1.png"]).classNames.isEmpty)
    // One folder of images may be a class.
    #expect(try tree(["cat/1.png"]).classNames == ["cat"])
  }

  @Test("classes that are numbers stand in the order of numbers")
  func numbers() throws {
    let classes = (0...11).map(String.init)
    #expect(try tree(classes.map { "\($0)/a.png" }).classNames == classes)
    #expect(
      try tree(["10/a.png", "9/a.png", "b/a.png", "007/a.png", "7/a.png", "a/a.png"]).classNames
        == ["007", "7", "9", "10", "a", "b"])
  }

  @Test("one line says what was opened")
  func summary() throws {
    for index in 0..<3 { try folder.write(testImage(4, 4, 3), "train/\(index)/a.png") }
    try folder.write(testImage(4, 4, 3), "val/0/a.png")
    try folder.write(Array("GIF89a".utf8), "train/0/b.gif")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(
      opened.summary
        == "images: train of 3 images of 4×4×3 in 3 classes; parts train/, val/; left out: 1 .gif (not read)")
    #expect(
      try DataSource.open(folder.path, part: .test).summary
        == "images: valid of 1 image of 4×4×3 in 3 classes; parts train/, val/; val/ is taken for test; "
        + "left out: 1 .gif (not read)")
  }

  @Test("what happens to values is said: 16 bits, transparency, a missing last chunk")
  func traits() throws {
    let deep = Crafted.png(width: 1, height: 1, depth: 16, colorType: 0, rows: [[0x0F, 0xFF]])
    let path = try folder.write(deep, "a.png")
    #expect(
      try DataSource.open(folder.path, part: .train).note
        == "16-bit values become 8-bit ones (\(path)), the largest of a few files is 4095 of 65535: these images are dark; "
        + "multiply their values by 16 to fill the range"
    )
    try folder.write(Crafted.png(width: 1, height: 1, depth: 8, colorType: 4, rows: [[10, 0]]), "a.png")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(
      opened.note
        == "transparency is dropped and the colors below it are taken (\(path)), see --background")
    var options = DataOptions()
    options.background = Background("white")
    let white = try DataSource.open(folder.path, part: .train, options: options)
    #expect(try white.note == nil && white.dataset.image(0).pixels == [255])
    try folder.write(Array(PNG.encode(testImage(2, 2, 3)).dropLast(12)), "a.png")
    #expect(
      try DataSource.open(folder.path, part: .train).note
        == "\(path) lacks its last chunk and is whole otherwise")
  }

  @Test("the built-in faces have a train and a test part; with a slash it is a folder")
  func builtIn() throws {
    expectError("faces", "has no part 'valid', expected train or test") {
      try DataSource.open("faces", part: .valid)
    }
    expectError("faces", "no such file or folder") { try DataSource.open("faces/", part: .train) }
    expectError("./faces", "no such file or folder") { try DataSource.open("./faces", part: .train) }
  }
}
