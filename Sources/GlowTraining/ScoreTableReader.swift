import Foundation
import GlowFiles
import GlowFlow

/// The fields of one record of a table of scores, by name.
package struct ScoreFields: Sendable {
  private enum Value: Sendable, Decodable {
    case number(Double)
    case text(String)
    case null

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() {
        self = .null
      } else if let number = try? container.decode(Double.self) {
        self = .number(number)
      } else {
        self = .text(try container.decode(String.self))
      }
    }
  }

  private let values: [String: Value]

  /// Not by `JSONSerialization`, which rounds some numbers twice. Nil if a line is no object of numbers and strings.
  fileprivate init?(json line: UnsafeRawBufferPointer, _ decoder: JSONDecoder) {
    guard let values = try? decoder.decode([String: Value].self, from: Data(line)) else { return nil }
    self.values = values
  }

  /// What stands in a line of comma-separated values is a number only to who asks for one.
  fileprivate init(names: [String], texts: [String]) {
    values = Dictionary(
      zip(names, texts).compactMap { $1.isEmpty ? nil : ($0, .text($1)) }, uniquingKeysWith: { $1 })
  }

  package func real(_ name: String) -> Double? {
    switch values[name] {
    case .number(let number): number
    case .text(let text): Double(text)
    case .null, nil: nil
    }
  }

  package func integer(_ name: String) -> Int? { real(name).flatMap { Int(exactly: $0) } }

  package func text(_ name: String) -> String? {
    if case .text(let text)? = values[name] { return text }
    return nil
  }
}

/// Reads tables of scores, record by record.
package struct ScoreTableReader {
  private let file: MappedFile
  private let format: ScoreTable.Format
  private var names: [String] = []
  private var place = 0
  private var number = 0
  private let decoder = JSONDecoder()

  /// - Parameter format: by the name that the file has or is to get.
  /// - Throws: `FileError` if the file cannot be read, or its first line are no names.
  package init(_ path: String, _ format: ScoreTable.Format, hasHeader: Bool = true) throws {
    file = try MappedFile(path)
    self.format = format
    if format == .csv && hasHeader, let line = try nextLine() { names = ScoreTableReader.split(line) }
  }

  /// Bytes of all whole lines that have been read.
  package var bytesRead: Int { place }

  /// The names of comma-separated values that have no line of them.
  package mutating func expect(_ header: String) {
    names = ScoreTableReader.split(Array(header.utf8).dropLast())
  }

  /// The next whole record with its line; nil at the end, or where a torn one begins.
  ///
  /// - Throws: `FileError` with the number of a line that is no record.
  package mutating func next() throws -> (fields: ScoreFields, line: ArraySlice<UInt8>)? {
    guard let line = try nextLine() else { return nil }
    guard let fields = fields(line) else {
      throw FileError(file.path, "record \(number) is not one of scores")
    }
    return (fields, line)
  }

  /// The record behind the end of the last line, which an editor may have taken away; nil if there is nothing.
  ///
  /// - Throws: `FileError` if it is not whole.
  package mutating func last() throws -> ScoreFields? {
    let rest = try file.withBytes { Array($0[place...])[...] }
    if rest.isEmpty { return nil }
    number += 1
    let isQuoted = rest.count { $0 == UInt8(ascii: "\"") } % 2 == 1
    guard !(format == .csv && isQuoted), let fields = fields(rest) else {
      throw FileError(file.path, "ends in the midst of record \(number): the job that wrote it has not ended")
    }
    return fields
  }

  /// Whether comma-separated values have fields of such names; each record of JSON Lines tells its own.
  package func names(_ fields: String...) -> Bool { format != .csv || fields.allSatisfy(names.contains) }

  private func fields(_ line: ArraySlice<UInt8>) -> ScoreFields? {
    switch format {
    case .jsonl: return line.withUnsafeBytes { ScoreFields(json: $0, decoder) }
    case .csv:
      let texts = ScoreTableReader.split(line)
      return texts.count == names.count ? ScoreFields(names: names, texts: texts) : nil
    }
  }

  /// A line without its end, which is not one within quotes of comma-separated values.
  private mutating func nextLine() throws -> ArraySlice<UInt8>? {
    let start = place
    let line = try file.withBytes { bytes -> ArraySlice<UInt8>? in
      var isQuoted = false
      for index in start..<bytes.count {
        if format == .csv && bytes[index] == UInt8(ascii: "\"") { isQuoted.toggle() }
        if bytes[index] == UInt8(ascii: "\n") && !isQuoted { return Array(bytes[start..<index])[...] }
      }
      return nil
    }
    guard let line else { return nil }
    place += line.count + 1
    number += 1
    return line
  }

  /// The values of a line (RFC 4180).
  private static func split(_ line: ArraySlice<UInt8>) -> [String] {
    let quote = UInt8(ascii: "\"")
    var texts: [String] = []
    var text: [UInt8] = []
    var isQuoted = false
    var wasQuote = false
    for byte in line {
      if byte == quote {
        // The second of two within quotes is one that belongs to the text.
        if !isQuoted && wasQuote { text.append(quote) }
        isQuoted.toggle()
        wasQuote = !isQuoted
        continue
      }
      if byte == UInt8(ascii: ",") && !isQuoted {
        texts.append(String(decoding: text, as: UTF8.self))
        text = []
      } else {
        text.append(byte)
      }
      wasQuote = false
    }
    return texts + [String(decoding: text, as: UTF8.self)]
  }
}

extension ScoreColumns {
  /// The record that a line of a table with these columns was made of.
  func record(_ fields: ScoreFields, dimensions: Int) -> ScoreRecord? {
    guard let index = fields.integer("index"), let path = fields.text("path") else { return nil }
    func record(_ result: Result<ImageScore, FileError>) -> ScoreRecord {
      var record = ScoreRecord(index: index, path: path, label: fields.integer("label"), result: result)
      record.digest = fields.text("sha256")
      return record
    }
    if let error = fields.text("error") { return record(.failure(FileError(path, error))) }
    let logDeterminants = (0..<levels).compactMap { fields.real("log_determinant_\($0)") }
    let priors = (0..<levels).compactMap { fields.real("prior_\($0)") }
    let gains = ImageScore.gainCounts(draws).compactMap { fields.real(gainName($0)) }
    guard let constant = fields.real("dequantization_constant"), logDeterminants.count == levels,
      priors.count == levels, gains.count == ImageScore.gainCounts(draws).count
    else { return nil }
    let dequantizer = hasDequantizer ? fields.real("dequantizer") : nil
    if hasDequantizer && dequantizer == nil { return nil }
    let likelihood = LogLikelihood(
      dequantizationConstant: constant, dequantizer: dequantizer, logDeterminants: logDeterminants,
      priors: priors, dimensions: dimensions)
    let name = fields.text("class")
    return record(
      .success(
        ImageScore(
          likelihood: likelihood, gains: gains,
          label: name.flatMap { name in classNames.firstIndex(of: name) ?? Int(name) },
          compressedBitsPerDimension: fields.real("compressed_bits_per_dim"))))
  }
}
