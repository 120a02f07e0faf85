import Foundation
import GlowFiles

/// CelebA's list of parts, list_eval_partition.txt or .csv: for each image its file and 0, 1 or 2 for train, valid or test.
enum PartitionList {
  static let fileNames = ["list_eval_partition.txt", "list_eval_partition.csv"]

  /// - Throws: `FileError` with the path and the line that does not fit.
  static func parse(_ bytes: UnsafeRawBufferPointer, path: String) throws -> [String: DataPart] {
    var lines = TextLines(bytes, hasCommas: path.hasSuffix(".csv"))
    var parts: [String: DataPart] = [:]
    while let words = lines.next(limit: 3) {
      // Kaggle's begins with the names of its columns.
      if words.isEmpty || lines.number == 1 && words.last == "partition" { continue }
      guard words.count == 2, let part = ["0": DataPart.train, "1": .valid, "2": .test][words[1]] else {
        throw FileError(path, "line \(lines.number): expected a file and 0, 1 or 2")
      }
      parts[words[0]] = part
    }
    return parts
  }
}

/// Words of one line after the other, separated by blanks and, in .csv files, commas: those of all at once would take many times the file's
/// size.
struct TextLines {
  private var rest: Slice<UnsafeRawBufferPointer>
  /// Of the latest line, from 1.
  private(set) var number = 0

  private let hasCommas: Bool

  /// A byte order mark before the text is passed over.
  ///
  /// - Parameter hasCommas: whether commas part words, as in a .csv file.
  init(_ bytes: UnsafeRawBufferPointer, hasCommas: Bool) {
    self.hasCommas = hasCommas
    rest = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes[...]
  }

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
      words.append(String(decoding: unquoted(word), as: UTF8.self))
      line = line.dropFirst(word.count)
    }
    return words
  }

  /// Some writers of .csv files put every word in quotes.
  private func unquoted(_ word: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
    let quote = UInt8(ascii: "\"")
    let isQuoted = hasCommas && word.count >= 2 && word.first == quote && word.last == quote
    return isQuoted ? word.dropFirst().dropLast() : word
  }

  private func isBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0D || hasCommas && byte == 0x2C
  }
}

/// Lists that stand beside images.
enum SideFile {
  /// Bytes of a list.
  private static let largestFile = 1 << 30
  /// Where CelebA's own folders have lists.
  private static let folders = ["", "/Anno", "/Eval"]

  /// Looks for a file of one of these names among `files`, and, on the disk, in the folder that the images or the archive stand
  /// in and in those above it, up to two above what was given.
  ///
  /// - Throws: `FileError` if it cannot be opened.
  static func find(
    _ names: [String], _ files: NameList, in container: any Container, base: [UInt8]
  ) throws -> FileContent? {
    for index in 0..<files.count {
      let name = files.bytes(index)
      let last = name.lastIndex(of: UInt8(ascii: "/")).map { name[($0 + 1)...] } ?? name
      // The first letter is compared first, because there may be a million images.
      if last.first == UInt8(ascii: "l"), names.contains(RawPath.text(last)) {
        return try container.open(name, largest: largestFile, for: "a list")
      }
    }
    var folder = URL(filePath: container.path).absoluteURL.standardized
    if container.isArchive {
      folder.deleteLastPathComponent()
    } else {
      folder.append(path: RawPath.text(base[...]))
    }
    let below = container.isArchive ? 0 : base.split(separator: UInt8(ascii: "/")).count
    for _ in 0...below + 2 {
      for name in folders.flatMap({ own in names.map { "\(own)/\($0)" } }) {
        let path = folder.path + name
        if FileManager.default.fileExists(atPath: path) { return FileContent(try MappedFile(path)) }
      }
      folder.deleteLastPathComponent()
    }
    return nil
  }
}
