import Foundation
import GlowFiles

/// What is needed to get scores again: `NAME.meta.json` beside the file of scores NAME.
public struct ScoreProvenance: Codable, Sendable, Equatable {
  public var version: String
  public var model: String
  /// Of the weights, in the order of the model's parameters.
  public var modelSha256: String
  /// What made the matrix products, on which the last bits depend.
  public var kernels: String
  /// Of a channel value.
  public var bits: Int
  public var data: String
  public var split: String?
  public var imageOptions: ImageSettings
  /// "2/4" for the second of four parts.
  public var shard: String?
  /// Of the part that is scored.
  public var images: Int
  public var dequantization: String
  public var seed: UInt64
  public var importanceSamples: Int
  public var onError: String
  /// What was asked for by name; nil for the classes that the images have, or none.
  public var classes: String?
  /// Of the SHA-256 of each image's bytes, 32 bytes each, in their order; nil until all are scored.
  public var dataSha256: String?
  public var skipped: Int?

  public init(
    version: String, model: (path: String, sha256: String), kernels: String, bits: Int, data: String,
    split: String?, imageOptions: ImageSettings, shard: String?, images: Int, classes: String?,
    scoring: ScoringSettings
  ) {
    self.version = version
    (self.model, modelSha256) = model
    self.kernels = kernels
    self.bits = bits
    self.data = data
    self.split = split
    self.imageOptions = imageOptions
    self.shard = shard
    self.images = images
    dequantization = scoring.dequantization.rawValue
    seed = scoring.seed
    importanceSamples = scoring.importanceSamples
    onError = scoring.onError.rawValue
    self.classes = classes
  }

  /// Where that of a file of scores is.
  public static func path(of scores: String) -> String { "\(scores).meta.json" }

  /// - Returns: nil if there is none.
  /// - Throws: `FileError`.
  public static func read(for scores: String) throws -> ScoreProvenance? {
    let path = path(of: scores)
    if !FileManager.default.fileExists(atPath: path) { return nil }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let bytes = try MappedFile(path).withBytes { Data($0) }
    guard let result = try? decoder.decode(ScoreProvenance.self, from: bytes) else {
      throw FileError(path, "does not say how scores were made")
    }
    return result
  }

  func write(for scores: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let text = String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    try AtomicFile.write(text, to: ScoreProvenance.path(of: scores))
  }

  /// What is different in a job that is to go on, and would make other records.
  func differences(to new: ScoreProvenance) -> [String] {
    func shown(_ value: Any) -> String {
      let mirror = Mirror(reflecting: value)
      if mirror.displayStyle == .optional { return mirror.children.first.map { shown($0.value) } ?? "none" }
      if mirror.displayStyle != .struct { return "\(value)" }
      return mirror.children.map { "\($0.label!) \(shown($0.value))" }.joined(separator: ", ")
    }
    // Where the model lies does not matter; the rest is known only in the end.
    let others: Set<String?> = ["model", "dataSha256", "skipped"]
    return zip(Mirror(reflecting: self).children, Mirror(reflecting: new).children).compactMap { old, new in
      let (before, after) = (shown(old.value), shown(new.value))
      return others.contains(old.label) || before == after
        ? nil : "\(old.label!) was \(before), is now \(after)"
    }
  }
}

/// The records of a job that may be ended at any time and gone on with: they are in NAME.part, with a neighbor that says
/// how they are made, until all are there and the file gets its name.
public final class ScoreFile {
  private let path: String
  private let table: ScoreTable
  /// Nil if the file was whole already.
  private let file: PartialFile?
  private var provenance: ScoreProvenance
  private var digests = SHA256()
  private var skipped = 0
  /// Records that the file has.
  public private(set) var count = 0

