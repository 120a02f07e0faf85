import GlowFiles

/// Yes-or-no attributes of images in the format of CelebA's list_attr_celeba.txt (Liu et al. 2015): the number
/// of images; the names; and for each image its file and 1 or -1 for each name, all separated by blanks.
public enum AttributeList {
  public static let fileName = "list_attr_celeba.txt"

  public struct Row: Sendable, Equatable {
    public let file: String
    public let values: [Bool]

    public init(file: String, values: [Bool]) {
      self.file = file
      self.values = values
    }
  }

  /// - Throws: `FileError` with the path and the line that does not fit.
  public static func parse(
    _ bytes: UnsafeRawBufferPointer, path: String
  ) throws -> (names: [String], rows: [Row]) {
    var lines = Lines(bytes)
    guard let first = lines.next(limit: 2), first.count == 1, let count = Int(first[0]), count >= 0 else {
      throw FileError(path, "line 1: expected the number of images")
    }
    let names = lines.next(limit: maximumNames + 1) ?? []
    if names.isEmpty || Set(names).count != names.count {
      throw FileError(path, "line 2: expected the names of the attributes, each once")
    }
    if names.count > maximumNames {
      throw FileError(path, "line 2: has more than \(maximumNames) attributes")
    }
    var rows: [Row] = []
    while let words = lines.next(limit: names.count + 2) {
      if words.isEmpty { continue }
      rows.append(try row(words, names: names, line: lines.number, path: path))
    }
    if rows.count != count {
      throw FileError(path, "lists \(rows.count) images, expected \(count) from line 1")
    }
    return (names, rows)
  }

  public static func format(names: [String], rows: [Row]) -> String {
    let lines = rows.map { row in ([row.file] + row.values.map { $0 ? "1" : "-1" }).joined(separator: " ") }
    return ([String(rows.count), names.joined(separator: " ")] + lines).map { $0 + "\n" }.joined()
  }

  private static func row(_ words: [String], names: [String], line: Int, path: String) throws -> Row {
    if words.count != names.count + 1 {
      let found = words.count > names.count + 1 ? "more than \(names.count)" : "\(words.count - 1)"
      throw FileError(path, "line \(line): has \(found) values, expected \(names.count)")
    }
    let values = try words.dropFirst().map { word in
      guard word == "1" || word == "-1" else {
        throw FileError(path, "line \(line): has the value '\(word)', expected 1 or -1")
      }
      return word == "1"
    }
    return Row(file: words[0], values: values)
  }

  private static let maximumNames = 65536

  /// The words of one line after the other: those of all at once would take many times the file's size.
  private struct Lines {
    private var rest: Slice<UnsafeRawBufferPointer>
    /// Of the latest line, from 1.
    private(set) var number = 0

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes[...] }

    /// At most `limit` of the next line's words; nil at the end.
    mutating func next(limit: Int) -> [String]? {
      if rest.isEmpty { return nil }
      var line = rest.prefix { $0 != UInt8(ascii: "\n") }
      rest = rest.dropFirst(line.count + 1)
      number += 1
      var words: [String] = []
      while words.count < limit {
        line = line.drop(while: isBlank)
        if line.isEmpty { break }
        let word = line.prefix { !isBlank($0) }
        words.append(String(decoding: word, as: UTF8.self))
        line = line.dropFirst(word.count)
      }
      return words
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
  }
}
