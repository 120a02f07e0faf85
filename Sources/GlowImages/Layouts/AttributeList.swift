import GlowFiles

/// Yes-or-no attributes of images in the format of CelebA's list_attr_celeba.txt (Liu et al. 2015): the number
/// of images; the names; and for each image its file and 1 or -1 for each name, all separated by blanks. In the .csv of the
/// same name that Kaggle has, the names follow "image_id" in the first line.
package enum AttributeList {
  package static let fileName = "list_attr_celeba.txt"
  static let fileNames = [fileName, "list_attr_celeba.csv"]

  package struct Row: Sendable, Equatable {
    package let file: String
    package let values: [Bool]

    package init(file: String, values: [Bool]) {
      self.file = file
      self.values = values
    }
  }

  /// - Throws: `FileError` with the path and the line that does not fit.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer, path: String
  ) throws -> (names: [String], rows: [Row]) {
    var lines = TextLines(bytes, hasCommas: path.hasSuffix(".csv"))
    let first = lines.next(limit: maximumNames + 2) ?? []
    // Kaggle's table has the names in its first line, after that of the files, and no number of images.
    let isTable = first.first == "image_id"
    var count: Int?
    if !isTable {
      guard first.count == 1, let number = Int(first[0]), number >= 0 else {
        throw FileError(path, "line 1: expected the number of images")
      }
      count = number
    }
    let names = isTable ? Array(first.dropFirst()) : lines.next(limit: maximumNames + 1) ?? []
    if names.isEmpty || Set(names).count != names.count {
      throw FileError(path, "line \(lines.number): expected the names of the attributes, each once")
    }
    if names.count > maximumNames {
      throw FileError(path, "line \(lines.number): has more than \(maximumNames) attributes")
    }
    var rows: [Row] = []
    while let words = lines.next(limit: names.count + 2) {
      if words.isEmpty { continue }
      rows.append(try row(words, names: names, line: lines.number, path: path))
    }
    if let count, rows.count != count {
      throw FileError(path, "lists \(counted(rows.count, "image")), expected \(count) from line 1")
    }
    return (names, rows)
  }

  package static func format(names: [String], rows: [Row]) -> String {
    let lines = rows.map { row in ([row.file] + row.values.map { $0 ? "1" : "-1" }).joined(separator: " ") }
    return ([String(rows.count), names.joined(separator: " ")] + lines).map { $0 + "\n" }.joined()
  }

  private static func row(_ words: [String], names: [String], line: Int, path: String) throws -> Row {
    if words.count != names.count + 1 {
      let found = words.count > names.count + 1 ? "more than \(names.count)" : "\(words.count - 1)"
      throw FileError(path, "line \(line): has \(found) values, expected \(names.count)")
    }
    let values = try words.dropFirst().map { word in
      guard word == "1" || word == "-1" || word == "0" else {
        throw FileError(path, "line \(line): has the value '\(word)', expected 1 or -1, or 1 or 0")
      }
      return word == "1"
    }
    return Row(file: words[0], values: values)
  }

  private static let maximumNames = 65536
}
