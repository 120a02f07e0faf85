import CZlib
import GlowFiles

/// A .zip file (PKWARE's APPNOTE 6.3, with Zip64), mapped and read through its central directory; a file is unpacked when it
/// is opened, or not at all if it is stored. Calls zlib.
struct ZipArchive: Container {
  let path: String

  private struct Entry {
    /// Of the entry's local header.
    let offset: Int
    let packed: Int
    let size: Int
    let checksum: UInt32
    /// 0 is none, 8 is deflate; others are not read.
    let method: Int

    var isDeflated: Bool { method == 8 }
  }

  let leftOut: LeftOut

  private let file: FileContent
  private let index: ArchiveIndex<Entry>

  /// Bytes of one file that is unpacked into memory.
  private static let largestFile = 4 << 30

  static func recognizes(_ file: FileContent) -> Bool {
    let start = file.prefix(4)
    return start == [0x50, 0x4B, 3, 4] || start == [0x50, 0x4B, 5, 6]
  }

  /// - Throws: `FileError` if the directory is damaged.
  init(_ file: FileContent) throws {
    path = file.path
    self.file = file
    var leftOut = LeftOut()
    let entries = try file.withBytes { bytes in
      try Self.entries(Fields(bytes: bytes, path: file.path), &leftOut)
    }
    index = ArchiveIndex(entries)
    leftOut.add(kind: ArchiveNames.replaced, index.replaced)
    self.leftOut = leftOut
  }

  func list() throws -> NameList { index.names }

  func fingerprint(_ name: ArraySlice<UInt8>) -> Int? { index[name].map { Int($0.checksum) } }

  func size(of name: ArraySlice<UInt8>) -> Int? { index[name]?.size }

  func unpacked(_ name: ArraySlice<UInt8>) -> Unpacked.Key? {
    guard let entry = index[name], entry.isDeflated else { return nil }
    return Unpacked.Key(path: path(of: name), size: entry.size, checksum: Int(entry.checksum))
  }

  func start(of name: ArraySlice<UInt8>, _ count: Int) throws -> [UInt8] {
    let (packed, entry) = try stored(name)
    if !entry.isDeflated { return packed.prefix(count) }
    return try packed.withBytes {
      try Gzip.inflate($0, limit: min(count, entry.size), path: packed.path, form: .raw)
    }
  }

  func open(_ name: ArraySlice<UInt8>) throws -> FileContent {
    let (packed, entry) = try stored(name)
    let content = entry.isDeflated ? FileContent(try Self.unpack(packed, entry), path: packed.path) : packed
    let sum = try content.withBytes {
      UInt32(crc32_z(0, $0.bindMemory(to: UInt8.self).baseAddress, $0.count))
    }
    if sum != entry.checksum { throw FileError(packed.path, "is damaged: its checksum is wrong") }
    return content
  }

  /// A file's bytes as they stand in the archive.
  private func stored(_ name: ArraySlice<UInt8>) throws -> (packed: FileContent, entry: Entry) {
    let path = path(of: name)
    guard let entry = index[name] else { throw FileError(path, "is not in the archive") }
    if entry.method != 0 && !entry.isDeflated {
      throw FileError(path, "is compressed by method \(entry.method), expected none (0) or deflate (8)")
    }
    let start = try file.withBytes { bytes in
      let fields = Fields(bytes: bytes, path: path)
      guard try fields.number(entry.offset, 4) == 0x0403_4B50 else {
        throw fields.damaged("no header of this file")
      }
      // Its name and extra fields may differ in length from those in the directory.
      return try entry.offset + 30 + fields.number(entry.offset + 26, 2) + fields.number(entry.offset + 28, 2)
    }
    if entry.packed > file.count - start {
      throw FileError(
        path, "claims \(entry.packed) bytes in the archive, which has \(max(0, file.count - start)) left")
    }
    return (file.part(start..<start + entry.packed, path: path), entry)
  }

  private static func unpack(_ packed: FileContent, _ entry: Entry) throws -> [UInt8] {
    if entry.size > largestFile {
      throw FileError(
        packed.path, "has \(entry.size) bytes, more than \(largestFile) that are unpacked: unzip it first")
    }
    if entry.size > Gzip.largestExpansion(of: entry.packed) {
      throw FileError(
        packed.path, "has \(entry.packed) compressed bytes, too few for the \(entry.size) it claims")
    }
    // One byte more, so that a longer stream is noticed.
    let bytes = try packed.withBytes {
      try Gzip.inflate($0, limit: entry.size + 1, path: packed.path, form: .raw)
    }
    if bytes.count != entry.size {
      throw FileError(packed.path, "is damaged: it does not have the \(entry.size) bytes it claims")
    }
    return bytes
  }

  // MARK: Directory

