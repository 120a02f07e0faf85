import CZlib
import Foundation
import GlowFiles
import GlowTestSupport
import Testing

@testable import GlowImages

/// .mat files and TensorFlow's records, written by hand.
enum CraftedLayouts {
  static func little(_ value: Int, _ size: Int) -> [UInt8] {
    (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  static func element(_ kind: Int, _ content: [UInt8]) -> [UInt8] {
    little(kind, 4) + little(content.count, 4) + content
      + [UInt8](repeating: 0, count: (8 - content.count % 8) % 8)
  }

  static func matlabArray(_ name: String, _ dimensions: [Int], _ values: [UInt8]) -> [UInt8] {
    // A name of up to four bytes stands in the element's head.
    let named =
      little(name.utf8.count << 16 | 1, 4) + Array(name.utf8)
      + [UInt8](repeating: 0, count: 4 - name.utf8.count)
    return element(
      14,
      element(6, little(9, 8)) + element(5, dimensions.flatMap { little($0, 4) }) + named + element(2, values)
    )
  }

  static func compressed(_ array: [UInt8]) -> [UInt8] {
    var size = compressBound(UInt(array.count))
    var output = [UInt8](repeating: 0, count: Int(size))
    precondition(compress(&output, &size, array, UInt(array.count)) == Z_OK)
    return little(15, 4) + little(Int(size), 4) + output.prefix(Int(size))
  }

  static func matlab(_ arrays: [[UInt8]]) -> [UInt8] {
    let text = Array("MATLAB 5.0 MAT-file".utf8)
    return text + [UInt8](repeating: 32, count: 124 - text.count) + [0, 1] + Array("IM".utf8)
      + arrays.flatMap { $0 }
  }

  static func field(_ number: Int, _ content: [UInt8]) -> [UInt8] {
    precondition(content.count < 1 << 14)
    return [UInt8(number << 3 | 2), UInt8(content.count & 0x7F | 0x80), UInt8(content.count >> 7)] + content
  }

  static func example(
    _ shape: [UInt8], _ data: [UInt8], label: UInt8, attributes: [UInt8] = []
  ) -> [UInt8] {
    func entry(_ key: String, _ feature: [UInt8]) -> [UInt8] {
      field(1, field(1, Array(key.utf8)) + field(2, feature))
    }
    let packed = field(3, field(1, shape))
    let single = field(3, [1 << 3, label])
    let more = attributes.isEmpty ? [] : entry("attr", field(3, field(1, attributes)))
    return field(
      1, entry("shape", packed) + entry("label", single) + more + entry("data", field(1, field(1, data))))
  }

  static func record(_ content: [UInt8]) -> [UInt8] {
    func sum(_ bytes: [UInt8]) -> [UInt8] {
      bytes.withUnsafeBytes { little(Int(RecordChecksum.of($0[...])), 4) }
    }
    let length = little(content.count, 8)
    return length + sum(length) + content + sum(content)
  }
}

@Suite("SVHN and TensorFlow's records")
struct OtherLayoutTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func digits(isCompressed: Bool) -> [UInt8] {
    // [2, 3, 3, 2]: the first index runs fastest.
    let arrays = [
      CraftedLayouts.matlabArray("X", [2, 3, 3, 2], [UInt8](0..<36)),
      CraftedLayouts.matlabArray("y", [2, 1], [10, 4]),
    ]
    return CraftedLayouts.matlab(isCompressed ? arrays.map(CraftedLayouts.compressed) : arrays)
  }

  @Test("SVHN's digits, compressed or not", arguments: [false, true])
  func svhn(isCompressed: Bool) throws {
    try folder.write(digits(isCompressed: isCompressed), "train_32x32.mat")
    try folder.write(digits(isCompressed: isCompressed), "test_32x32.mat")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(opened.kind == "SVHN" && opened.dataset.shape == ImageShape(height: 2, width: 3, channels: 3))
    #expect((0..<2).map(opened.dataset.label) == [0, 4])
    #expect(
      try opened.dataset.image(0).pixels == [0, 6, 12, 2, 8, 14, 4, 10, 16, 1, 7, 13, 3, 9, 15, 5, 11, 17])
    #expect(try opened.dataset.image(1).pixels[0] == 18)
    // A file that says its part is not taken for the other.
    try FileManager.default.removeItem(atPath: "\(folder.path)/test_32x32.mat")
    expectError(folder.path, "has no test_32x32.mat, only of train (--split train)") {
      try DataSource.open(folder.path, part: .test)
    }
    try folder.write(
      CraftedLayouts.matlab([CraftedLayouts.matlabArray("X", [2, 3, 3, 2], [UInt8](0..<36))]), "all.mat")
    try FileManager.default.removeItem(atPath: "\(folder.path)/train_32x32.mat")
    #expect(try DataSource.open(folder.path, part: .test).dataset.classNames == [])
  }

