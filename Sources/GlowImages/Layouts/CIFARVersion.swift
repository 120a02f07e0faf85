import Foundation
import GlowFiles

/// What tells the versions of CIFAR apart: names of files, and what stands in a batch.
struct CIFARVersion {
  let name: String
  let isPython: Bool
  let isHundred: Bool
  let isCoarse: Bool
  /// The file with the names of the classes.
  let meta: String

  static let binary10 = CIFARVersion(
    name: "CIFAR-10", isPython: false, isHundred: false, isCoarse: false, meta: "batches.meta.txt")

  static func all(isCoarse: Bool) -> [CIFARVersion] {
    [
      binary10,
      CIFARVersion(
        name: "CIFAR-10 (Python)", isPython: true, isHundred: false, isCoarse: false, meta: "batches.meta"),
      CIFARVersion(
        name: "CIFAR-100", isPython: false, isHundred: true, isCoarse: isCoarse,
        meta: isCoarse ? "coarse_label_names.txt" : "fine_label_names.txt"),
      CIFARVersion(
        name: "CIFAR-100 (Python)", isPython: true, isHundred: true, isCoarse: isCoarse, meta: "meta"),
    ]
  }

  var classCount: Int { isHundred ? isCoarse ? 20 : 100 : 10 }
  private var suffix: String { isPython ? "" : ".bin" }
  private var labelBytes: Int { isHundred ? 2 : 1 }

  func isPart(_ name: Substring) -> Bool {
    name == meta || DataPart.allCases.contains { isBatch(name, of: $0) }
  }

  func isBatch(_ name: Substring, of part: DataPart) -> Bool {
    switch (part, isHundred) {
    case (.train, false):
      name.hasPrefix("data_batch_") && name.hasSuffix(suffix)
        && isNumber(name.dropFirst("data_batch_".count).dropLast(suffix.count))
    case (.test, false): name == "test_batch\(suffix)"
    case (.train, true): name == "train\(suffix)"
    case (.test, true): name == "test\(suffix)"
    case (.valid, _): false
    }
  }

  /// Copies of a batch, "data_batch_1 (1).bin", are none.
  private func isNumber(_ text: Substring) -> Bool { !text.isEmpty && text.allSatisfy(\.isNumber) }

  /// The names of a part's files.
  func batches(of part: DataPart) -> [String] {
    if isHundred { return ["\(part)\(suffix)"] }
    return part == .train ? (1...5).map { "data_batch_\($0)\(suffix)" } : ["test_batch\(suffix)"]
  }

  /// Whether a file is what its name, which others use too, makes one think.
  func fits(_ name: String, in container: any Container) throws -> Bool {
    if !isHundred { return true }
    if isPython {
      let start = try container.start(of: name, 2)
      return start.count == 2 && start[0] == 0x80 && (2...5).contains(start[1])
    }
    let size = try container.unpacked(name)?.size ?? container.open(name).count
    return size % (2 + 3072) == 0 && size > 0
  }

  /// What a batch holds.
  struct Batch {
    let labels: [UInt8]
    /// What the images are in.
    let content: FileContent
    /// Where the first image begins, and the bytes from there to the next.
    let offset: Int
    let step: Int
  }

  /// - Throws: `FileError`.
  func readBatch(_ file: FileContent) throws -> Batch {
    isPython ? try readPickle(file) : try readRecords(file)
  }

  private func readRecords(_ file: FileContent) throws -> Batch {
    let size = labelBytes + 3072
    if file.count == 0 || file.count % size != 0 {
      throw FileError(
        file.path, "has \(file.count) bytes, expected one or more \(name) records of \(size) bytes")
    }
    let labels = try file.withBytes { bytes in
      try (0..<file.count / size).map { record in
        try checked(Int(bytes[record * size + (isHundred && !isCoarse ? 1 : 0)]), record, file)
      }
    }
    return Batch(labels: labels, content: file, offset: labelBytes, step: size)
  }

  private func readPickle(_ file: FileContent) throws -> Batch {
    let content = try file.withBytes { try Pickle.read($0, path: file.path) }
    let key = isHundred ? isCoarse ? "coarse_labels" : "fine_labels" : "labels"
    guard case .array(let shape, let data)? = content["data"], shape.count == 2, shape[1] == 3072 else {
      throw FileError(file.path, "has no array 'data' of bytes [images, 3072]")
    }
    let decoded =
      data.isText
      ? FileContent(try file.withBytes { try data.decoded($0, path: file.path) }, path: file.path)
      : file.part(data.range, path: file.path)
    let (size, isTooLarge) = shape[0].multipliedReportingOverflow(by: 3072)
    guard case .numbers(let numbers)? = content[key], numbers.count == shape[0], !isTooLarge,
      decoded.count == size, shape[0] > 0
    else { throw FileError(file.path, "has no list '\(key)' with a label for each of \(shape[0]) images") }
    return Batch(
      labels: try numbers.enumerated().map { try checked($1, $0, file) }, content: decoded, offset: 0,
      step: 3072)
  }

  private func checked(_ label: Int, _ record: Int, _ file: FileContent) throws -> UInt8 {
    if !(0..<classCount).contains(label) {
      throw FileError(file.path, "has label \(label) in record \(record), expected 0 to \(classCount - 1)")
    }
    return UInt8(label)
  }

  /// - Throws: `FileError` if there are not as many as classes.
  func readClassNames(_ file: FileContent) throws -> [String] {
    let classes: [String]
    if isPython {
      let content = try file.withBytes { try Pickle.read($0, path: file.path) }
      let key = isHundred ? isCoarse ? "coarse_label_names" : "fine_label_names" : "label_names"
      guard case .texts(let names)? = content[key] else { throw FileError(file.path, "has no list '\(key)'") }
      classes = names
    } else {
      classes = try file.withBytes { String(decoding: $0, as: UTF8.self) }.split(whereSeparator: \.isNewline)
        .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
    if classes.count != classCount {
      throw FileError(file.path, "has \(classes.count) class names, expected \(classCount)")
    }
    return classes
  }
}
