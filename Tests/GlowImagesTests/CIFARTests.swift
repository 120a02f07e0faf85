import GlowFiles
import Testing

@testable import GlowImages

@Suite("CIFAR-10")
struct CIFARTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  /// Planes with the values 0..., 100... and 200... .
  private func record(_ label: UInt8, _ first: UInt8) -> [UInt8] {
    var bytes = [label]
    for plane: UInt8 in [0, 100, 200] {
      for position in 0..<1024 { bytes.append(plane + UInt8(position % 50) + first) }
    }
    return bytes
  }

  @Test("records become interleaved images in the order of the batches")
  func reading() throws {
    try folder.write(record(3, 0) + record(9, 1), "data_batch_2.bin")
    try folder.write(record(4, 2), "data_batch_10.bin")
    try folder.write(record(0, 3), "test_batch.bin")
    let opened = try DataSource.open(folder.path + "/", part: .train)
    let dataset = opened.dataset
    #expect(opened.kind == "CIFAR-10" && opened.part == .train && opened.note == nil)
    #expect(dataset.count == 3 && dataset.shape == ImageShape(height: 32, width: 32, channels: 3))
    #expect((0..<3).map(dataset.label) == [3, 9, 4])
    #expect(dataset.source(1) == "\(folder.path)/data_batch_2.bin#1")
    #expect(dataset.source(2) == "\(folder.path)/data_batch_10.bin#0")
    #expect(try dataset.image(1).pixels.prefix(6) == [1, 101, 201, 2, 102, 202])
    #expect(try dataset.image(2).pixels.suffix(3) == [25, 125, 225])
    #expect(try DataSource.open(folder.path, part: .test).dataset.label(0) == 0)
    #expect(dataset.classNames == (0...9).map(String.init))
  }

  @Test("class names come from batches.meta.txt and are ten")
  func classNames() throws {
    try folder.write(record(3, 0), "data_batch_1.bin")
    let path = try folder.write(Array("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n".utf8), "batches.meta.txt")
    #expect(try DataSource.open(folder.path, part: .train).dataset.classNames[9] == "j")
    try folder.write(Array("a\nb\n".utf8), "batches.meta.txt")
    expectError(path, "has 2 class names, expected 10") { try DataSource.open(folder.path, part: .train) }
  }

  @Test("wrong sizes, labels and missing parts are refused")
  func badInput() throws {
    let path = try folder.write(Array(record(3, 0).dropLast()), "data_batch_1.bin")
    expectError(path, "has 3072 bytes, expected one or more CIFAR-10 records of 3073 bytes") {
      try DataSource.open(folder.path, part: .train)
    }
    try folder.write([UInt8](), "data_batch_1.bin")
    expectError(path, "has 0 bytes, expected one or more CIFAR-10 records of 3073 bytes") {
      try DataSource.open(folder.path, part: .train)
    }
    try folder.write(record(1, 0) + record(10, 0), "data_batch_1.bin")
    expectError(path, "has label 10 in record 1, expected 0 to 9") {
      try DataSource.open(folder.path, part: .train)
    }
    expectError(folder.path, "has no test_batch.bin") { try DataSource.open(folder.path, part: .test) }
  }
}