  @Test("changed .mat files")
  func hostileMatlab() {
    let outcome = readHostileFiles(
      like: [digits(isCompressed: false), digits(isCompressed: true)], count: 1500
    ) {
      file in
      let dataset = try MatlabDataset(FileContent(file, path: "a.mat"))
      for index in 0..<min(dataset.count, 4) { _ = try dataset.image(index) }
    }
    #expect(outcome.wrong == [] && outcome.accepted > 0 && outcome.refused > 100, "\(outcome)")
    expectError("a.mat", "is of MATLAB's version 7.3, expected 5: save it with '-v7'") {
      try MatlabDataset(
        FileContent(Array("MATLAB 7.3".utf8) + [UInt8](repeating: 0, count: 200), path: "a.mat"))
    }
  }

  @Test("a .mat whose elements are empty, or hold each other, comes to an end")
  func selfContained() {
    let array = CraftedLayouts.matlabArray("X", [1, 1, 1, 1], [1])
    for elements in [
      [CraftedLayouts.element(14, [])], [[UInt8](repeating: 0, count: 64)],
      [CraftedLayouts.compressed(CraftedLayouts.compressed(array))],
      [CraftedLayouts.element(14, CraftedLayouts.element(14, array))],
    ] {
      let error = #expect(throws: FileError.self) {
        try MatlabDataset(FileContent(CraftedLayouts.matlab(elements), path: "a.mat"))
      }
      #expect(error?.reason.isEmpty == false)
    }
  }

  private func records(_ labels: [UInt8]) -> [UInt8] {
    labels.flatMap { label in
      CraftedLayouts.record(
        CraftedLayouts.example([2, 2, 3], (0..<12).map { $0 + label * 12 }, label: label))
    }
  }

  @Test("records of examples, with their parts and checksums")
  func tensorFlow() throws {
    try folder.write(records([0, 1]), "train-r01-s-0000-of-0002.tfrecords")
    try folder.write(records([2]), "train-r01-s-0001-of-0002.tfrecords")
    try folder.write(records([3]), "validation-r01-s-0000-of-0001.tfrecords")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(opened.kind == "TFRecord" && opened.dataset.count == 3 && opened.dataset.classNames.count == 3)
    #expect(try opened.dataset.image(2).pixels == [UInt8](24..<36) && opened.dataset.label(2) == 2)
    let held = try DataSource.open(folder.path, part: .test)
    #expect(held.dataset.count == 1 && held.note == "valid is taken for test")
    var damaged = records([0])
    damaged[damaged.count - 10] ^= 1
    let path = try folder.write(damaged, "train-r01-s-0000-of-0002.tfrecords")
    let dataset = try DataSource.open(folder.path, part: .train).dataset
    expectError("\(path)#0", "is damaged: its checksum is wrong") { try dataset.checkAll() }
    expectError("\(path)#0", "is damaged: its checksum is wrong") { try dataset.image(0) }
  }

  private func record(_ shape: [UInt8]) -> [UInt8] {
    let count = shape.reduce(1) { $0 * Int($1) }
    return CraftedLayouts.record(CraftedLayouts.example(shape, (0..<count).map { UInt8($0) }, label: 0))
  }

  @Test("records with the channels first are read as they are meant, and that is said")
  func planarRecords() throws {
    try folder.write(record([3, 2, 4]), "celeba.tfrecords")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(opened.dataset.shape == ImageShape(height: 2, width: 4, channels: 3))
    #expect(try opened.dataset.image(0).pixels.prefix(6) == [0, 8, 16, 1, 9, 17])
    #expect(opened.note == "records hold [channels, height, width]")
  }

  @Test("of records of several resolutions one is taken: what is wanted, or the largest")
  func resolutions() throws {
    for level in 2...4 {
      try folder.write(record([1 << level, 1 << level, 1]), "train-r0\(level)-s-0000-of-0001.tfrecords")
    }
    func open(_ size: Int?, _ model: ImageShape? = nil) throws -> OpenedData {
      var options = DataOptions()
      (options.imageSize, options.modelShape) = (size, model)
      return try DataSource.open(folder.path, part: .train, options: options)
    }
    let largest = try open(nil)
    #expect(
      largest.dataset.shape.height == 16
        && largest.note == "r04 is taken of the resolutions r02, r03, r04, see --image-size")
    #expect(try open(8).note == "r03 is taken of the resolutions r02, r03, r04")
    // The next larger one is reduced, and the largest is padded.
    #expect(try open(6).notes[1].contains("8×8 images are averaged to 6×6"))
    #expect(try open(32).notes[1].contains("16×16 images are padded to 32×32"))
    #expect(
      try open(nil, ImageShape(height: 4, width: 4, channels: 1)).note?.contains("r02 is taken") == true)
  }

  @Test("changed records")
  func hostileRecords() {
    let outcome = readHostileFiles(like: [records([0, 1])], count: 1000) { file in
      let dataset = try RecordDataset([FileContent(file, path: "a")])
      for index in 0..<min(dataset.count, 4) { _ = try dataset.image(index) }
    }
    #expect(outcome.wrong == [] && outcome.accepted > 0 && outcome.refused > 100, "\(outcome)")
  }

  @Test("the center is cut out before its size is changed")
  func crop() throws {
    let image = testImage(218, 178, 3)
    try folder.write(image, "a.png")
    var options = DataOptions()
    (options.crop, options.imageSize) = (148, 64)
    let opened = try DataSource.open(folder.path, part: .train, options: options)
    #expect(
      opened.note == "218×178 images are cropped to 148×148, and then 148×148 images are averaged to 64×64")
    let center = Resizer(size: 148, resizing: .crop).resize(image)
    #expect(try opened.dataset.image(0) == Resizer(size: 64, resizing: .box).resize(center))
    options.imageSize = nil
    #expect(try DataSource.open(folder.path, part: .train, options: options).dataset.image(0) == center)
  }

  @Test("images held out depend on what they are, not on names and order")
  func holdOut() throws {
    for index in 0..<60 { try folder.write(testImage(2, 2, 1, seed: index), "\(index).png") }
    let other = try TestFolder()
    for index in 0..<60 { try other.write(testImage(2, 2, 1, seed: index), "\(60 - index).png") }
    var options = DataOptions()
    options.holdOut = 0.3
    func images(_ path: String, _ part: DataPart) throws -> Set<ByteImage> {
      let dataset = try DataSource.open(path, part: part, options: options).dataset
      return Set(try (0..<dataset.count).map(dataset.image))
    }
    let (train, test) = try (images(folder.path, .train), images(folder.path, .test))
    #expect(train.count + test.count == 60 && train.isDisjoint(with: test) && (8...28).contains(test.count))
    #expect(try images(other.path, .test) == test)
    // What is done to images does not move them, and what cannot be decoded is on one side as well.
    options.crop = 1
    #expect(try images(other.path, .test).count <= test.count)
    func names(_ path: String, _ part: DataPart) throws -> [String] {
      let dataset = try DataSource.open(path, part: part, options: options).dataset
      return (0..<dataset.count).map(dataset.source)
    }
    let cropped = try names(other.path, .test)
    options.crop = nil
    #expect(try names(other.path, .test) == cropped)
    try other.write([1, 2, 3], "damaged.png")
    #expect(try names(other.path, .test).count + names(other.path, .train).count == 61)
    try FileManager.default.removeItem(atPath: other.path + "/damaged.png")
    for part in ["train", "val"] { try other.write(testImage(2, 2, 1), "\(part)/a.png") }
    #expect(throws: FileError.self) { try images(other.path, .train) }
  }

  @Test("of data with the part train alone images are held out as of data without parts")
  func holdOutOfTrain() throws {
    for index in 0..<40 {
      try folder.write(testImage(2, 2, 1, seed: index), "train/\(index % 2)/\(index).png")
    }
    var options = DataOptions()
    options.holdOut = 0.3
    let (train, test) = try (
      DataSource.open(folder.path, part: .train, options: options),
      DataSource.open(folder.path, part: .test, options: options)
    )
    #expect(train.part == .train && test.part == .test && test.dataset.count > 0)
    #expect(train.dataset.count + test.dataset.count == 40 && test.dataset.classNames == ["0", "1"])
    #expect(test.note == "parts train/; \(test.dataset.count) held out of 40 images")
  }

  @Test("a crop and a share that cannot be are refused, and so is a share of data with parts")
  func refusedOptions() throws {
    let path = folder.path
    for index in 0..<4 { try folder.write(testImage(4, 4, 1, seed: index), "\(index).png") }
    func expect(_ reason: String, _ part: DataPart = .train, _ change: (inout DataOptions) -> Void) {
      var options = DataOptions()
      change(&options)
      expectError(path, reason) { try DataSource.open(path, part: part, options: options) }
    }
    for crop in [0, -1, PNG.maximumSide + 1] {
      expect("cannot be cropped to \(crop), expected 1 to \(PNG.maximumSide)") { $0.crop = crop }
    }
    for share in [0, 1, -0.5, .nan] {
      expect("cannot hold out \(share) of the images, expected a number between 0 and 1") {
        $0.holdOut = share
      }
    }
    expect("has no part 'valid', expected train or test", .valid) { $0.holdOut = 0.5 }
    expect("has no image left for the part 'test' with --hold-out 1e-12", .test) { $0.holdOut = 1e-12 }
    for part in ["train", "test"] { try folder.write(testImage(4, 4, 1), "parts/\(part)/a.png") }
    expectError("\(path)/parts", "has a part 'test': --hold-out is for data that hold no images out") {
      var options = DataOptions()
      options.holdOut = 0.5
      return try DataSource.open("\(path)/parts", part: .train, options: options)
    }
    // A crop that is larger than the images is a size to bring them to.
    var options = DataOptions()
    options.crop = 6
    #expect(try DataSource.open("\(path)/parts", part: .train, options: options).dataset.shape.height == 6)
  }

  @Test("a check decodes everything and names what is broken")
  func check() throws {
    for index in 0..<70 { try folder.write(testImage(2, 2, 1, seed: index), "\(10 + index).png") }
    var damaged = try PNG.encode(testImage(2, 2, 1))
    damaged[45] ^= 4
    let path = try folder.write(damaged, "20.png")
    try folder.write(
      Crafted.png(width: 1, height: 1, depth: 16, colorType: 4, rows: [[1, 2, 3, 4]]), "30.png")
    var options = DataOptions()
    options.imageSize = 2
    let dataset = try DataSource.open(folder.path, part: .train, options: options).dataset
    let (broken, note) = DataCheck.brokenImages(dataset)
    #expect(broken.count == 1 && broken[0].path == path)
    let counts = "1 have 16-bit values, reduced to 8, 1 have transparency, which is dropped, 1 are padded"
    #expect(note == "of 69 images \(counts)")
    // Headers are checked alone.
    #expect(
      try dataset.checkAll()
        == "of 70 images 1 have 16-bit values, reduced to 8, 1 have a channel of transparency, which is dropped, "
        + "1 are padded")
  }
}