  /// - Parameters:
  ///   - path: ends in .jsonl or .csv.
  ///   - hasHeader: whether a line of names begins comma-separated values.
  ///   - resumes: go on with what is there. Without, the records of an unfinished job are not replaced.
  ///   - former: gets the records that are there, in order, and says whether they are what they must be.
  /// - Throws: `FileError` if what is there is of another job, or damaged.
  public init(
    _ path: String, _ columns: ScoreColumns, _ provenance: ScoreProvenance, hasHeader: Bool = true,
    resumes: Bool, dimensions: Int, former: (ScoreRecord) throws -> Void
  ) throws {
    self.path = path
    self.provenance = provenance
    let format = try ScoreTable.format(of: path)
    let part = PartialFile.name(of: path)
    let isWhole = resumes && ScoreFile.size(part) == nil && ScoreFile.size(path) != nil
    let begun = isWhole ? path : part
    if !resumes, ScoreFile.size(part) ?? 0 > 0, try Self.hasRecords(part, format, hasHeader) {
      throw FileError(
        part, "holds the records of a job that has not ended: go on with --resume, or remove it")
    }
    if resumes, ScoreFile.size(begun) ?? 0 > 0 {
      // A process may have been killed when the file had its name, but its neighbor not yet.
      guard let old = try ScoreProvenance.read(for: begun) ?? ScoreProvenance.read(for: part) else {
        throw FileError(
          begun, "lacks \(ScoreProvenance.path(of: begun)), which tells how its records were made: remove it")
      }
      let differences = old.differences(to: provenance)
      if !differences.isEmpty {
        throw FileError(begun, "is of another job: \(differences.joined(separator: "; "))")
      }
    } else {
      try provenance.write(for: part)
    }
    let file = isWhole ? nil : try PartialFile(path)
    self.file = file
    table = ScoreTable(format, columns) { try file?.append($0) }
    let whole = resumes ? try readFormer(begun, format, hasHeader, dimensions, former) : 0
    if isWhole {
      if count != provenance.images {
        throw FileError(path, "has \(count) records, expected \(provenance.images)")
      }
    } else {
      try file?.truncate(to: whole)
      if whole == 0 && hasHeader { try table.begin() }
    }
  }

  private static func size(_ path: String) -> Int? {
    (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int
  }

  /// Whether there is more than a line of names.
  private static func hasRecords(
    _ part: String, _ format: ScoreTable.Format, _ hasHeader: Bool
  ) throws -> Bool {
    let lines = try MappedFile(part).withBytes { bytes in bytes.count { $0 == UInt8(ascii: "\n") } }
    return lines > (format == .csv && hasHeader ? 1 : 0)
  }

  /// - Returns: the bytes of the whole records, and of the line of names.
  private func readFormer(
    _ begun: String, _ format: ScoreTable.Format, _ hasHeader: Bool, _ dimensions: Int,
    _ former: (ScoreRecord) throws -> Void
  ) throws -> Int {
    var reader = try ScoreTableReader(begun, format, hasHeader: hasHeader)
    if !table.header.isEmpty && (!hasHeader || reader.bytesRead > 0) {
      reader.expect(table.header)
    }
    while let (fields, line) = try reader.next() {
      guard let record = table.columns.record(fields, dimensions: dimensions),
        table.line(record).utf8.dropLast().elementsEqual(line)
      else { throw FileError(begun, "record \(count + 1) is not one that this job writes") }
      try former(record)
      take(record)
    }
    return reader.bytesRead
  }

  private func take(_ record: ScoreRecord) {
    count += 1
    guard let digest = record.digest else {
      skipped += 1
      return
    }
    if case .failure = record.result { skipped += 1 }
    let bytes = stride(from: 0, to: digest.utf8.count, by: 2).map { place in
      UInt8(digest.dropFirst(place).prefix(2), radix: 16) ?? 0
    }
    bytes.withUnsafeBytes { digests.update($0) }
  }

  /// Removes what a job without any record leaves.
  public func discardIfEmpty() {
    if count > 0 || file == nil { return }
    let part = PartialFile.name(of: path)
    for name in [part, ScoreProvenance.path(of: part)] { try? FileManager.default.removeItem(atPath: name) }
  }

  /// - Throws: `FileError`; what was written before stays.
  public func append(_ record: ScoreRecord) throws {
    try table.append(record)
    take(record)
  }

  /// Of the images so far, as `ScoreProvenance.dataSha256`.
  public var dataDigest: String { digests.digest() }

  /// Gives the file its name, and writes what it comes from beside it.
  ///
  /// - Throws: `FileError`.
  public func finish() throws {
    try file?.finish()
    provenance.dataSha256 = dataDigest
    provenance.skipped = skipped
    try provenance.write(for: path)
    try? FileManager.default.removeItem(atPath: ScoreProvenance.path(of: PartialFile.name(of: path)))
  }
}