  private static func entries(
    _ fields: Fields, _ leftOut: inout LeftOut
  ) throws -> [(name: [UInt8], place: Entry)] {
    let (count, start, size) = try directory(fields)
    // Checked before anything is allocated: an entry takes 46 bytes at least.
    if size > fields.bytes.count - start || count > size / 46 {
      throw fields.damaged("a directory of \(count) files in \(size) bytes at \(start)")
    }
    var entries: [(name: [UInt8], place: Entry)] = []
    entries.reserveCapacity(count)
    var at = start
    var found = 0
    let hasSlashes = try self.hasSlashes(fields, start..<start + size)
    // Its size says where it ends: some writers have no more than 16 bits for the count of any files.
    while at < start + size {
      guard try fields.number(at, 4) == 0x0201_4B50 else {
        throw fields.damaged("an entry that is none at \(at)")
      }
      let (flags, method) = try (fields.number(at + 8, 2), fields.number(at + 10, 2))
      let nameSize = try fields.number(at + 28, 2)
      let extra = try fields.number(at + 30, 2)
      let comment = try fields.number(at + 32, 2)
      found += 1
      defer { at += 46 + nameSize + extra + comment }
      // Of Unix, whose modes have the kind of a file in their highest four bits.
      if try fields.number(at + 5, 1) == 3, try fields.number(at + 38, 4) >> 28 == 0xA {
        leftOut.add(kind: LeftOut.links)
        continue
      }
      var name = Array(try fields.slice(at + 46, nameSize))
      // Some that run on Windows write its separators, and not all of those say that they run there.
      if try !hasSlashes || fields.number(at + 5, 1) == 0 && !name.contains(UInt8(ascii: "/")) {
        name = name.map { $0 == UInt8(ascii: "\\") ? UInt8(ascii: "/") : $0 }
      }
      if let normalized = ArchiveNames.normalized(name) {
        let shown = "\(fields.path)/\(RawPath.text(normalized[...]))"
        if flags & 1 != 0 { throw FileError(shown, "is encrypted, which is not read") }
        var wide = try Wide(fields, at + 46 + nameSize, extra)
        let size = try wide.take(fields.number(at + 24, 4))
        let packed = try wide.take(fields.number(at + 20, 4))
        let offset = try wide.take(fields.number(at + 42, 4))
        if method == 0 && packed != size {
          throw FileError(shown, "is stored, but claims \(size) bytes in \(packed)")
        }
        entries.append(
          (
            normalized,
            Entry(
              offset: offset, packed: packed, size: size, checksum: UInt32(try fields.number(at + 16, 4)),
              method: method)
          ))
      } else {
        leftOut.addPassedOver(name)
      }
    }
    if at != start + size || found < count {
      throw fields.damaged("its directory of \(count) files in \(size) bytes has \(found) in \(at - start)")
    }
    return entries
  }

  /// Whether the separator of folders stands in a name: a backslash is then a letter like others.
  private static func hasSlashes(_ fields: Fields, _ directory: Range<Int>) throws -> Bool {
    var at = directory.lowerBound
    while at < directory.upperBound {
      let sizes = try (fields.number(at + 28, 2), fields.number(at + 30, 2), fields.number(at + 32, 2))
      if try fields.slice(at + 46, sizes.0).contains(UInt8(ascii: "/")) { return true }
      at += 46 + sizes.0 + sizes.1 + sizes.2
    }
    return false
  }

  /// Files, offset and bytes of the central directory, from the record at the file's end.
  private static func directory(_ fields: Fields) throws -> (count: Int, start: Int, size: Int) {
    let count = fields.bytes.count
    // A comment of up to 64 KiB may follow it.
    var end = count - 22
    while end >= 0, end >= count - 22 - 0xFFFF {
      if try fields.number(end, 4) == 0x0605_4B50, try fields.number(end + 20, 2) == count - end - 22 {
        break
      }
      end -= 1
    }
    if end < 0 || end < count - 22 - 0xFFFF { throw fields.damaged("it has no directory: it may end early") }
    let found = try (
      count: fields.number(end + 10, 2), start: fields.number(end + 16, 4), size: fields.number(end + 12, 4)
    )
    if found.count < 0xFFFF && found.start < 0xFFFF_FFFF && found.size < 0xFFFF_FFFF { return found }
    // Zip64: a locator stands before, and leads to the wider record.
    guard end >= 20, try fields.number(end - 20, 4) == 0x0706_4B50 else { return found }
    let wide = try fields.number(end - 12, 8)
    guard try fields.number(wide, 4) == 0x0606_4B50 else {
      throw fields.damaged("no Zip64 directory at \(wide)")
    }
    return try (fields.number(wide + 32, 8), fields.number(wide + 48, 8), fields.number(wide + 40, 8))
  }

  /// Sizes and offsets of 64 bits, in the extra field 1, in place of those that are all ones.
  private struct Wide {
    private var values: [Int] = []

    init(_ fields: Fields, _ start: Int, _ size: Int) throws {
      var at = start
      while at + 4 <= start + size {
        let (kind, length) = try (fields.number(at, 2), fields.number(at + 2, 2))
        if at + 4 + length > start + size { return }
        if kind == 1 {
          values = try stride(from: at + 4, through: at + 4 + length - 8, by: 8).map {
            try fields.number($0, 8)
          }
          return
        }
        at += 4 + length
      }
    }

    mutating func take(_ narrow: Int) -> Int {
      narrow == 0xFFFF_FFFF && !values.isEmpty ? values.removeFirst() : narrow
    }
  }

  /// Little-endian numbers, within the file or not at all.
  private struct Fields {
    let bytes: UnsafeRawBufferPointer
    let path: String

    func number(_ start: Int, _ size: Int) throws -> Int {
      let digits = try slice(start, size)
      let value = digits.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      if value > UInt64(Int.max / 4) { throw damaged("a number that is too large at \(start)") }
      return Int(value)
    }

    func slice(_ start: Int, _ size: Int) throws -> Slice<UnsafeRawBufferPointer> {
      if start < 0 || size > bytes.count - start { throw damaged("it ends early") }
      return bytes[start..<start + size]
    }

    func damaged(_ reason: String) -> FileError { FileError(path, "is a damaged .zip file: \(reason)") }
  }
}
