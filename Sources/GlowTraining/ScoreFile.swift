import Foundation
import GlowFiles

/// The records of a job that may be ended at any time and gone on with: they are in NAME.part, with a neighbor that says
/// how they are made, until all are there and the file gets its name.
package final class ScoreFile {
  private let path: String
  private let table: ScoreTable
  /// Nil if the file was whole already.
  private let file: PartialFile?
  private let provenance: ScoreProvenance
  /// Records that the file has.
  package private(set) var count = 0

  /// - Parameters:
  ///   - path: ends in .jsonl or .csv.
  ///   - hasHeader: whether a line of names begins comma-separated values.
  ///   - resumes: go on with what is there. Without, the records of an unfinished job are not replaced.
  ///   - former: gets the records that are there, in order, and says whether they are what they must be.
  /// - Throws: `FileError` if what is there is of another job, or damaged, or another process is writing it.
  package init(
    _ path: String, _ columns: ScoreColumns, _ provenance: ScoreProvenance, hasHeader: Bool = true,
    resumes: Bool, dimensions: Int, former: (ScoreRecord) throws -> Void
  ) throws {
    self.path = path
    self.provenance = provenance
    let format = try ScoreTable.format(of: path)
    let part = PartialFile.name(of: path)
    // Nothing is looked at, and nothing written, before it is clear that no other process does.
    let locked = try PartialFile(path)
    let isWhole = resumes && locked.isNew && ScoreFile.size(path) != nil
    let file = isWhole ? nil : locked
    self.file = file
    table = ScoreTable(format, columns) { try file?.append($0) }
    if isWhole { locked.discard() }
    let begun = isWhole ? path : part
    do {
      if resumes {
        try ScoreFile.checkIsSameJob(begun, path, provenance)
      } else {
        try ScoreFile.checkHoldsNothing(part, path, format, hasHeader, provenance)
      }
    } catch {
      if !isWhole && locked.isNew { locked.discard() }
      throw error
    }
    if !isWhole { try provenance.write(for: part) }
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

  /// - Throws: `FileError` if the records that are there were made otherwise.
  private static func checkIsSameJob(_ begun: String, _ path: String, _ provenance: ScoreProvenance) throws {
    if size(begun) ?? 0 == 0 { return }
    guard let old = try ScoreProvenance.readFormer(for: path) else {
      throw FileError(
        begun, "lacks \(ScoreProvenance.path(of: begun)), which tells how its records were made: remove it")
    }
    let differences = old.differences(to: provenance, in: Set(ScoreProvenance.Field.allCases))
    if !differences.isEmpty {
      throw FileError(begun, "is of another job: \(differences.joined(separator: "; "))")
    }
  }

  /// - Throws: `FileError` if a new job would cost the records of another one.
  private static func checkHoldsNothing(
    _ part: String, _ path: String, _ format: ScoreTable.Format, _ hasHeader: Bool,
    _ provenance: ScoreProvenance
  ) throws {
    let lines = try MappedFile(part).withBytes { bytes in bytes.count { $0 == UInt8(ascii: "\n") } }
    if lines > (format == .csv && hasHeader ? 1 : 0) {
      throw FileError(
        part, "holds the records of a job that has not ended: go on with --resume, or remove it")
    }
    if size(path) != nil, let shard = try? ScoreProvenance.read(for: path)?.shard, shard != provenance.shard {
      throw FileError(path, "holds shard \(shard): give each shard a file of its own, or remove it")
    }
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
      count += 1
    }
    return reader.bytesRead
  }

  /// Removes what a job without any record leaves.
  package func discardIfEmpty() {
    guard count == 0, let file else { return }
    // In this order: where a neighbor is without a part, the file itself has got its name.
    try? FileManager.default.removeItem(atPath: ScoreProvenance.path(of: PartialFile.name(of: path)))
    file.discard()
  }

  /// - Throws: `FileError`; what was written before stays.
  package func append(_ record: ScoreRecord) throws {
    try table.append(record)
    count += 1
  }

  /// Gives the file its name, and writes what it comes from beside it.
  ///
  /// - Parameter scores: of all records.
  /// - Throws: `FileError`.
  package func finish(_ scores: CollectedScores) throws {
    try file?.finish()
    try provenance.completed(by: scores).write(for: path)
    try? FileManager.default.removeItem(atPath: ScoreProvenance.path(of: PartialFile.name(of: path)))
  }
}
