import GlowFiles
import Testing

@testable import GlowImages

@Suite("IDX")
struct IDXTests {
  private let folder: TestFolder
  private let images = Crafted.idx(0x803, [3, 2, 4], [UInt8](0..<24))
  private let labels = Crafted.idx(0x801, [3], [7, 0, 9])

  init() throws { folder = try TestFolder() }

  private func open() throws -> OpenedData { try DataSource.open(folder.path, part: .train) }

  @Test("plain and compressed files hold the same", arguments: [false, true])
  func reading(isCompressed: Bool) throws {
    let suffix = isCompressed ? ".gz" : ""
    try folder.write(isCompressed ? Crafted.gzip(images) : images, "train-images-idx3-ubyte\(suffix)")
    try folder.write(isCompressed ? Crafted.gzip(labels) : labels, "train-labels-idx1-ubyte\(suffix)")
    let opened = try open()
    let dataset = opened.dataset
    #expect(opened.kind == "IDX" && opened.part == .train)
    #expect(dataset.shape == ImageShape(height: 2, width: 4, channels: 1) && dataset.count == 3)
    #expect(try dataset.image(1).pixels == [UInt8](8..<16))
    #expect((0..<3).map(dataset.label) == [7, 0, 9])
    #expect(dataset.classNames.count == 10)
    #expect(dataset.source(2) == "\(folder.path)/train-images-idx3-ubyte\(suffix)#2")
    for (part, reason) in [
      (DataPart.test, "has no t10k-images-idx3-ubyte and no t10k-images-idx3-ubyte.gz"),
      (.valid, "has nothing of the part 'valid'"),
    ] {
      expectError(folder.path, reason + ", only of train (--split train)") {
        try DataSource.open(folder.path, part: part)
      }
    }
  }

  @Test("content says whether a file is compressed, not its name")
  func names() throws {
    try folder.write(images, "train-images-idx3-ubyte.gz")
    try folder.write(Crafted.gzip(labels), "train-labels-idx1-ubyte")
    let dataset = try open().dataset
    #expect(try dataset.image(2).pixels == [UInt8](16..<24) && dataset.label(2) == 9)
  }

