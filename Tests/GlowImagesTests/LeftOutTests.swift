import GlowFiles
import Testing

@testable import GlowImages

/// What is not taken, or is changed on the way, and what is asked for in vain: the line of a data set says so.
@Suite("What is left out is counted")
struct LeftOutTests {
  private let folder: TestFolder
  private let image: [UInt8]

  init() throws {
    folder = try TestFolder()
    image = try PNG.encode(testImage(2, 2, 3))
  }

  private func open(_ path: String? = nil, _ options: DataOptions = DataOptions()) throws -> OpenedData {
    try DataSource.open(path ?? folder.path, part: .train, options: options)
  }

  @Test("hidden files, in a folder and in archives")
  func hidden() throws {
    let files = ["a.png", ".b.png", ".git/config", "c/.d.png", "c/e.png", "__MACOSX/._a.png", "f.txt"]
    // A folder that is hidden counts once; of archives all that is in it.
    for name in files where !name.hasPrefix("__") && !name.hasPrefix("c/") {
      try folder.write(image, "plain/\(name)")
    }
    #expect(try open("\(folder.path)/plain").note == "left out: 2 hidden, 1 .txt")
    let entries = files.filter { !$0.hasPrefix("c/e") }.map { (name: $0, content: image) }
    for (name, bytes) in [
      ("a.tar", CraftedArchive.tar(entries)), ("a.zip", CraftedArchive.zip(entries)),
    ] {
      #expect(try open(folder.write(bytes, name)).note == "left out: 4 hidden, 1 .txt")
    }
    let other = try TestFolder()
    try other.write(image, ".a.png")
    expectError(other.path, "is empty (left out: 1 hidden), expected \(DataSource.recognized)") {
      try open(other.path)
    }
  }

  @Test("files of several kinds are counted by their names")
  func kinds() throws {
    for name in ["a.png", "b.PNG", "c.jpg", "d"] { try folder.write(image, name) }
    #expect(try open().note == "2 .png, 1 without a suffix, 1 .jpg")
    // What a download has not finished is no image.
    for name in ["e.JPG.part", "f.png.crdownload"] { try folder.write(Array(image.prefix(40)), name) }
    #expect(try open().notes.last == "left out: 1 .crdownload, 1 .part")
  }

  @Test("a sample that has several images counts once, by the one whose name has one point")
  func samples() throws {
    func shard(_ second: String) -> [UInt8] {
      CraftedArchive.tar(
        (0..<3).flatMap { number in
          [
            (name: "\(number).cls", content: Array("\(number)".utf8)),
            (name: "\(number).png", content: image), (name: "\(number).\(second)", content: image),
          ]
        })
    }
    let opened = try open(folder.write(shard("seg.png"), "a.tar"))
    #expect(opened.dataset.count == 3 && (0..<3).map(opened.dataset.label) == [0, 1, 2])
    #expect(opened.note == "left out: 3 .png (beside a sample's image); classes from the .cls files")
    let path = try folder.write(shard("jpg"), "b.tar")
    let error = #expect(throws: FileError.self) { try open(path) }
    #expect(error?.reason.contains("are images of one sample") == true)
  }

