import GlowFiles
import GlowTestSupport
import Testing

@testable import GlowImages

@Suite("Hostile images")
struct HostileImageTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  /// Changed files are either read or refused with a `FileError`; both must come to pass, or nothing was tried.
  private func expectAnswers(
    _ seeds: [[UInt8]], count: Int = 1000, sourceLocation: SourceLocation = #_sourceLocation,
    _ read: ([UInt8]) throws -> Void
  ) {
    let outcome = readHostileFiles(like: seeds, count: count, read)
    #expect(outcome.wrong == [], sourceLocation: sourceLocation)
    #expect(
      outcome.accepted > 0 && outcome.refused > count / 10, "\(outcome)", sourceLocation: sourceLocation)
  }

  private func readAll(_ data: any Dataset) throws {
    for index in 0..<min(data.count, 20) {
      _ = try data.image(index)
      _ = (data.label(index), data.source(index))
    }
  }

  @Test("changed PNG files")
  func png() throws {
    let palette = Crafted.png(
      width: 4, height: 2, depth: 2, colorType: 3, extra: [Crafted.chunk("PLTE", [1, 2, 3, 40, 50, 60])],
      rows: [[0b0100_0001], [0]])
    let text = Crafted.png(
      width: 2, height: 1, depth: 8, colorType: 0,
      extra: [Crafted.chunk("tEXt", [UInt8](repeating: 65, count: 90))],
      rows: [[1, 2]])
    let seeds = try [PNG.encode(testImage(6, 5, 3)), PNG.encode(testImage(6, 5, 1)), palette, text]
    expectAnswers(seeds) { file in
      _ = try file.withUnsafeBytes { try PNG.decode($0, path: "a.png") }
    }
  }

  @Test("changed IDX files, plain and compressed", arguments: ["", ".gz"])
  func idx(suffix: String) throws {
    let plain = [
      Crafted.idx(0x803, [3, 2, 4], [UInt8](0..<24)), Crafted.idx(0x803, [1, 1, 1], [5]),
      Crafted.idx(0x801, [3], [7, 0, 9]),
    ]
    let name = "train-images-idx3-ubyte\(suffix)"
    expectAnswers(suffix.isEmpty ? plain : plain.map(Crafted.gzip)) { file in
      try overwrite("\(folder.path)/\(name)", with: file)
      try readAll(IDXDataset([name], in: folder.container, part: .train))
    }
  }

  @Test("changed CIFAR-10 batches and class names")
  func cifar() throws {
    let batch = [UInt8](repeating: 3, count: 2 * 3073)
    try folder.write(batch, "data_batch_2.bin")
    expectAnswers([batch], count: 300) { file in
      try overwrite("\(folder.path)/data_batch_1.bin", with: file)
      try readAll(
        CIFARDataset(["data_batch_1.bin", "data_batch_2.bin"], in: folder.container, part: .train))
    }
    expectAnswers([Array("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n".utf8)]) { file in
      try overwrite("\(folder.path)/batches.meta.txt", with: file)
      try readAll(
        CIFARDataset(["batches.meta.txt", "data_batch_2.bin"], in: folder.container, part: .train))
    }
  }

  @Test("changed .npy files")
  func npy() throws {
    let seeds = [[2, 2, 2, 3], [2, 3, 2, 2], [3, 4, 3], [2, 12], [12]].map {
      NumpyHeader(dataType: "|u1", shape: $0).encoded() + [UInt8](0..<UInt8($0.reduce(1, *)))
    }
    expectAnswers(seeds) { file in
      try overwrite("\(folder.path)/a.npy", with: file)
      try readAll(NumpyDataset(folder.container.open("a.npy")))
    }
  }

  @Test("changed lists of attributes")
  func attributes() {
    let rows = [("000001.jpg", [true, false]), ("000002.jpg", [false, false])].map {
      AttributeList.Row(file: $0, values: $1)
    }
    let list = Array(AttributeList.format(names: ["Smiling", "Young"], rows: rows).utf8)
    expectAnswers([list]) { file in
      _ = try file.withUnsafeBytes { try AttributeList.parse($0, path: "list") }
    }
  }

  // MARK: Claims that no memory must be booked for

  @Test("a PNG of a million by a million pixels, and one whose palette makes it larger than its rows")
  func hugePNG() throws {
    let million = Crafted.png(width: 1_000_000, height: 1_000_000, depth: 8, colorType: 2, rows: [[0]])
    let error = try #require(throws: FileError.self) {
      try million.withUnsafeBytes { try PNG.decode($0, path: "a.png") }
    }
    #expect(error.reason.contains("exceeds user limit"))
    let packed = Crafted.png(
      width: 16384, height: 16384, depth: 1, colorType: 3, extra: [Crafted.chunk("PLTE", [1, 2, 3])],
      rows: [[0]])
    expectError(
      "a.png", "is a damaged PNG file: \(packed.count) bytes cannot hold the 16384×16384×3 it claims"
    ) { try packed.withUnsafeBytes { try PNG.decode($0, path: "a.png") } }
  }

  @Test("a .npy header of 2⁶⁰ values, and one of thousands of dimensions")
  func hugeNumpyArray() throws {
    func file(_ shape: String) throws -> String {
      let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (\(shape)), }"
      let length = text.utf8.count
      let start: [UInt8] = [
        0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0, UInt8(length & 255), UInt8(length >> 8),
      ]
      return try folder.write(start + Array(text.utf8), "a.npy")
    }
    let path = try file("1152921504606846976, 1, 1")
    expectError(
      path, "has 0 bytes of values, expected 1152921504606846976 for shape [1152921504606846976, 1, 1]"
    ) {
      try NumpyDataset(folder.container.open("a.npy"))
    }
    _ = try file(String(repeating: "1,", count: 10_000))
    let error = try #require(throws: FileError.self) {
      try NumpyDataset(folder.container.open("a.npy"))
    }
    #expect(error.reason.hasPrefix("has a .npy header that is not understood"))
    #expect(error.description.count < 1000)
  }

  @Test("IDX headers of 2⁶⁰ values, plain and compressed")
  func hugeIDX() throws {
    let header = Crafted.idx(0x803, [1 << 20, 1 << 20, 1 << 20], [])
    let plain = try folder.write(header, "train-images-idx3-ubyte")
    expectError(plain, "has 16 bytes, expected 1152921504606846992 from its header") {
      try IDXFile(folder.container.open("train-images-idx3-ubyte"), magic: 0x803)
    }
    let content = Crafted.gzip(header)
    let compressed = try folder.write(content, "t10k-images-idx3-ubyte.gz")
    expectError(
      compressed,
      "has \(content.count) compressed bytes, too few for the 1152921504606846992 its header claims"
    ) { try IDXFile(folder.container.open("t10k-images-idx3-ubyte.gz"), magic: 0x803) }
  }

  @Test("a .gz bomb is unpacked no further than its header says")
  func bomb() throws {
    // One deflate block, by hand: a header that says “one image of 1×1”, and a zero, which is then repeated by
    // copies of 258 bytes: 100 MB in all.
    var bits = BitWriter()
    bits.append(1, count: 1)  // The last block,
    bits.append(1, count: 2)  // with the fixed codes.
    for byte in Crafted.idx(0x803, [1, 1, 1], [0]) { bits.appendCode(0x30 + Int(byte), count: 8) }
    for _ in 0..<400_000 {
      bits.appendCode(0b1100_0101, count: 8)  // Length 258,
      bits.appendCode(0, count: 5)  // from distance 1.
    }
    let file = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255] + bits.bytes
    let path = try folder.write(file, "train-images-idx3-ubyte.gz")
    expectError(path, "has more than 17 bytes, expected 17 from its header") {
      try IDXFile(folder.container.open("train-images-idx3-ubyte.gz"), magic: 0x803)
    }
  }

  @Test("a list that claims more images or names more attributes than anybody has")
  func hugeAttributeList() {
    func expect(_ text: String, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation) {
      expectError("list", reason, sourceLocation: sourceLocation) {
        try Array(text.utf8).withUnsafeBytes { try AttributeList.parse($0, path: "list") }
      }
    }
    expect("9223372036854775807\nA\na.png 1\n", "lists 1 image, expected 9223372036854775807 from line 1")
    expect("9223372036854775808\nA\na.png 1\n", "line 1: expected the number of images")
    let names = (0..<70_000).map { "a\($0)" }.joined(separator: " ")
    expect("1\n\(names)\n", "line 2: has more than 65536 attributes")
    expect(
      "1\nA\na.png\(String(repeating: " 1", count: 100_000))\n", "line 3: has more than 1 values, expected 1")
  }
}

/// The bits of a deflate stream (RFC 1951), from the lowest of each byte up.
private struct BitWriter {
  var bytes: [UInt8] = []
  private var used = 8

  mutating func append(_ value: Int, count: Int) {
    for bit in 0..<count {
      if used == 8 {
        bytes.append(0)
        used = 0
      }
      bytes[bytes.count - 1] |= UInt8(value >> bit & 1) << used
      used += 1
    }
  }

  /// Huffman codes stand with their highest bit first.
  mutating func appendCode(_ code: Int, count: Int) {
    for bit in (0..<count).reversed() { append(code >> bit & 1, count: 1) }
  }
}
