import GlowFiles
import Testing

@testable import GlowImages

@Suite("Labels beside images, and archives that are one data set")
struct ShardTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func shard(
    _ numbers: Range<Int>, side: Int = 2, _ label: (Int) -> (String, String)?
  ) throws -> [(name: String, content: [UInt8])] {
    try numbers.flatMap { number -> [(name: String, content: [UInt8])] in
      let image = (
        name: "\(100 + number).png", content: try PNG.encode(testImage(side, side, 3, seed: number))
      )
      return [image]
        + (label(number).map { [(name: "\(100 + number).\($0)", content: Array($1.utf8))] } ?? [])
    }
  }

  private func open(_ path: String, _ part: DataPart = .train) throws -> OpenedData {
    try DataSource.open(path, part: part)
  }

  @Test("a class is a number in .cls, or a number or a name in .json, beside its image")
  func labels() throws {
    let numbers = try open(
      folder.write(CraftedArchive.tar(shard(0..<5) { ("cls", "\($0 % 3)\n") }), "a.tar"))
    #expect(numbers.dataset.classNames == ["0", "1", "2"])
    #expect((0..<5).map(numbers.dataset.label) == [0, 1, 2, 0, 1])
    #expect(try numbers.dataset.image(3) == testImage(2, 2, 3, seed: 3))
    #expect(
      numbers.note?.contains("classes from the .cls files") == true
        && numbers.note?.contains("left out") == false)

    let names = try open(
      folder.write(
        CraftedArchive.tar(
          shard(0..<4) { ("json", #"{"label": "\#(["dog", "cat"][$0 % 2])", "width": 2}"#) }), "b.tar"))
    #expect(names.dataset.classNames == ["cat", "dog"] && (0..<4).map(names.dataset.label) == [1, 0, 1, 0])
    // Files that say other things are none of labels.
    let others = try open(
      folder.write(CraftedArchive.tar(shard(0..<2) { _ in ("json", #"{"caption": "a"}"#) }), "c.tar"))
    #expect(others.dataset.classNames == [] && others.note?.contains("left out: 2 .json") == true)
  }

  @Test("what stands beside images and is no class is refused, and folders of classes come first")
  func refusals() throws {
    func expect(_ reason: String, _ label: (Int) -> (String, String)?) throws {
      let path = try folder.write(CraftedArchive.tar(shard(0..<3, label)), "a.tar")
      let error = #expect(throws: FileError.self) { try open(path) }
      #expect(error?.reason.contains(reason) == true, "\(String(describing: error))")
    }
    try expect("has no .cls beside it") { $0 == 1 ? nil : ("cls", "1") }
    try expect("holds 'cat', expected the number of a class") { _ in ("cls", "cat") }
    try expect("has the label -1, expected 0 to 65535") { _ in ("cls", "-1") }
    try expect("is no JSON object") { _ in ("json", "[") }
    try expect("holds no 'cls' or 'label' like the others") { ("json", $0 == 2 ? "{}" : #"{"cls": 1}"#) }
    try expect("has both numbers and names") { ("json", $0 == 2 ? #"{"cls": "a"}"# : #"{"cls": 1}"#) }
    for name in ["cat", "dog"] {
      try folder.write(testImage(2, 2, 3), "classes/\(name)/1.png")
      try folder.write(Array("0".utf8), "classes/\(name)/1.cls")
    }
    let opened = try open("\(folder.path)/classes")
    #expect(
      opened.dataset.classNames == ["cat", "dog"]
        && opened.note?.contains("the folders are the classes") == true)
  }

  @Test("the archives of a folder are one data set, in the order of their names and numbers")
  func shards() throws {
    for (place, number) in [1, 2, 10].enumerated() {
      let files = try shard(3 * place..<3 * place + 3) { ("cls", "\($0)") }
        // The names of one archive may be those of another.
        .map { (name: "s/" + $0.name.replacing("10\(3 * place)", with: "100"), content: $0.content) }
      try folder.write(CraftedArchive.tar(files), "images-train-\(number).tar")
    }
    try folder.write(CraftedArchive.zip(shard(20..<22) { ("cls", "\($0 - 20)") }), "images-val.zip")
    try folder.write([1], "notes.txt")
    let train = try open(folder.path)
    #expect(train.dataset.count == 9 && train.part == .train && train.kind == "images")
    for index in 0..<9 {
      #expect(
        try train.dataset.image(index) == testImage(2, 2, 3, seed: index)
          && train.dataset.label(index) == index)
    }
    #expect(train.note?.contains("3 archives, images-train-1.tar to images-train-10.tar") == true)
    #expect(
      train.note?.contains("1 .txt") == true && train.note?.contains("1 archive of other parts") == true)
    let held = try open(folder.path, .test)
    #expect(held.dataset.count == 2 && held.note?.contains("valid is taken for test") == true)
  }

  @Test(
    "parts may be folders of archives",
    arguments: [
      ["train/0000.tar", "train/0001.tar", "val/0000.tar"], ["train/images.tar", "val/images.tar"],
      ["train/n01440764.tar", "train/n01443537.tar", "val/n01440764.tar"],
      ["train/n01440764.tar", "val.tar"],
    ])
  func foldersOfParts(names: [String]) throws {
    for (place, name) in names.enumerated() {
      try folder.write(CraftedArchive.tar(shard(2 * place..<2 * place + 2) { _ in nil }), name)
    }
    let train = try open(folder.path)
    let count = 2 * (names.count - 1)
    #expect(train.part == .train && train.dataset.count == count)
    #expect(
      train.dataset.classNames
        == names.filter { $0.hasPrefix("train/n") }.map { String($0.dropFirst(6).dropLast(4)) })
    let held = try open(folder.path, .test)
    #expect(held.part == .valid && held.dataset.count == 2)
    #expect(try held.dataset.image(0) == testImage(2, 2, 3, seed: count))
    try folder.write(CraftedArchive.tar(shard(20..<22) { _ in nil }), "extra/more.tar")
    #expect(
      try open(folder.path).notes.contains("left out: 1 archive of no part, such as extra/more.tar"))
  }

  @Test("archives that differ in what parts are in them are refused")
  func differentParts() throws {
    func files(_ names: [String]) throws -> [(name: String, content: [UInt8])] {
      try names.map { ($0, try PNG.encode(testImage(2, 2, 3))) }
    }
    try folder.write(CraftedArchive.tar(files(["train/a.png", "val/b.png"])), "a.tar")
    let advice = "; give one of them, or say in their names which part each is of"
    for (names, train, test) in [
      (["c.png", "d.png"], "all images", "all images"),
      (["train/c.png", "test/d.png"], nil, "the part 'test'"), (["train/c.png", "val/d.png"], nil, nil),
    ] as [([String], String?, String?)] {
      try folder.write(CraftedArchive.tar(files(names)), "b.tar")
      for (part, own, other) in [(DataPart.train, "train", train), (.test, "valid", test)] {
        guard let other else {
          #expect(try open(folder.path, part).dataset.count == 2)
          continue
        }
        expectError(
          folder.path,
          "has archives that differ in what parts are in them: of a.tar the part '\(own)' would be taken, of b.tar "
            + other + advice
        ) { try open(folder.path, part) }
      }
    }
  }

  @Test("copies of archives, and what they were unpacked from, are left out with a word")
  func copies() throws {
    let tar = try CraftedArchive.tar(shard(0..<2) { _ in nil })
    for name in ["train-1.tar", "train-1 (1).tar", "train-2.tar"] { try folder.write(tar, name) }
    for name in ["train-1.tar.gz", "train-2(2).tgz", "train-3 (1).tgz"] {
      try folder.write(Crafted.gzip(tar), name)
    }
    let opened = try open(folder.path)
    // The last has nothing beside it that it could be a copy of.
    #expect(opened.dataset.count == 6)
    #expect(
      opened.notes.contains(
        "left out as copies: train-1 (1).tar of train-1.tar, train-1.tar.gz of train-1.tar, "
          + "train-2(2).tgz of train-2.tar"), "\(opened.summary)")
    #expect(opened.note?.contains("left out: ") == false)
  }

  @Test("the folders of archives are classes as they were if all were unpacked")
  func foldersOfArchives() throws {
    func write(_ folders: [String]) throws -> TestFolder {
      let folder = try TestFolder()
      for (place, name) in folders.enumerated() {
        let files = try shard(place..<place + 1) { _ in nil }.map {
          (name: name + $0.name, content: $0.content)
        }
        try folder.write(CraftedArchive.zip(files), "\(place).zip")
      }
      return folder
    }
    for folders in [["cats/", "dogs/"], ["data/cats/", "data/dogs/"], ["data/cats/a/", "data/dogs/"]] {
      let folder = try write(folders)
      let opened = try open(folder.path)
      #expect(opened.dataset.classNames == ["cats", "dogs"] && (0..<2).map(opened.dataset.label) == [0, 1])
      #expect(opened.notes.first == "2 archives, 0.zip to 1.zip, the folder of each is a class")
      #expect(opened.note?.contains("are no classes") == false)
    }
    for folders in [["data/", "data/"], ["images/", "img/"], ["cats/", ""]] {
      let folder = try write(folders)
      #expect(try open(folder.path).dataset.classNames.isEmpty)
    }
  }

  @Test("archives that do not fit together are refused")
  func unlike() throws {
    try folder.write(CraftedArchive.tar(shard(0..<2) { _ in nil }), "a.tar")
    func expect(_ files: [(name: String, content: [UInt8])], _ reason: String) throws {
      try folder.write(CraftedArchive.tar(files), "b.tar")
      let error = #expect(throws: FileError.self) { try open(folder.path) }
      #expect(error?.reason.contains(reason) == true, "\(String(describing: error))")
    }
    try expect(shard(0..<2, side: 4) { _ in nil }, "is 4×4×3, expected 2×2×3 like")
    try expect(shard(0..<2) { _ in ("cls", "0") }, "has a class, unlike")
    try folder.write([1, 2, 3], "b.tar")
    expectError("\(folder.path)/b.tar", "is neither a .zip nor a .tar or .tar.gz file") {
      try open(folder.path)
    }
  }
}