  @Test("archives are no classes, and those of other parts are said to be so")
  func archives() throws {
    for name in ["cats.zip", "dogs.zip"] {
      try folder.write(CraftedArchive.zip([("a.png", image)]), "classes/\(name)")
    }
    let classes = try open("\(folder.path)/classes")
    #expect(classes.dataset.count == 2 && classes.dataset.classNames.isEmpty)
    #expect(classes.note?.contains("names of archives are no classes") == true)
    for name in ["train-1.zip", "train-2.zip", "test.zip"] {
      try folder.write(CraftedArchive.zip([("a.png", image)]), "parts/\(name)")
    }
    try folder.write([1], "parts/a.txt")
    #expect(
      try open("\(folder.path)/parts").note
        == "2 archives, train-1.zip to train-2.zip; 1 archive of other parts; left out: 1 .txt")
  }

  @Test("lists beside an archive are not left out")
  func listsBesideArchives() throws {
    try folder.write(CraftedArchive.zip([("1.jpg", image), ("2.jpg", image)]), "img_align_celeba.zip")
    try folder.write(Array("1.jpg 0\n2.jpg 2\n".utf8), "list_eval_partition.txt")
    try folder.write(Array("2\nA\n1.jpg 1\n2.jpg -1\n".utf8), "list_attr_celeba.txt")
    try folder.write([1], "README.txt")
    var options = DataOptions()
    options.readsAttributes = true
    let opened = try open(nil, options)
    #expect(opened.dataset.count == 1 && opened.dataset.attributeNames == ["A"])
    #expect(opened.notes.last == "left out: 1 .txt", "\(opened.summary)")
  }

  @Test("ImageNet's archives are its classes", arguments: ["tar", "tar.gz"])
  func synsets(suffix: String) throws {
    let names = ["n01440764", "n01443537"]
    for (place, name) in names.enumerated() {
      let tar = CraftedArchive.tar(
        try (0...place).map {
          ("\(name)_\($0).JPEG", try PNG.encode(testImage(2, 2, 3, seed: 10 * place + $0)))
        })
      try folder.write(suffix == "tar" ? tar : Crafted.gzip(tar), "\(name).\(suffix)")
    }
    let opened = try open()
    #expect(opened.dataset.classNames == names && (0..<3).map(opened.dataset.label) == [0, 1, 1])
    #expect(try opened.dataset.image(2) == testImage(2, 2, 3, seed: 11))
    #expect(opened.notes == ["2 archives, n01440764.\(suffix) to n01443537.\(suffix), each a class"])
  }

  private func npz(_ arrays: [(name: String, type: String, shape: [Int])]) -> [UInt8] {
    CraftedArchive.zip(
      arrays.map { name, type, shape in
        let header = NumpyHeader(dataType: type, shape: shape)
        return (
          name: "\(name).npy", content: header.encoded() + [UInt8](repeating: 1, count: header.dataSize ?? 3)
        )
      })
  }

  @Test("arrays beside images and labels are left out by name, unless it cannot be said which the labels are")
  func arrays() throws {
    let images = (name: "pictures", type: "|u1", shape: [6, 4, 4])
    let opened = try open(
      folder.write(
        npz([
          images, ("labels", "|u1", [6]), ("mean", "<f4", [4, 4]), ("names", "<U5", [6]),
          ("objects", "|O", [6]),
        ]), "a.npz"))
    #expect(opened.dataset.count == 6 && opened.dataset.classNames.count == 1)
    #expect(opened.notes.contains("left out: the arrays mean.npy, names.npy, objects.npy"))
    let two = try open(
      folder.write(npz([images, ("ids", "|u1", [6]), ("y", "|u1", [6])]), "b.npz"))
    #expect(two.dataset.classNames.count == 1 && two.notes.contains("left out: the array ids.npy"))
    let parts = try open(
      folder.write(
        npz([("x_train", "|u1", [6, 4, 4]), ("x_test", "|u1", [2, 4, 4]), ("labels", "|u1", [6])]), "d.npz"))
    #expect(parts.dataset.count == 6 && parts.dataset.classNames.isEmpty)
    #expect(parts.note == "left out: 1 array of other parts, the array labels.npy of no part")
    for (names, reason) in [
      (["fine_labels", "coarse_labels"], "holds several arrays that may be labels, such as"),
      (["ids", "rows"], "holds several arrays that may be labels, such as ids.npy and rows.npy"),
    ] {
      let path = try folder.write(npz([images] + names.map { ($0, "|u1", [6]) }), "c.npz")
      let error = #expect(throws: FileError.self) { try open(path) }
      #expect(error?.reason.contains(reason) == true, "\(String(describing: error))")
    }
  }

  @Test("an option that changes nothing, and a class 0 without images")
  func inVain() throws {
    try folder.write(image, "1/a.png")
    try folder.write(image, "2/a.png")
    var options = DataOptions()
    options.hasCoarseLabels = true
    options.layout = .channelsFirst
    #expect(
      try open(nil, options).notes == [
        "--labels changes nothing: these are no images of CIFAR-100",
        "--layout NCHW changes nothing: these are no arrays",
      ])
    try folder.write(Crafted.idx(0x803, [100, 1, 1], (0..<100).map { $0 }), "idx/train-images-idx3-ubyte")
    try folder.write(Crafted.idx(0x801, [100], (0..<100).map { 1 + $0 % 2 }), "idx/train-labels-idx1-ubyte")
    #expect(try open("\(folder.path)/idx").notes == ["no image is of class 0"])
  }

  /// An EXIF block that says how a camera was held.
  private func exif(_ orientation: UInt8) -> [UInt8] {
    Array("MM".utf8) + [0, 42, 0, 0, 0, 8, 0, 1, 1, 18, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]
  }

  @Test("a PNG is turned as its EXIF orientation says, and of an animation one picture is taken")
  func chunks() throws {
    func png(_ extra: [[UInt8]]) -> [UInt8] {
      Crafted.png(
        width: 3, height: 2, depth: 8, colorType: 0, extra: extra, rows: [[1, 2, 3], [4, 5, 6]])
    }
    try folder.write(png([Crafted.chunk("eXIf", exif(6))]), "a.png")
    let turned = try open()
    #expect(turned.dataset.shape == ImageShape(height: 3, width: 2, channels: 1))
    #expect(try turned.dataset.image(0).pixels == [4, 1, 5, 2, 6, 3])
    #expect(try PNG.read("\(folder.path)/a.png").pixels == [4, 1, 5, 2, 6, 3])
    #expect(turned.note == "images are turned as their EXIF orientation says (\(folder.path)/a.png)")
    // What is no EXIF turns nothing.
    for block in [[], Array(exif(6).prefix(12)), exif(9)] {
      try folder.write(png([Crafted.chunk("eXIf", block)]), "a.png")
      #expect(try open().dataset.image(0).pixels == [1, 2, 3, 4, 5, 6])
    }
    try folder.write(png([Crafted.chunk("acTL", [0, 0, 0, 2, 0, 0, 0, 0])]), "a.png")
    #expect(try open().note == "\(folder.path)/a.png is an animation, of which one picture is taken")
  }

  @Test("a WebP is turned as its EXIF orientation says")
  func webp() throws {
    let plain = PillowFiles.alpha
    func little(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 255) } }
    func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
      Array(type.utf8) + little(content.count, 4) + content + (content.count % 2 == 1 ? [0] : [])
    }
    for prefix in [[], Array("Exif\0\0".utf8)] {
      let content =
        Array("WEBP".utf8) + chunk("VP8X", [0x18, 0, 0, 0] + little(17, 3) + little(12, 3))
        + plain.dropFirst(12) + chunk("EXIF", prefix + exif(6))
      try folder.write(Array("RIFF".utf8) + little(content.count, 4) + content, "a.webp")
      let opened = try open()
      let upright = try plain.withUnsafeBytes { try ImageFile.decode($0, path: "a") }
      #expect(upright.shape == ImageShape(height: 13, width: 18, channels: 3))
      #expect(try opened.dataset.image(0) == Orientation.quarterRight.apply(upright))
      #expect(opened.note?.contains("are turned as") == true)
    }
  }

  @Test("words of a .csv file may stand in quotes")
  func quotes() throws {
    for index in 1...2 { try folder.write(testImage(2, 2, 3, seed: index), "\(index).png") }
    let list = "\"image_id\",\"partition\"\r\n\"1.png\",\"0\"\r\n\"2.png\",\"2\"\r\n"
    try folder.write(Array(list.utf8), "list_eval_partition.csv")
    let opened = try DataSource.open(folder.path, part: .test)
    #expect(opened.part == .test && opened.dataset.count == 1)
    #expect(try opened.dataset.image(0) == testImage(2, 2, 3, seed: 2))
  }

  @Test(
    "folders that wrap what a part holds are no classes",
    arguments: [
      ["seg_train/seg_train/a", "seg_test/seg_test/a"], ["train/train/a", "test/test/a"],
      ["train/DATA/a", "test/DATA/a"], ["train/dataset_train/a", "test/dataset_test/a"],
    ])
  func wrappers(folders: [String]) throws {
    for folder in folders + folders.map({ $0.dropLast() + "b" }) {
      try self.folder.write(image, "\(folder)/1.png")
    }
    let opened = try open()
    #expect(opened.part == .train && opened.dataset.count == 2 && opened.dataset.classNames == ["a", "b"])
    #expect(opened.notes.contains("taken from \(folders[0].dropLast())"))
    let archive = try TestFolder()
    let files = folders.map { (name: "all/\($0)/1.png", content: image) }
    #expect(try open(archive.write(CraftedArchive.zip(files), "a.zip")).dataset.classNames == ["a"])
  }

  @Test("a class alone in a part is a class, and so is what stands above a folder of images")
  func noWrappers() throws {
    for name in ["train/cat/1.png", "train/dog/1.png", "test/cat/1.png"] {
      try folder.write(image, "a/\(name)")
    }
    #expect(try open("\(folder.path)/a").dataset.classNames == ["cat", "dog"])
    for name in ["train/n01/images/1.png", "test/n01/images/1.png"] { try folder.write(image, "b/\(name)") }
    #expect(try open("\(folder.path)/b").dataset.classNames == ["n01"])
    for name in ["train/train/1.png", "test/test/1.png"] { try folder.write(image, "c/\(name)") }
    #expect(try open("\(folder.path)/c").dataset.classNames.isEmpty)
  }

  @Test("parts of two sides are refused until one is named")
  func sides() throws {
    for name in ["trainA", "trainB", "testA", "testB"] { try folder.write(image, "\(name)/1.png") }
    let error = #expect(throws: FileError.self) { try open() }
    #expect(error?.reason.contains("has two folders for the part 'test', testA and testB") == true)
  }

  @Test("gray images among others are counted where every file is looked at")
  func gray() throws {
    for index in 0..<40 { try folder.write(testImage(2, 2, index == 1 ? 1 : 3, seed: index), "\(index).png") }
    #expect(
      try open().dataset.checkAll() == "of 40 images 1 are gray and are repeated in three channels")
  }
}
