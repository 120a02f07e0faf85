import CZlib

/// Archives written by hand, so that they can be wrong in one place.
enum CraftedArchive {
  static func number(_ value: Int, _ size: Int) -> [UInt8] {
    (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  static func crc(_ bytes: [UInt8]) -> Int {
    Int(bytes.withUnsafeBufferPointer { crc32_z(0, $0.baseAddress, $0.count) })
  }

  /// What deflate makes of bytes, without a header.
  static func deflate(_ bytes: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    deflateInit2_(
      &stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    defer { deflateEnd(&stream) }
    var input = bytes
    return input.withUnsafeMutableBufferPointer { input in
      [UInt8](unsafeUninitializedCapacity: bytes.count + 100) { output, count in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(output.count)
        precondition(CZlib.deflate(&stream, Z_FINISH) == Z_STREAM_END)
        count = Int(stream.total_out)
      }
    }
  }

  /// - Parameter claimed: the size in place of the true one.
  static func zip(
    _ files: [(name: String, content: [UInt8])], isDeflated: Bool = true, claimed: Int? = nil,
    isWide: Bool = false
  ) -> [UInt8] {
    var archive: [UInt8] = []
    var directory: [UInt8] = []
    for (name, content) in files {
      let packed = isDeflated ? deflate(content) : content
      let size = claimed ?? content.count
      let start = archive.count
      let common =
        number(0, 2) + number(isDeflated ? 8 : 0, 2) + number(0, 4) + number(crc(content), 4)
        + number(isWide ? 0xFFFF_FFFF : packed.count, 4) + number(isWide ? 0xFFFF_FFFF : size, 4)
        + number(name.utf8.count, 2)
      let extra =
        isWide
        ? number(1, 2) + number(24, 2) + number(size, 8) + number(packed.count, 8) + number(start, 8) : []
      archive += number(0x0403_4B50, 4) + number(20, 2) + common + number(0, 2) + Array(name.utf8) + packed
      directory +=
        number(0x0201_4B50, 4) + number(20, 2) + number(20, 2) + common + number(extra.count, 2)
        + number(0, 2)
        + number(0, 4) + number(0, 4) + number(isWide ? 0xFFFF_FFFF : start, 4) + Array(name.utf8) + extra
    }
    let start = archive.count
    archive += directory
    if isWide {
      let wide = archive.count
      archive +=
        number(0x0606_4B50, 4) + number(44, 8) + number(45, 2) + number(45, 2) + number(0, 8)
        + number(files.count, 8) + number(files.count, 8) + number(directory.count, 8) + number(start, 8)
      archive += number(0x0706_4B50, 4) + number(0, 4) + number(wide, 8) + number(1, 4)
    }
    let (count, size, offset) =
      isWide ? (0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF) : (files.count, directory.count, start)
    return archive + number(0x0605_4B50, 4) + number(0, 4) + number(count, 2) + number(count, 2)
      + number(size, 4)
      + number(offset, 4) + number(0, 2)
  }

  /// - Parameter link: the name of the file that a link leads to.
  static func tarEntry(
    _ name: String, _ content: [UInt8], type: Character = "0", size: Int? = nil, link: String = ""
  ) -> [UInt8] {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ start: Int) {
      header.replaceSubrange(start..<start + text.utf8.count, with: text.utf8)
    }
    func octal(_ value: Int, _ digits: Int) -> String {
      let text = String(value, radix: 8)
      return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
    put(String(name.prefix(100)), 0)
    put(octal(0o644, 7), 100)
    put(octal(size ?? content.count, 11), 124)
    put("        ", 148)
    put(String(type), 156)
    put(link, 157)
    put("ustar", 257)
    put("00", 263)
    put(octal(header.reduce(0) { $0 + Int($1) }, 6) + "\0", 148)
    return header + content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }

  static func tar(_ files: [(name: String, content: [UInt8])]) -> [UInt8] {
    files.flatMap { tarEntry($0.name, $0.content) } + [UInt8](repeating: 0, count: 1024)
  }
}
