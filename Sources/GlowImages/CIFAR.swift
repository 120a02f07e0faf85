import Foundation
import GlowFiles

/// CIFAR-10 in its binary version: a folder of batches, each a row of records of one label byte and 3072 bytes,
/// which are the red, green and blue planes of a 32×32 image (Krizhevsky 2009).
public struct CIFARDataset: Dataset {
  public let shape = ImageShape(height: 32, width: 32, channels: 3)
  public let classNames: [String]
  public var count: Int { labels.count }

  private struct Batch {
    let file: MappedFile
    /// Index of the batch's first image in the data set.
    let first: Int
  }

  private static let recordSize = 1 + 3072
  private let batches: [Batch]
  private let labels: [UInt8]

  /// Whether a folder with files of these names is one of CIFAR-10.
  static func recognizes(_ names: [String]) -> Bool {
    DataPart.allCases.contains { !batchNames($0, among: names).isEmpty }
  }

  /// - Parameter names: the files in `folder`.
  /// - Throws: `FileError` if a batch is missing, has a wrong size or a wrong label.
  init(folder: String, names: [String], part: DataPart) throws {
    classNames = try Self.readClassNames(folder: folder, names: names)
    let wanted = Self.batchNames(part, among: names)
    if wanted.isEmpty {
      throw FileError(folder, part == .train ? "has no data_batch_1.bin" : "has no test_batch.bin")
    }
    var batches: [Batch] = []
    var labels: [UInt8] = []
    for name in wanted {
      let file = try MappedFile("\(folder)/\(name)")
      batches.append(Batch(file: file, first: labels.count))
      labels += try Self.readLabels(file)
    }
    self.batches = batches
    self.labels = labels
  }

  public func label(_ index: Int) -> Int? { Int(labels[index]) }

  public func source(_ index: Int) -> String {
    let batch = batch(of: index)
    return "\(batch.file.path)#\(index - batch.first)"
  }

  public func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws {
    let batch = batch(of: index)
    try batch.file.withBytes { bytes in
      let start = (index - batch.first) * Self.recordSize + 1
      for channel in 0..<3 {
        for position in 0..<1024 { pixels[3 * position + channel] = bytes[start + 1024 * channel + position] }
      }
    }
  }

  private func batch(of index: Int) -> Batch {
    precondition(labels.indices.contains(index))
    return batches.last { $0.first <= index }!
  }

  private static func batchNames(_ part: DataPart, among names: [String]) -> [String] {
    switch part {
    case .test: names.filter { $0 == "test_batch.bin" }
    case .train:
      names.filter { $0.hasPrefix("data_batch_") && $0.hasSuffix(".bin") }
        .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
    }
  }

  private static func readLabels(_ file: MappedFile) throws -> [UInt8] {
    if file.count == 0 || file.count % recordSize != 0 {
      throw FileError(
        file.path, "has \(file.count) bytes, expected one or more CIFAR-10 records of \(recordSize) bytes")
    }
    return try file.withBytes { bytes in
      try (0..<file.count / recordSize).map { record in
        let label = bytes[record * recordSize]
        if label > 9 {
          throw FileError(file.path, "has label \(label) in record \(record), expected 0 to 9")
        }
        return label
      }
    }
  }

  private static func readClassNames(folder: String, names: [String]) throws -> [String] {
    let name = "batches.meta.txt"
    guard names.contains(name) else { return (0...9).map(String.init) }
    let path = "\(folder)/\(name)"
    let text = try MappedFile(path).withBytes { String(decoding: $0, as: UTF8.self) }
    let classes = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
      .filter { !$0.isEmpty }
    if classes.count != 10 { throw FileError(path, "has \(classes.count) class names, expected 10") }
    return classes
  }
}
