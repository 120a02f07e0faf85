import GlowFiles
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowImages

@Suite("Files of several arrays")
struct ArrayFilesTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func npy(_ shape: [Int], type: String = "|u1", _ values: [UInt8]) -> [UInt8] {
    NumpyHeader(dataType: type, shape: shape).encoded() + values
  }

  @Test("batches as ImageNet32 has them: planes, and labels from 1")
  func imageNet() throws {
    for (number, file) in ["train_data_batch_1", "train_data_batch_2", "train_data_batch_10", "val_data"]
      .enumerated()
    {
      let images = npy([2, 12], (0..<24).map { UInt8($0 + 20 * number) })
      let labels = npy([2], type: "<i8", [UInt8(number + 1), 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0])
      let mean = npy([12], [UInt8](repeating: 99, count: 12))
      try folder.write(
        CraftedArchive.zip([("data.npy", images), ("labels.npy", labels), ("mean.npy", mean)]),
        "\(file).npz")
    }
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(opened.kind == ".npz" && opened.part == .train && opened.dataset.count == 6)
    #expect((0..<6).map(opened.dataset.label) == [0, 3, 1, 3, 2, 3] && opened.dataset.classNames.count == 4)
    #expect(try opened.dataset.image(2).pixels.prefix(4) == [20, 24, 28, 21])
    #expect(opened.note?.contains("labels count from 1") ?? false)
    #expect(opened.dataset.source(3) == "\(folder.path)/train_data_batch_2.npz/data.npy#1")
    let held = try DataSource.open(folder.path, part: .test)
    #expect(try held.dataset.count == 2 && held.dataset.image(0).pixels[0] == 60)
    // A part may lack the last class.
    #expect(held.dataset.classNames.count == 4 && held.note?.contains("valid is taken for test") ?? false)
  }

  @Test("compressed arrays that would not fit into memory together are refused before any is unpacked")
  func largeArrays() throws {
    for number in 0..<2 {
      let array = npy([2, 2, 2], [UInt8](0..<8))
      try folder.write(
        CraftedArchive.zip([("data.npy", array)], claimed: 1 << 44, isWide: true), "batch_\(number).npz")
    }
    let error = #expect(throws: MemoryError.self) { try DataSource.open(folder.path, part: .train) }
    #expect(
      error?.description.hasPrefix("\(folder.path), unpacked, needs about 35184372 MB of memory") == true
        && error?.description.contains("(numpy.savez, a plain .tar), which needs none") == true,
      "\(String(describing: error))")
  }

  @Test("an array beside many images is not the data")
  func besideImages() throws {
    try folder.write(npy([2, 2, 2], [UInt8](0..<8)), "embedding.npy")
    for index in 10..<30 { try folder.write(testImage(4, 4, 3, seed: index), "\(index).png") }
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(try opened.dataset.count == 20 && opened.dataset.image(1) == testImage(4, 4, 3, seed: 11))
  }

  @Test("ImageNet64's two folders of batches are one part, and rows with labels are images of any shape")
  func twoFolders() throws {
    for (place, file) in [
      "Imagenet64_train_part1_npz/train_data_batch_1", "Imagenet64_train_part2_npz/train_data_batch_6",
      "Imagenet64_val_npz/val_data",
    ].enumerated() {
      let labels = npy([12], [UInt8](1...12))
      try folder.write(
        CraftedArchive.zip([
          ("data.npy", npy([12, 12], [UInt8](repeating: UInt8(place), count: 144))), ("labels.npy", labels),
        ]), "\(file).npz")
    }
    let train = try DataSource.open(folder.path, part: .train)
    #expect(try train.dataset.count == 24 && train.dataset.image(12).pixels.allSatisfy { $0 == 1 })
    #expect(train.dataset.shape == ImageShape(height: 2, width: 2, channels: 3))
    #expect(train.dataset.classNames == (1...12).map(String.init))
    #expect(try DataSource.open(folder.path, part: .valid).dataset.image(0).pixels[0] == 2)
    // A folder of a part may say what the file does not; files of one name in pieces are not told apart.
    let other = try TestFolder()
    for (place, name) in ["train/data.npy", "val/data.npy"].enumerated() {
      try other.write(npy([2, 2, 2], [UInt8](repeating: UInt8(place), count: 8)), name)
    }
    let valid = try DataSource.open(other.path, part: .valid)
    #expect(try valid.part == .valid && valid.dataset.image(0).pixels[0] == 1)
    for name in ["part1/a.npy", "part2/a.npy"] { try other.write(npy([1, 2, 2], [0, 1, 2, 3]), name) }
    #expect(throws: FileError.self) { try DataSource.open(other.path, part: .valid) }
  }

  @Test("labels are of the images in their batch, in one file with them or in files of their own")
  func labelsOfBatches() throws {
    func labels(_ count: Int) -> [UInt8] { npy([count], [UInt8](repeating: 1, count: count)) }
    func images(_ count: Int) -> [UInt8] { npy([count, 2, 2], [UInt8](repeating: 0, count: 4 * count)) }
    func open(_ files: [(String, [UInt8])]) throws -> OpenedData {
      let folder = try TestFolder()
      for (name, bytes) in files { try folder.write(bytes, name) }
      return try DataSource.open(folder.path, part: .train)
    }
    func batch(_ arrays: [(name: String, content: [UInt8])]) -> [UInt8] { CraftedArchive.zip(arrays) }
    func expect(_ reason: String, _ files: [(String, [UInt8])]) {
      let error = #expect(throws: FileError.self) { try open(files) }
      #expect(error?.reason.hasPrefix(reason) == true, "\(String(describing: error))")
    }
    let whole = batch([("data.npy", images(2)), ("labels.npy", labels(2))])
    let (onlyImages, onlyLabels) = (batch([("data.npy", images(2))]), batch([("labels.npy", labels(2))]))
    expect(
      "has 3 labels for 4 images in ",
      [
        ("batch_1.npz", batch([("data.npy", images(4)), ("labels.npy", labels(3))])),
        ("batch_2.npz", batch([("data.npy", images(4)), ("labels.npy", labels(5))])),
      ])
    expect(
      "has 2 labels for 3 images in ",
      [
        ("images_1.npy", images(3)), ("images_2.npy", images(2)), ("labels_1.npy", labels(2)),
        ("labels_2.npy", labels(3)),
      ])
    expect(
      "has no labels in its file, unlike ",
      [("batch_1.npz", whole), ("batch_2.npz", onlyImages), ("batch_3.npz", onlyLabels)])
    expect(
      "has no images in its file, unlike ", [("batch_1.npz", whole), ("batch_2.npz", onlyLabels)])
    // One array of labels may be that of all batches.
    let total = [("images_1.npy", images(3)), ("images_2.npy", images(2)), ("labels.npy", labels(5))]
    #expect(try open(total).dataset.label(4) == 0 && open(total).dataset.classNames == ["1"])
    let apart = [("x_1.npz", batch([("x.npy", images(3))])), ("y_1.npz", batch([("y.npy", labels(3))]))]
    #expect(try open(apart).dataset.classNames == ["1"])
  }

  @Test("a copy of a batch is left out with a word")
  func copies() throws {
    for name in ["train_data_batch_1", "train_data_batch_1 (1)", "train_data_batch_2"] {
      try folder.write(CraftedArchive.zip([("data.npy", npy([2, 12], [UInt8](0..<24)))]), "\(name).npz")
    }
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(opened.dataset.count == 4)
    #expect(
      opened.notes.contains("left out as copies: train_data_batch_1 (1).npz of train_data_batch_1.npz"))
  }

  @Test("one file with both parts, as Keras has it")
  func keras() throws {
    let file = CraftedArchive.zip([
      ("x_train.npy", npy([4, 2, 2], [UInt8](0..<16))), ("y_train.npy", npy([4], [0, 1, 2, 2])),
      ("x_test.npy", npy([1, 2, 2], [9, 9, 9, 9])), ("y_test.npy", npy([1, 1], [2])),
    ])
    let path = try folder.write(file, "mnist.npz")
    let train = try DataSource.open(path, part: .train)
    #expect(try train.dataset.count == 4 && train.dataset.image(2).pixels == [8, 9, 10, 11])
    #expect((0..<3).map(train.dataset.label) == [0, 1, 2])
    #expect(try DataSource.open(path, part: .test).dataset.label(0) == 2)
    expectError(path, "has no array of the part 'valid', only of train and test (--split train or test)") {
      try DataSource.open(path, part: .valid)
    }
  }

  @Test("what does not fit is refused")
  func badInput() throws {
    func expect(_ arrays: [(String, [UInt8])], _ part: String) throws {
      let path = try folder.write(CraftedArchive.zip(arrays.map { ("\($0).npy", $1) }), "a.npz")
      let error = #expect(throws: FileError.self) { try DataSource.open(path, part: .train) }
      #expect(error?.reason.contains(part) ?? false, "\(String(describing: error))")
    }
    let images = npy([2, 2, 2], [UInt8](0..<8))
    try expect([("labels", npy([2], [0, 1]))], "has no array of images")
    try expect([("images", images), ("labels", npy([1], [0]))], "has 1 labels for 2 images")
    for (number, shape) in [[2, 2, 2], [1, 5, 6]].enumerated() {
      try folder.write(npy(shape, [UInt8](0..<UInt8(shape.reduce(1, *)))), "batches/batch_\(number).npy")
    }
    let other = folder.path + "/batches/batch_1.npy"
    expectError(other, "holds images of 5×6×1, expected 2×2×1 as in \(folder.path)/batches/batch_0.npy") {
      try DataSource.open(folder.path + "/batches", part: .train)
    }
    try expect(
      [("images", images), ("labels", npy([2], type: "<f4", [UInt8](repeating: 0, count: 8)))],
      "expected whole numbers")
    try expect([("images", images), ("labels", npy([2], type: "|i1", [0, 255]))], "has the label -1")
  }
}