  @Test("one file by itself may have any name: its first bytes count", arguments: [false, true])
  func anyName(isCompressed: Bool) throws {
    let path = try folder.write(isCompressed ? Crafted.gzip(images) : images, "digits (1).bin")
    let opened = try DataSource.open(path, part: .train)
    #expect(opened.kind == "IDX" && opened.part == nil && opened.dataset.classNames.isEmpty)
    #expect(try opened.dataset.image(2).pixels == [UInt8](16..<24))
    #expect(opened.note == "its first bytes say that it is IDX")
    // Labels alone are no images, and neither are a few bytes more.
    for bytes in [labels, Array(images.dropFirst())] {
      try folder.write(bytes, "digits (1).bin")
      let error = #expect(throws: FileError.self) { try DataSource.open(path, part: .train) }
      #expect(
        error?.reason.contains("holds nothing that is recognized") == true, "\(String(describing: error))")
    }
  }

  @Test("other names, and EMNIST's letters on their side with labels from 1")
  func otherNames() throws {
    try folder.write(images, "raw/train-images.idx3-ubyte")
    #expect(try open().dataset.image(1).pixels == [UInt8](8..<16))
    let second = try TestFolder()
    let square = Crafted.idx(0x803, [2, 2, 2], [UInt8](0..<8))
    try second.write(Crafted.gzip(square), "emnist-letters-train-images-idx3-ubyte.gz")
    try second.write(Crafted.idx(0x801, [2], [1, 26]), "emnist-letters-train-labels-idx1-ubyte.gz")
    let letters = try DataSource.open(second.path, part: .train)
    #expect(try letters.dataset.image(0).pixels == [0, 2, 1, 3])
    #expect((0..<2).map(letters.dataset.label) == [0, 25] && letters.dataset.classNames.count == 26)
    #expect(letters.note == "EMNIST's pixels are brought upright; labels count from 1")
    #expect(letters.dataset.classNames.first == "1")
    try second.write(square, "emnist-digits-train-images-idx3-ubyte")
    let error = #expect(throws: FileError.self) { try DataSource.open(second.path, part: .train) }
    #expect(error?.reason.contains("holds more than one data set") ?? false)
  }

  @Test(
    "EMNIST under plain names is told by its folder, or by the list of what its labels stand for",
    arguments: [["EMNIST/raw/", ""], ["emnist_letters/", ""], ["", "emnist-letters-mapping.txt"]])
  func plainEMNIST(place: [String]) throws {
    try folder.write(Crafted.idx(0x803, [1, 2, 2], [0, 1, 2, 3]), place[0] + "train-images-idx3-ubyte")
    if !place[1].isEmpty { try folder.write([1], place[1]) }
    let opened = try open()
    #expect(try opened.dataset.image(0).pixels == [0, 2, 1, 3])
    #expect(
      opened.notes.first == "EMNIST's pixels are brought upright, as the folder's name or list says")
    for name in ["femnist", "mnist-not-emnist", "emnistlike"] {
      let plain = try TestFolder()
      try plain.write(Crafted.idx(0x803, [1, 2, 2], [0, 1, 2, 3]), "\(name)/train-images-idx3-ubyte")
      let other = try DataSource.open("\(plain.path)/\(name)", part: .train).dataset
      #expect(try other.image(0).pixels == [0, 1, 2, 3])
    }
  }

  @Test("labels may be absent")
  func unlabeled() throws {
    try folder.write(images, "train-images-idx3-ubyte")
    let dataset = try open().dataset
    #expect(dataset.label(0) == nil && dataset.classNames.isEmpty)
  }

  @Test("wrong plain files are refused")
  func badInput() throws {
    func expect(_ bytes: [UInt8], _ reason: String, sourceLocation: SourceLocation = #_sourceLocation) throws
    {
      let path = try folder.write(bytes, "train-images-idx3-ubyte")
      expectError(path, reason, sourceLocation: sourceLocation) { try open() }
    }
    try expect(labels + images, "starts with 0x801, expected 0x803 of IDX")
    try expect([], "has 0 bytes, expected an IDX header of 16")
    try expect(Array(images.prefix(15)), "has 15 bytes, expected an IDX header of 16")
    try expect(Array(images.dropLast()), "has 39 bytes, expected 40 from its header")
    try expect(images + [0], "has 41 bytes, expected 40 from its header")
    try expect(Crafted.idx(0x803, [0, 2, 4], []), "holds 0 images of 2×4×1, expected at least one value")
    let most = 0xFFFF_FFFF
    try expect(
      Crafted.idx(0x803, [0, most, most], []),
      "holds 0 images of 4294967295×4294967295×1, expected at least one value")
    try expect(
      Crafted.idx(0x803, [most, most, most], []),
      "claims impossible dimensions [4294967295, 4294967295, 4294967295] in its header")
  }

  @Test("wrong compressed files are refused")
  func badCompression() throws {
    func expect(_ bytes: [UInt8], _ reason: String, sourceLocation: SourceLocation = #_sourceLocation) throws
    {
      let path = try folder.write(bytes, "train-images-idx3-ubyte.gz")
      expectError(path, reason, sourceLocation: sourceLocation) { try open() }
    }
    let whole = Crafted.gzip(images)
    try expect(Crafted.gzip(images + [0]), "has more than 40 bytes, expected 40 from its header")
    try expect(Crafted.gzip(Array(images.dropLast())), "has 39 bytes, expected 40 from its header")
    try expect(Array(whole.dropLast()), "is a damaged .gz file: it ends early")
    try expect(Array(whole.prefix(40)), "is a damaged .gz file: it ends early")
    try expect([], "has 0 bytes, expected an IDX header of 16")
    var damaged = whole
    damaged[whole.count - 8] ^= 1
    try expect(damaged, "is a damaged .gz file: incorrect data check")
    let claim = Crafted.gzip(Crafted.idx(0x803, [60000, 1000, 1000], []))
    try expect(
      claim, "has \(claim.count) compressed bytes, too few for the 60000000016 its header claims")
  }

  @Test("as many labels as images")
  func labelCount() throws {
    try folder.write(images, "train-images-idx3-ubyte")
    let path = try folder.write(Crafted.idx(0x801, [2], [1, 2]), "train-labels-idx1-ubyte")
    expectError(path, "has 2 labels for 3 images in train-images-idx3-ubyte") { try open() }
  }
}
