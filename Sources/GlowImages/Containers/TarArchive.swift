import GlowFiles

/// A .tar file (POSIX ustar and pax, and GNU's long names), mapped and indexed; nothing is unpacked.
///
/// A header is 512 bytes with the name and, in octal digits, the size; the content follows, filled up to 512.
struct TarArchive: Container {
  let path: String
  let leftOut: LeftOut
  let note: String?
  private let file: FileContent
  private let index: ArchiveIndex<Range<Int>>

  /// Bytes of a name, in GNU's and pax's way of writing long ones.
  private static let longestName = 1 << 16
  private static let mostEntries = 50_000_000

  static func recognizes(_ file: FileContent) -> Bool { recognizes(file.prefix(512)) }

  /// - Parameter start: the first 512 bytes.
  static func recognizes(_ start: [UInt8]) -> Bool {
    guard start.count == 512 else { return false }
    if start[257..<262].elementsEqual("ustar".utf8) { return true }
    // Before POSIX nothing but the checksum told.
    return start[0] != 0 && start[257..<512].allSatisfy { $0 == 0 }
      && start.withUnsafeBytes { number($0[148..<156]) == checksum($0) }
  }

  /// - Parameter unpacked: what it is in memory as, if it was compressed.
  /// - Throws: `FileError` if a header is damaged or the file ends early.
  init(_ file: FileContent, unpacked: Unpacked.Key? = nil) throws {
    path = file.path
    self.file = file
    var leftOut = LeftOut()
    var end = End.missing
    index = ArchiveIndex(
      try file.withBytes { try Self.entries($0, path: file.path, &leftOut, &end) })
    leftOut.add(kind: ArchiveNames.replaced, index.replaced)
    self.leftOut = leftOut
    let endNote: String? =
      switch end {
      case .missing: "\(file.path) has no end as .tar files have: files may be missing"
      case .found: nil
      case .followed: "\(file.path) goes on after its end, with what is not read: another .tar may follow"
      }
    let notes = [Unpacked.note(unpacked.map { [$0] } ?? []), endNote].compactMap { $0 }
    note = notes.isEmpty ? nil : notes.joined(separator: "; ")
  }

  func list() throws -> NameList { index.names }

  func open(_ name: ArraySlice<UInt8>) throws -> FileContent {
    guard let range = index[name] else { throw FileError(path(of: name), "is not in the archive") }
    return file.part(range, path: path(of: name))
  }

  /// What marks the end of an archive: blocks of zeros, and nothing else after them.
  private enum End { case missing, found, followed }

