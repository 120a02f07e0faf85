import Foundation
import GlowFiles

/// CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary and Python versions: a folder of batches of 32×32 images, each
/// image 3072 bytes, which are its red, green and blue planes.
///
/// A binary batch is a row of records of one label byte, of CIFAR-100 two (coarse, then fine), and an image. A Python batch
/// is a pickled dictionary of an array `data` and lists of labels.
package struct CIFARDataset: Dataset {
  package let shape = ImageShape(height: 32, width: 32, channels: 3)
  package let classNames: [String]
  package var count: Int { labels.count }

  private struct Batch {
    let file: FileContent
    /// Index of the batch's first image in the data set.
    let first: Int
    /// Where the first image begins, and the bytes from there to the next.
    let offset: Int
    let step: Int
  }

  /// Batches of the part that are not there.
  private let missing: [String]
  /// What batches are in memory as, where they are compressed.
  private let unpacked: [Unpacked.Key]
  private let batches: [Batch]
  private let labels: [UInt8]

  /// The batches of each version.
  static func sets(_ files: DataFiles) throws -> [[String]] {
    try CIFARVersion.all(isCoarse: false).map { try batches(of: $0, files) }.filter { !$0.isEmpty }
  }

  private static func batches(of version: CIFARVersion, _ files: DataFiles) throws -> [String] {
    // CIFAR-100's names are nobody's own: the content counts too.
    try files.others.filter { name in
      let last = DataFiles.split(name).name
      return try last != version.meta && version.isPart(last) && version.fits(name, in: files.container)
    }
  }

  static func open(_ files: DataFiles, part: DataPart, options: DataOptions) throws -> OpenedData? {
    for version in CIFARVersion.all(isCoarse: options.hasCoarseLabels) {
      if try batches(of: version, files).isEmpty { continue }
      let all = try files.matching(version.isPart)
      let dataset = try CIFARDataset(all, in: files.container, part: part, version: version)
      var notes = [Unpacked.note(dataset.unpacked), dataset.missingNote, files.leftOut(all)].compactMap { $0 }
      if version.isHundred {
        notes.insert("\(version.isCoarse ? "coarse" : "fine") labels, see --labels", at: 0)
      }
      return OpenedData(dataset, part: part, notes: notes, kind: version.name)
    }
    return nil
  }

  /// - Parameter names: the batches in `container` and the list of class names.
  /// - Throws: `FileError` if a batch is missing, has a wrong size or a wrong label.
  init(
    _ names: [String], in container: any Container, part: DataPart, version: CIFARVersion = .binary10
  ) throws {
    classNames =
      try Self.meta(names, in: container, version).map(version.readClassNames)
      ?? (0..<version.classCount).map(String.init)
    let wanted = names.filter { version.isBatch(DataFiles.split($0).name, of: part) }
      .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
    if wanted.isEmpty {
      let found = DataPart.allCases.filter { part in
        names.contains { version.isBatch(DataFiles.split($0).name, of: part) }
      }
      throw FileError.missing(
        container.path,
        "has \(part == .valid ? "nothing of the part 'valid'" : "no \(version.batches(of: part)[0])")"
          + DataPart.only(of: Set(found)))
    }
    unpacked = wanted.compactMap { container.unpacked($0) }
    missing = version.batches(of: part).filter { batch in
      !wanted.contains { DataFiles.split($0).name == batch }
    }
    var batches: [Batch] = []
    var labels: [UInt8] = []
    for name in wanted {
      let file = try container.hold(name)
      let found = try version.readBatch(file)
      batches.append(
        Batch(file: found.content, first: labels.count, offset: found.offset, step: found.step))
      labels += found.labels
    }
    self.batches = batches
    self.labels = labels
  }

  /// "missing: data_batch_3.bin"; nil if all batches are there.
  var missingNote: String? { missing.isEmpty ? nil : "missing: " + missing.joined(separator: ", ") }

  /// The list of class names: among the files, or beside the one that is given by itself.
  private static func meta(
    _ names: [String], in container: any Container, _ version: CIFARVersion
  ) throws -> FileContent? {
    if let name = names.first(where: { DataFiles.split($0).name == version.meta }) {
      return try container.open(name)
    }
    let path = URL(filePath: container.path).deletingLastPathComponent().appending(path: version.meta).path
    guard container is SingleFile, FileManager.default.fileExists(atPath: path) else { return nil }
    return FileContent(try MappedFile(path))
  }

  package func label(_ index: Int) -> Int? { Int(labels[index]) }

  package func source(_ index: Int) -> String {
    let batch = batch(of: index)
    return "\(batch.file.path)#\(index - batch.first)"
  }

  package func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    let batch = batch(of: index)
    try batch.file.withBytes { bytes in
      let start = batch.offset + (index - batch.first) * batch.step
      for channel in 0..<3 {
        for position in 0..<1024 { pixels[3 * position + channel] = bytes[start + 1024 * channel + position] }
      }
    }
    return []
  }

  private func batch(of index: Int) -> Batch {
    precondition(labels.indices.contains(index))
    return batches.last { $0.first <= index }!
  }
}
