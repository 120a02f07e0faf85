import Foundation
import GlowFiles
import Testing

@testable import GlowImages

/// What people have in a folder by accident, or laid out in another way than one thinks: it is refused, or said.
@Suite("Never wrong without a word")
struct MisreadTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func expect(
    _ reason: String, part: DataPart = .train, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let error = #expect(throws: FileError.self, sourceLocation: sourceLocation) {
      try DataSource.open(folder.path, part: part)
    }
    #expect(
      error?.reason.contains(reason) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
  }

  private func npy(_ shape: [Int]) -> [UInt8] {
    NumpyHeader(dataType: "|u1", shape: shape).encoded()
      + (0..<shape.reduce(1, *)).map { UInt8(truncatingIfNeeded: $0) }
  }

  @Test("images of several sizes: what becomes of each is said")
  func sizes() throws {
    try folder.write(testImage(16, 16, 3), "a.png")
    try folder.write(testImage(4, 4, 3), "b.png")
    try folder.write(testImage(16, 24, 3), "c.png")
    var options = DataOptions()
    options.imageSize = 8
    #expect(
      try DataSource.open(folder.path, part: .train, options: options).notes == [
        "16×16 images are averaged to 8×8", "4×4 images are padded to 8×8: bits/dim is over the padded size",
        "16×24 images are cropped to 16×16 and averaged to 8×8",
      ])
  }

  @Test("several arrays that may be images are no batches")
  func arrays() throws {
    for names in [["images", "masks"], ["arr_0", "arr_1"]] {
      let path = try folder.write(
        CraftedArchive.zip(names.map { ("\($0).npy", npy([6, 4, 4])) }), "a.npz")
      for location in [path, folder.path] {
        let error = #expect(throws: FileError.self) { try DataSource.open(location, part: .train) }
        #expect(
          error?.reason.contains("may be images, such as \(names[0]).npy and \(names[1]).npy") == true,
          "\(String(describing: error))")
      }
    }
    try FileManager.default.removeItem(atPath: folder.path + "/a.npz")
    try folder.write(npy([6, 4, 4]), "images.npy")
    try folder.write(npy([6, 4, 4]), "masks.npy")
    expect("may be images, such as images.npy and masks.npy")
    let batches = try TestFolder()
    for number in [1, 2] { try batches.write(npy([6, 4, 4]), "batch_\(number).npy") }
    #expect(try DataSource.open(batches.path, part: .train).dataset.count == 12)
  }

  @Test("copies of CIFAR's batches are left out")
  func copies() throws {
    let batch = [3] + [UInt8](repeating: 200, count: 3072)
    for name in ["data_batch_1.bin", "data_batch_1 (1).bin", "data_batch_1_old.bin"] {
      try folder.write(batch, name)
    }
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(opened.dataset.count == 1 && opened.notes.last == "left out: 2 .bin")
  }

  @Test("batches of CIFAR that are missing are named, and a batch by itself keeps its classes' names")
  func batches() throws {
    let batch = [3] + [UInt8](repeating: 200, count: 3072)
    for number in [1, 2, 4, 5] { try folder.write(batch, "data_batch_\(number).bin") }
    try folder.write(batch, "test_batch.bin")
    try folder.write(Array("abcdefghij".map { "\($0)\n" }.joined().utf8), "batches.meta.txt")
    #expect(try DataSource.open(folder.path, part: .train).note == "missing: data_batch_3.bin")
    #expect(try DataSource.open(folder.path, part: .test).note == nil)
    let one = try DataSource.open("\(folder.path)/data_batch_4.bin", part: .train)
    #expect(one.dataset.classNames == "abcdefghij".map { "\($0)" })
    #expect(
      one.note == "missing: data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_5.bin")
    let path = "\(folder.path)/test_batch.bin"
    expectError(path, "has no data_batch_1.bin, only of test (--split test)") {
      try DataSource.open(path, part: .train)
    }
  }

  @Test("a few images beside an archive or an array are not the data; beside many of them it is named")
  func strays() throws {
    let image = try PNG.encode(testImage(4, 4, 3))
    let archive = CraftedArchive.zip([("a.png", image), ("b.png", image)])
    for (name, bytes, count) in [
      ("data.zip", archive, 2), ("data.npy", npy([5, 4, 4, 3]), 5),
    ] {
      let folder = try TestFolder()
      try folder.write(bytes, name)
      try folder.write(image, "preview.png")
      let opened = try DataSource.open(folder.path, part: .train)
      #expect(opened.dataset.count == count)
      #expect(
        opened.note?.contains(
          "left out: 1 .png; images such as preview.png are not the data here: a folder of their own opens them"
        )
          == true, "\(opened.summary)")
      for index in 0..<16 { try folder.write(image, "images/\(index).png") }
      let images = try DataSource.open("\(folder.path)", part: .train, options: sized)
      #expect(
        images.kind == "images"
          && images.note?.contains("\(name) may be data too, and is left out: give it by itself to open it")
            == true,
        "\(images.summary)")
    }
    // What is no array of images is not the data.
    try folder.write(
      NumpyHeader(dataType: "<f4", shape: [2, 2]).encoded() + [UInt8](repeating: 0, count: 16), "mean.npy")
    try folder.write(image, "a.png")
    #expect(try DataSource.open(folder.path, part: .train).kind == "images")
  }

  @Test("data without parts are all images, whatever part is asked for, and that is said")
  func noParts() throws {
    try folder.write(npy([6, 4, 4]), "a.npy")
    #expect(try DataSource.open(folder.path, part: .train).note == nil)
    for part in [DataPart.valid, .test] {
      let opened = try DataSource.open(folder.path, part: part)
      #expect(
        opened.part == nil
          && opened.note == "no parts: all images are taken for '\(part)'")
    }
  }

  private func labels(_ numbers: [UInt8]) -> [UInt8] {
    NumpyHeader(dataType: "|u1", shape: [numbers.count]).encoded() + numbers
  }

  @Test(
    "classes of arrays are called by the labels that are stored, so that parts opened by themselves agree")
  func labelNames() throws {
    // Where one part shows the first class and the other does not; the numbers of both say the same.
    func names(_ numbers: [UInt8], _ name: String) throws -> [String] {
      let dataset = try DataSource.open(
        folder.write(
          CraftedArchive.zip([("data.npy", npy([numbers.count, 48])), ("labels.npy", labels(numbers))]), name),
        part: .valid
      ).dataset
      return try (0..<dataset.count).map { dataset.classNames[try #require(dataset.label($0))] }
    }
    #expect(try names([1, 2, 3], "val_data_batch_1.npz") == ["1", "2", "3"])
    #expect(try names([2, 3], "val_data.npz") == ["2", "3"])
    #expect(try names([0, 2], "val_data.npz") == ["0", "2"])
  }

  @Test("one array of labels or of means in each batch is named once, and one-hot rows are not labels")
  func oneHot() throws {
    func batch(_ number: Int, _ type: String) throws {
      let size = type == "|u1" ? 1 : 4
      let rows =
        NumpyHeader(dataType: type, shape: [2, 10]).encoded() + [UInt8](repeating: 0, count: 20 * size)
      try folder.write(
        CraftedArchive.zip([
          ("x.npy", npy([2, 4, 4])), ("y.npy", rows),
          ("mean.npy", NumpyHeader(dataType: "<f4", shape: [4]).encoded() + [UInt8](repeating: 0, count: 16)),
        ]), "batch_\(number).npz")
    }
    for type in ["<f4", "|u1"] {
      for number in 1...3 { try batch(number, type) }
      let opened = try DataSource.open(folder.path, part: .train)
      #expect(opened.dataset.count == 6 && opened.dataset.classNames.isEmpty)
      #expect(
        opened.note
          == "left out: the arrays mean.npy, y.npy; labels are one whole number an image, and y.npy is [2, 10]: of "
          + "one-hot rows save numpy.argmax(y, axis=1)", "\(opened.summary)")
    }
  }

  private var sized: DataOptions {
    var options = DataOptions()
    options.imageSize = 4
    return options
  }

  @Test("parts below classes are refused")
  func partsBelow() throws {
    for name in ["cat", "dog"] {
      for part in ["train", "test"] { try folder.write(testImage(2, 2, 3), "\(name)/\(part)/good/a.png") }
    }
    expect("has folders of parts (train, test) below others: put those of parts above those of classes")
    // However deep they are.
    let deep = try TestFolder()
    for name in ["cat", "dog"] {
      for part in ["train", "val"] { try deep.write(testImage(2, 2, 3), "\(name)/raw/\(part)/a.png") }
    }
    expectError(
      deep.path + "/",
      "has folders of parts (train, valid) below others: put those of parts above those of classes"
    ) { try DataSource.open(deep.path, part: .train) }
  }

  @Test("EMNIST's labels count from 1 only where no part has a 0")
  func labels() throws {
    let images = Crafted.idx(0x803, [2, 2, 2], (0..<8).map { $0 })
    for (part, labels) in [("train", [0, 4]), ("test", [2, 4])] as [(String, [UInt8])] {
      try folder.write(images, "emnist-digits-\(part)-images-idx3-ubyte")
      try folder.write(Crafted.idx(0x801, [2], labels), "emnist-digits-\(part)-labels-idx1-ubyte")
    }
    let test = try DataSource.open(folder.path, part: .test)
    #expect(test.dataset.label(0) == 2 && test.note?.contains("labels count") == false)
  }

  @Test("IDX files and .mat files of one part: a packed twin is passed over with a word, others are refused")
  func twins() throws {
    let images = Crafted.idx(0x803, [2, 2, 2], (0..<8).map { $0 })
    try folder.write(images, "train-images-idx3-ubyte")
    try folder.write(Crafted.gzip(images), "train-images-idx3-ubyte.gz")
    #expect(
      try DataSource.open(folder.path, part: .train).note
        == "train-images-idx3-ubyte is read, and not train-images-idx3-ubyte.gz")
    try folder.write(images, "train-images.idx3-ubyte")
    expect("holds both train-images-idx3-ubyte")
    let other = try TestFolder()
    for name in ["train_32x32", "train_small"] {
      let array = CraftedLayouts.matlabArray("X", [2, 2, 3, 1], [UInt8](repeating: 1, count: 12))
      try other.write(CraftedLayouts.matlab([array]), "\(name).mat")
    }
    expectError(other.path, "holds both train_32x32.mat and train_small.mat: give one of them") {
      try DataSource.open(other.path, part: .train)
    }
  }

  @Test("data sets in folders beside each other are refused; what may be data in the same folder is named")
  func severalSets() throws {
    let images = Crafted.idx(0x803, [2, 2, 2], (0..<8).map { $0 })
    let batch = [3] + [UInt8](repeating: 200, count: 3072)
    let hundred = [4] + batch
    let digits = CraftedLayouts.matlab([
      CraftedLayouts.matlabArray("X", [2, 2, 3, 1], [UInt8](repeating: 1, count: 12))
    ])
    let files: [(name: String, bytes: [UInt8])] = [
      ("cifar-10-batches-bin/data_batch_1.bin", batch), ("cifar-100-binary/train.bin", hundred),
      ("FashionMNIST/raw/train-images-idx3-ubyte", images), ("train_32x32.mat", digits),
      ("arrays/a.npy", npy([6, 4, 4])),
    ]
    for (place, first) in files.enumerated() {
      for second in files.dropFirst(place + 1) {
        let folder = try TestFolder()
        for file in [first, second] { try folder.write(file.bytes, file.name) }
        expectError(
          folder.path,
          "holds more than one data set, such as \(first.name) and \(second.name): give one of them"
        ) { try DataSource.open(folder.path, part: .train) }
      }
    }
    // What is no data is none of them.
    for (name, bytes) in [("batch.bin", batch), ("cifar-10-python.tar.gz", [1]), ("setid.mat", digits)] {
      try folder.write(bytes, "some/\(name)")
    }
    try folder.write(
      NumpyHeader(dataType: "<f4", shape: [2]).encoded() + [UInt8](repeating: 0, count: 8), "mean/mean.npy")
    try folder.write(batch, "data_batch_1.bin")
    #expect(try DataSource.open(folder.path, part: .train).note?.contains("may be data") == false)
    try folder.write(npy([6, 4, 4]), "a.npy")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(
      opened.kind == "CIFAR-10"
        && opened.notes.contains("a.npy may be data too, and is left out: give it by itself to open it"),
      "\(opened.summary)")
  }

  @Test("images and labels of two data sets are not paired")
  func families() throws {
    try folder.write(
      Crafted.idx(0x803, [2, 2, 2], (0..<8).map { $0 }), "emnist-letters-train-images-idx3-ubyte")
    try folder.write(Crafted.idx(0x801, [2], [1, 2]), "emnist-digits-train-labels-idx1-ubyte")
    expect("which are of two data sets")
  }

  @Test("a .tar without its end, and files of one name")
  func archives() throws {
    let image = try PNG.encode(testImage(2, 2, 3))
    let cut = try folder.write(CraftedArchive.tarEntry("a.png", image), "cut.tar")
    #expect(
      try DataSource.open(cut, part: .train).note
        == "\(cut) has no end as .tar files have: files may be missing")
    for (name, bytes) in [
      ("a.tar", CraftedArchive.tar([("a.png", image), ("a.png", image)])),
      ("a.zip", CraftedArchive.zip([("a.png", image), ("a.png", image)])),
    ] {
      #expect(
        try DataSource.open(folder.write(bytes, name), part: .train).note
          == "left out: 1 replaced by later files of the same name")
    }
  }

  @Test("CelebA's list without a part for tests: that for choosing models is taken, and said")
  func partition() throws {
    for index in 1...2 { try folder.write(testImage(2, 2, 3, seed: index), "\(index).png") }
    try folder.write(Array("1.jpg 0\n2.jpg 1\n".utf8), "list_eval_partition.txt")
    let opened = try DataSource.open(folder.path, part: .test)
    #expect(opened.part == .valid && opened.note?.hasSuffix("; valid is taken for test") == true)
    #expect(try opened.dataset.image(0) == testImage(2, 2, 3, seed: 2))
  }
}