  private static func entries(
    _ bytes: UnsafeRawBufferPointer, path: String, _ leftOut: inout LeftOut, _ end: inout End
  ) throws -> [(name: [UInt8], place: Range<Int>)] {
    var entries: [(name: [UInt8], place: Range<Int>)] = []
    var start = 0
    // For links.
    var places: [[UInt8]: Range<Int>] = [:]
    // Of the next entry, where a name or a size does not fit in its header.
    var longName: [UInt8]?
    var longSize: Int?
    while bytes.count - start >= 512 {
      let header = UnsafeRawBufferPointer(rebasing: bytes[start..<start + 512])
      if header[0] == 0 && header.allSatisfy({ $0 == 0 }) {
        end = bytes[start...].allSatisfy { $0 == 0 } ? .found : .followed
        return entries
      }
      func damaged(_ reason: String) -> FileError {
        FileError(path, "is a damaged .tar file: \(reason) at byte \(start)")
      }
      guard let sum = number(header[148..<156]), sum == checksum(header) else {
        throw damaged("a wrong checksum")
      }
      guard let stored = number(header[124..<136]) else { throw damaged("no size") }
      let type = header[156]
      let size =
        longSize.flatMap { type == UInt8(ascii: "x") || type == UInt8(ascii: "L") ? nil : $0 } ?? stored
      let content = start + 512
      if size > bytes.count - content {
        throw damaged("a file of \(size) bytes where \(bytes.count - content) are left")
      }
      let range = content..<content + size
      switch type {
      case UInt8(ascii: "L"), UInt8(ascii: "x"):
        if size > longestName { throw damaged("a name of \(size) bytes") }
        if type == UInt8(ascii: "L") {
          longName = Array(bytes[range].prefix { $0 != 0 })
        } else {
          (longName, longSize) = try pax(bytes[range], path: path)
        }
      case 0, UInt8(ascii: "0"), UInt8(ascii: "7"):
        let stored = longName ?? shortName(header)
        if let name = ArchiveNames.normalized(stored) {
          entries.append((name, range))
          places[name] = range
        } else {
          leftOut.addPassedOver(stored)
        }
        (longName, longSize) = (nil, nil)
      case UInt8(ascii: "S"): throw damaged("a file with holes, which is not read")
      case UInt8(ascii: "1"):
        // A file that the archive holds already, under another name.
        if let name = ArchiveNames.normalized(longName ?? shortName(header)),
          let target = ArchiveNames.normalized(Array(header[157..<257].prefix { $0 != 0 })),
          let place = places[target]
        {
          entries.append((name, place))
        } else {
          leftOut.add(kind: LeftOut.links)
        }
        (longName, longSize) = (nil, nil)
      case UInt8(ascii: "2"):
        leftOut.add(kind: LeftOut.links)
        (longName, longSize) = (nil, nil)
      // Folders and what is said of all files.
      default: (longName, longSize) = (nil, nil)
      }
      if entries.count > mostEntries { throw damaged("more than \(mostEntries) files") }
      start = content + (size + 511) / 512 * 512
      // A last content need not be filled up.
      if start > bytes.count { break }
    }
    if start < bytes.count {
      throw FileError(path, "is a damaged .tar file: it ends within a header at byte \(start)")
    }
    if entries.isEmpty { throw FileError(path, "is a .tar file without files") }
    return entries
  }

  private static func shortName(_ header: UnsafeRawBufferPointer) -> [UInt8] {
    let name = Array(header[..<100].prefix { $0 != 0 })
    let prefix = Array(header[345..<500].prefix { $0 != 0 })
    // GNU keeps other things there, and says so with a blank after "ustar".
    return prefix.isEmpty || header[262] != 0 ? name : prefix + [UInt8(ascii: "/")] + name
  }

  /// Octal digits, or, with the highest bit set, a binary number.
  private static func number(_ field: Slice<UnsafeRawBufferPointer>) -> Int? {
    if field.first == 0x80 {
      let digits = field.dropFirst().drop { $0 == 0 }
      return digits.count > 7 ? nil : digits.reduce(0) { $0 << 8 | Int($1) }
    }
    let digits = field.drop { $0 == 0x20 }.prefix { $0 != 0 && $0 != 0x20 }
    return digits.isEmpty
      ? 0 : Int(String(decoding: digits, as: UTF8.self), radix: 8).flatMap { $0 < 0 ? nil : $0 }
  }

  /// The sum of all bytes, with blanks in place of the sum itself.
  private static func checksum(_ header: UnsafeRawBufferPointer) -> Int {
    header.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
  }

  /// Records "LENGTH KEY=VALUE\n", of which the path and the size count.
  private static func pax(
    _ block: Slice<UnsafeRawBufferPointer>, path: String
  ) throws -> (name: [UInt8]?, size: Int?) {
    var rest = Array(block)[...]
    var (name, size): ([UInt8]?, Int?) = (nil, nil)
    while !rest.isEmpty, rest.first != 0 {
      let digits = rest.prefix { $0 != 0x20 }
      guard let length = Int(String(decoding: digits, as: UTF8.self)), length > digits.count + 1,
        length <= rest.count
      else { throw FileError(path, "is a damaged .tar file: a pax header that is not understood") }
      let record = rest.prefix(length).dropFirst(digits.count + 1).dropLast()
      let key = record.prefix { $0 != UInt8(ascii: "=") }
      let value = record.dropFirst(key.count + 1)
      if key.elementsEqual("path".utf8) { name = Array(value) }
      if key.elementsEqual("size".utf8) {
        guard let number = Int(String(decoding: value, as: UTF8.self)), number >= 0 else {
          throw FileError(path, "is a damaged .tar file: a pax header with a size that is none")
        }
        size = number
      }
      rest = rest.dropFirst(length)
    }
    return (name, size)
  }
}
