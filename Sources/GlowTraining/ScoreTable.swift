import GlowFiles

/// Writes the records of scored images as they come, one a line: as JSON objects, or as comma-separated values
/// (quoted as in RFC 4180, each line ending in a line feed alone) under a line of names. Every record has every field; what does not apply is null, or empty.
public struct ScoreTable {
  public enum Format: String, Sendable, CaseIterable {
    case jsonl, csv
  }

  private let format: Format
  private let levels: Int
  private let detection: [DetectionScore]
  private let meanTrainingBits: Double?
  private let writeLine: (String) throws -> Void

  /// Calls `body` with a table that becomes the file at `path` when it returns.
  ///
  /// - Parameters:
  ///   - path: ends in .jsonl or .csv; without one there is no table.
  ///   - levels: of the model.
  ///   - detection: scores to write besides the likelihood.
  /// - Throws: `FileError`, or what `body` throws; what stood at `path` is then untouched.
  public static func write(
    to path: String?, levels: Int, detection: [DetectionScore] = [], meanTrainingBits: Double? = nil,
    _ body: (ScoreTable?) throws -> Void
  ) throws {
    guard let path else { return try body(nil) }
    guard let format = format(of: path) else {
      throw FileError(path, "is not a name for scores, expected one that ends in .jsonl or .csv")
    }
    try AtomicFile.write(to: path) { file in
      let table = ScoreTable(
        format: format, levels: levels, detection: detection, meanTrainingBits: meanTrainingBits
      ) { line in
        var line = line + "\n"
        try line.withUTF8 { try file.append(UnsafeRawBufferPointer($0)) }
      }
      try table.begin()
      try body(table)
    }
  }

  /// The format that a file's name asks for.
  public static func format(of path: String) -> Format? {
    Format.allCases.first { path.hasSuffix(".\($0.rawValue)") }
  }

  public func append(_ record: ScoreRecord) throws {
    let fields = fields(index: record.index, path: record.path, label: record.label, record.result)
    switch format {
    case .jsonl:
      try writeLine("{" + fields.map { "\"\($0)\":\($1.json)" }.joined(separator: ",") + "}")
    case .csv: try writeLine(fields.map(\.value.csv).joined(separator: ","))
    }
  }

  private func begin() throws {
    if format == .csv {
      let names = fields(index: 0, path: "", label: nil, .failure(FileError("", ""))).map(\.name)
      try writeLine(names.joined(separator: ","))
    }
  }

  private func fields(
    index: Int, path: String, label: Int?, _ result: Result<ImageScore, FileError>
  ) -> [(name: String, value: Field)] {
    let score = try? result.get()
    var error: FileError?
    if case .failure(let failure) = result { error = failure }
    let likelihood = score?.likelihood
    var fields: [(name: String, value: Field)] = [
      ("index", .integer(index)), ("path", .text(path)), ("label", .integer(label)),
      ("log_likelihood", .real(score?.nats)), ("bits_per_dim", .real(score?.bitsPerDimension)),
      ("dequantization_constant", .real(likelihood?.dequantizationConstant)),
    ]
    for level in 0..<levels {
      fields.append(("log_determinant_\(level)", .real(likelihood?.logDeterminants[level])))
    }
    for level in 0..<levels { fields.append(("prior_\(level)", .real(likelihood?.priors[level]))) }
    fields.append(("importance_gain", .real(score?.importanceGain)))
    if detection.contains(.complexity) {
      fields.append(("compressed_bits_per_dim", .real(score?.compressedBitsPerDimension)))
    }
    for detection in detection where detection != .likelihood {
      let value = score.flatMap { detection.value($0, meanTrainingBits: meanTrainingBits) }
      fields.append((detection.rawValue, .real(value)))
    }
    fields.append(("error", .text(error.map { $0.path == path ? $0.reason : "\($0)" })))
    return fields
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
