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
    let newline = UInt8(ascii: "\n")
    let lines = bytes.split(separator: newline, omittingEmptySubsequences: false).map(words)
    guard lines.count >= 2, lines[0].count == 1, let count = Int(lines[0][0]), count >= 0 else {
      throw FileError(path, "line 1: expected the number of images")
    }
    let names = lines[1]
    if names.isEmpty || Set(names).count != names.count {
      throw FileError(path, "line 2: expected the names of the attributes, each once")
    }
    var rows: [Row] = []
    for (number, words) in zip(3..., lines.dropFirst(2)) where !words.isEmpty {
      rows.append(try row(words, names: names, line: number, path: path))
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
      throw FileError(path, "line \(line): has \(words.count - 1) values, expected \(names.count)")
    }
    let values = try words.dropFirst().map { word in
      guard word == "1" || word == "-1" else {
        throw FileError(path, "line \(line): has the value '\(word)', expected 1 or -1")
      }
      return word == "1"
    }
    return Row(file: words[0], values: values)
  }

  private static func words(_ line: Slice<UnsafeRawBufferPointer>) -> [String] {
    line.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }.map { String(decoding: $0, as: UTF8.self) }
  }
}
