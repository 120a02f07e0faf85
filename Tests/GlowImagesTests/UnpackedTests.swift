import GlowFiles
import GlowKernels
import Testing

@testable import GlowImages

/// What is compressed where it stands and kept in memory.
@Suite("Unpacked contents")
struct UnpackedTests {
  private let folder: TestFolder
  /// More than a megabyte.
  private let values = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 * $0 >> 4) }

  init() throws { folder = try TestFolder() }

  private func npy(_ shape: [Int]) -> [UInt8] {
    NumpyHeader(dataType: "|u1", shape: shape).encoded() + values.prefix(shape.reduce(1, *))
  }

  /// A .gz file of any length.
  private func gzip(_ content: [UInt8]) -> [UInt8] {
    [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255] + CraftedArchive.deflate(content)
      + CraftedArchive.number(CraftedArchive.crc(content), 4) + CraftedArchive.number(content.count, 4)
  }

  /// What is said of unpacked contents.
  private func unpackedNote(_ opened: OpenedData) -> String? {
    opened.notes.first { $0.hasPrefix(Unpacked.noteStart) }
  }

  private func note(_ megabytes: Int) -> String {
    "unpacked into memory: \(megabytes) MB (none without compression: numpy.savez, a plain .tar, gunzip)"
  }

  @Test("of compressed arrays those of the part are unpacked, and no others")
  func parts() throws {
    let path = try folder.write(
      CraftedArchive.zip([("x_train.npy", npy([20, 300, 300])), ("x_test.npy", npy([12, 300, 300]))]), "a.npz"
    )
    #expect(try unpackedNote(DataSource.open(path, part: .train)) == note(1))
    // The checksum of what is not unpacked is not looked at.
    var bytes = CraftedArchive.zip([("x_train.npy", npy([22, 300, 300])), ("x_test.npy", npy([2, 4, 4]))])
    let entry = try #require(bytes.indices.first { Array(bytes[$0...].prefix(4)) == [0x50, 0x4B, 1, 2] })
    bytes[entry + 16] ^= 1
    let damaged = try folder.write(bytes, "b.npz")
    let test = try DataSource.open(damaged, part: .test)
    #expect(test.dataset.count == 2 && unpackedNote(test) == nil)
    expectError("\(damaged)/x_train.npy", "is damaged: its checksum is wrong") {
      try DataSource.open(damaged, part: .train)
    }
    let stored = try folder.write(
      CraftedArchive.zip([("x.npy", npy([22, 300, 300]))], isDeflated: false), "c.npz")
    #expect(try unpackedNote(DataSource.open(stored, part: .train)) == nil)
  }

  @Test("what two parts share is unpacked once, and forgotten when neither is there")
  func sharing() throws {
    let path = folder.path + "/content"
    let key = Unpacked.Key(path: path, size: 3, checksum: 7)
    var unpackings = 0
    func content() throws -> FileContent {
      try Unpacked.content(key) {
        unpackings += 1
        return FileContent([1, 2, 3], path: path)
      }
    }
    do {
      let (one, other) = try (content(), content())
      #expect(unpackings == 1 && one.prefix(3) == other.prefix(3))
      #expect(Unpacked.bytes >= 3)
    }
    _ = try content()
    #expect(unpackings == 2)
    // What is kept needs no more room.
    let large = Unpacked.Key(path: path, size: 1 << 50, checksum: 7)
    #expect(throws: MemoryError.self) { try Unpacked.requireRoom(for: [large], of: path) }
    let kept = try Unpacked.content(key) { FileContent([1, 2, 3], path: path) }
    try Unpacked.requireRoom(for: [key, key], of: kept.path)
  }

  @Test("a .tar.gz that changes is unpacked anew")
  func changed() throws {
    let files = try (0..<9).map { (name: "\($0).png", content: try PNG.encode(testImage(4, 4, 3, seed: $0))) }
    func open(_ count: Int) throws -> any Dataset {
      let path = try folder.write(gzip(CraftedArchive.tar(Array(files.prefix(count)))), "a.tar.gz")
      return try DataSource.open(path, part: .train).dataset
    }
    let (few, all) = try (open(4), open(9))
    #expect(few.count == 4 && all.count == 9)
    #expect(try few.image(3) == testImage(4, 4, 3, seed: 3) && all.image(7) == testImage(4, 4, 3, seed: 7))
  }

  @Test("several .tar.gz are counted together")
  func archives() throws {
    for number in 0..<3 {
      let image = try PNG.encode(testImage(2, 2, 3, seed: number))
      let text = Array(values.dropFirst(number).prefix(600_000))
      try folder.write(
        gzip(CraftedArchive.tar([("\(number).png", image), ("\(number).txt", text)])),
        "shard-\(number).tar.gz")
    }
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(opened.dataset.count == 3 && opened.notes.filter { $0.contains("unpacked") } == [note(1)])
    let one = try DataSource.open(folder.path + "/shard-0.tar.gz", part: .train)
    #expect(unpackedNote(one) == nil)
  }

  @Test("a compressed .mat and a .gz of digits say it too")
  func others() throws {
    let array = CraftedLayouts.matlabArray("X", [32, 32, 3, 500], Array(values.prefix(1_536_000)))
    try folder.write(CraftedLayouts.matlab([CraftedLayouts.compressed(array)]), "mat/train_32x32.mat")
    try folder.write(
      gzip(Crafted.idx(0x803, [1500, 28, 28], Array(values.prefix(1_176_000)))),
      "idx/train-images-idx3-ubyte.gz")
    for name in ["mat", "idx"] {
      #expect(try unpackedNote(DataSource.open("\(folder.path)/\(name)", part: .train)) == note(1), "\(name)")
    }
  }
}
