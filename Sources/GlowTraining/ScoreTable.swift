import GlowFiles

/// Which fields the records of scored images have, by the model and the job.
package struct ScoreColumns: Sendable {
  /// Of the model.
  package var levels: Int
  /// Whether the model has a dequantizer.
  package var hasDequantizer = false
  /// Of the noise, for each image.
  package var draws = 1
  /// Names of the model's classes; none if it is not conditional.
  package var classNames: [String] = []
  /// Scores besides the likelihood.
  package var detection: [DetectionScore] = []
  package var meanTrainingBits: Double?
  /// Adds the p-value and the verdict of each image.
  package var judge: DetectionJudge?

  package init(levels: Int) { self.levels = levels }
}

/// Writes the records of scored images as they come, one a line: as JSON objects, or as comma-separated values
/// (quoted as in RFC 4180, each line ending in a line feed alone) under a line of names. Every record has every field; what does not apply is null, or empty.
package struct ScoreTable {
  package enum Format: String, Sendable, CaseIterable {
    case jsonl, csv
  }

  let format: Format
  let columns: ScoreColumns
  private let write: (String) throws -> Void

  /// - Parameter write: gets each line, with its end.
  init(_ format: Format, _ columns: ScoreColumns, write: @escaping (String) throws -> Void) {
    (self.format, self.columns, self.write) = (format, columns, write)
  }

  /// Calls `body` with a table that becomes the file at `path` when it returns.
  ///
  /// - Parameter path: ends in .jsonl or .csv; without one there is no table.
  /// - Throws: `FileError`, or what `body` throws; what stood at `path` is then untouched.
  package static func write(
    to path: String?, columns: ScoreColumns, _ body: (ScoreTable?) throws -> Void
  ) throws {
    guard let path else { return try body(nil) }
    let format = try format(of: path)
    try AtomicFile.write(to: path) { file in
      let table = ScoreTable(format, columns) { line in
        var line = line
        try line.withUTF8 { try file.append(UnsafeRawBufferPointer($0)) }
      }
      try table.begin()
      try body(table)
    }
  }

  /// The format that a file's name asks for. A device or a pipe whose name says nothing gets JSON Lines.
  ///
  /// - Throws: `FileError` if it is none.
  package static func format(of path: String) throws -> Format {
    if let format = Format.allCases.first(where: { path.hasSuffix(".\($0.rawValue)") }) { return format }
    if AtomicFile.isSpecial(path) { return .jsonl }
    throw FileError(path, "is not a name for scores, expected one that ends in .jsonl or .csv")
  }

  package func append(_ record: ScoreRecord) throws { try write(line(record)) }

  /// A record with the end of its line.
  func line(_ record: ScoreRecord) -> String {
    let fields = fields(record)
    switch format {
    case .jsonl: return "{" + fields.map { "\"\($0)\":\($1.json)" }.joined(separator: ",") + "}\n"
    case .csv: return fields.map(\.value.csv).joined(separator: ",") + "\n"
    }
  }

  /// What stands before the records.
  var header: String {
    if format == .jsonl { return "" }
    let record = ScoreRecord(index: 0, path: "", label: nil, result: .failure(FileError("", "")))
    return fields(record).map(\.name).joined(separator: ",") + "\n"
  }

  func begin() throws { if !header.isEmpty { try write(header) } }

  private func fields(_ record: ScoreRecord) -> [(name: String, value: Field)] {
    let score = try? record.result.get()
    var error: FileError?
    if case .failure(let failure) = record.result { error = failure }
    let likelihood = score?.likelihood
    var fields: [(name: String, value: Field)] = [
      ("index", .integer(record.index)), ("path", .text(record.path)), ("label", .integer(record.label)),
      ("sha256", .text(record.digest)), ("class", .text(score?.label.map(columns.name(ofClass:)))),
      ("log_likelihood", .real(score?.nats)), ("bits_per_dim", .real(score?.bitsPerDimension)),
      ("dequantization_constant", .real(likelihood?.dequantizationConstant)),
    ]
    if columns.hasDequantizer { fields.append(("dequantizer", .real(likelihood?.dequantizer))) }
    for level in 0..<columns.levels {
      fields.append(("log_determinant_\(level)", .real(likelihood?.logDeterminants[level])))
    }
    for level in 0..<columns.levels { fields.append(("prior_\(level)", .real(likelihood?.priors[level]))) }
    for (place, draws) in ImageScore.gainCounts(columns.draws).enumerated() {
      fields.append((columns.gainName(draws), .real(score?.gains[place])))
    }
    if columns.detection.contains(.complexity) {
      fields.append(("compressed_bits_per_dim", .real(score?.compressedBitsPerDimension)))
    }
    for detection in columns.detection where detection != .likelihood {
      let value = score.flatMap { detection.value($0, meanTrainingBits: columns.meanTrainingBits) }
      fields.append((detection.rawValue, .real(value)))
    }
    if let judge = columns.judge {
      let verdict = score.flatMap { judge.verdict($0) }
      fields.append(("p_value", .real(verdict?.probability)))
      fields.append(("verdict", .text(verdict?.word)))
    }
    fields.append(("error", .text(error.map { $0.path == record.path ? $0.reason : "\($0)" })))
    return fields
  }
}

extension ScoreColumns {
  /// A class's name, or its number where the model keeps no names.
  package func name(ofClass label: Int) -> String {
    classNames.indices.contains(label) ? classNames[label] : "\(label)"
  }

  /// The field of the gain of so many draws.
  func gainName(_ draws: Int) -> String {
    draws == self.draws ? "importance_gain" : "importance_gain_\(draws)"
  }
}

/// One value of a record.
private enum Field {
  case integer(Int?)
  case real(Double?)
  case text(String?)

  /// As JSON (RFC 8259). Numbers are the shortest that read back as the same Double.
  var json: String {
    switch self {
    case .integer(let value): value.map(String.init) ?? "null"
    case .real(let value): value.map { "\($0)" } ?? "null"
    case .text(let value): value.map(Field.quoted) ?? "null"
    }
  }

  var csv: String {
    switch self {
    case .integer(let value): value.map(String.init) ?? ""
    case .real(let value): value.map { "\($0)" } ?? ""
    case .text(let value):
      value.map { text in
        // Scalars, because a Character may be a quote with an accent, or both ends of a line.
        let scalars = text.unicodeScalars
        guard scalars.contains(where: { [",", "\"", "\r", "\n"].contains($0) }) else { return text }
        let doubled = scalars.map { $0 == "\"" ? "\"\"" : String($0) }
        return "\"" + doubled.joined() + "\""
      } ?? ""
    }
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\u{0}"..<" ":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
