import CZlib

@testable import GlowImages

/// Bytes 0, 1, 2, ….
func ramp(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0) } }

func picture(_ shape: ImageShape) -> ByteImage { ByteImage(shape: shape, pixels: ramp(shape.count)) }

func bigEndian(_ value: Int) -> [UInt8] {
  withUnsafeBytes(of: UInt32(value).bigEndian) { Array($0) }
}

func idx(_ magic: Int, _ dimensions: [Int], _ values: [UInt8]) -> [UInt8] {
  bigEndian(magic) + dimensions.flatMap(bigEndian) + values
}

func gzip(_ bytes: [UInt8]) -> [UInt8] {
  var stream = z_stream()
  deflateInit2_(
    &stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  defer { deflateEnd(&stream) }
  var input = bytes
  return input.withUnsafeMutableBufferPointer { input in
    [UInt8](unsafeUninitializedCapacity: bytes.count + 100) { output, count in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      stream.next_out = output.baseAddress
      stream.avail_out = UInt32(output.count)
      precondition(deflate(&stream, Z_FINISH) == Z_STREAM_END)
      count = Int(stream.total_out)
    }
  }
}

/// Writes the checksum that each chunk of a PNG file must have.
func repairChunks(_ bytes: UnsafeMutableRawBufferPointer) {
  var start = 8
  while bytes.count - start >= 12 {
    let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
    if length > bytes.count - start - 12 { return }
    let named = UnsafeRawBufferPointer(rebasing: bytes[start + 4..<start + 8 + length])
    let sum = UInt32(crc32_z(0, named.bindMemory(to: UInt8.self).baseAddress, named.count))
    bytes.storeBytes(of: sum.bigEndian, toByteOffset: start + 8 + length, as: UInt32.self)
    start += 12 + length
  }
}

/// Writes the checksum that each header of a .tar file must have, as far as the headers follow each other: to a block of zeros,
/// which is the end.
func repairHeaders(_ bytes: UnsafeMutableRawBufferPointer) {
  var start = 0
  while bytes.count - start >= 512, bytes[start..<start + 512].contains(where: { $0 != 0 }) {
    for place in 148..<156 { bytes[start + place] = 32 }
    var sum = (0..<512).reduce(0) { $0 + Int(bytes[start + $1]) }
    for place in (148..<154).reversed() {
      bytes[start + place] = UInt8(48 + sum % 8)
      sum /= 8
    }
    let digits = (124..<135).map { Int(bytes[start + $0]) - 48 }
    let size = digits.allSatisfy { (0..<8).contains($0) } ? digits.reduce(0) { $0 * 8 + $1 } : 0
    start += 512 + (min(size, bytes.count) + 511) / 512 * 512
  }
}

func littleEndian(_ value: Int, _ size: Int) -> [UInt8] {
  (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

/// - Parameters:
///   - isDeflated: or stored.
///   - isWide: sizes and places have 64 bits, as Zip64 has them.
func zip(
  _ files: [(name: String, content: [UInt8])], isDeflated: Bool = false, isWide: Bool = false
) -> [UInt8] {
  var (archive, directory): ([UInt8], [UInt8]) = ([], [])
  for (name, content) in files {
    let packed = isDeflated ? Array(gzip(content).dropFirst(10).dropLast(8)) : content
    let sum = Int(content.withUnsafeBufferPointer { crc32_z(0, $0.baseAddress, $0.count) })
    let common =
      littleEndian(0, 2) + littleEndian(isDeflated ? 8 : 0, 2) + littleEndian(0, 4) + littleEndian(sum, 4)
      + littleEndian(isWide ? 0xFFFF_FFFF : packed.count, 4)
      + littleEndian(isWide ? 0xFFFF_FFFF : content.count, 4) + littleEndian(name.utf8.count, 2)
    let wide =
      littleEndian(1, 2) + littleEndian(24, 2) + littleEndian(content.count, 8)
      + littleEndian(packed.count, 8) + littleEndian(archive.count, 8)
    let extra = isWide ? wide : []
    directory +=
      littleEndian(0x0201_4B50, 4) + littleEndian(20, 2) + littleEndian(20, 2) + common
      + littleEndian(extra.count, 2) + littleEndian(0, 10)
      + littleEndian(isWide ? 0xFFFF_FFFF : archive.count, 4) + Array(name.utf8) + extra
    archive +=
      littleEndian(0x0403_4B50, 4) + littleEndian(20, 2) + common + littleEndian(0, 2) + Array(name.utf8)
      + packed
  }
  return archive + directory + littleEndian(0x0605_4B50, 4) + littleEndian(0, 4)
    + littleEndian(files.count, 2)
    + littleEndian(files.count, 2) + littleEndian(directory.count, 4) + littleEndian(archive.count, 4)
    + littleEndian(0, 2)
}

/// Of a link, "1" or "2", the content is the name of what it leads to.
func tar(_ files: [(name: String, type: Character, content: [UInt8])]) -> [UInt8] {
  var archive: [UInt8] = []
  for (name, type, text) in files {
    let isLink = type == "1" || type == "2"
    let content = isLink ? [] : text
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ start: Int) {
      header.replaceSubrange(start..<start + text.utf8.count, with: text.utf8)
    }
    put(name, 0)
    let size = String(content.count, radix: 8)
    put(String(repeating: "0", count: 11 - size.count) + size, 124)
    put(String(type), 156)
    if isLink { put(String(decoding: text, as: UTF8.self), 157) }
    put("ustar", 257)
    archive += header + content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }
  archive += [UInt8](repeating: 0, count: 1024)
  archive.withUnsafeMutableBytes(repairHeaders)
  return archive
}

/// A JPEG of 8×8 by hand: one block a component, with the shortest codes.
func jpeg(channels: Int) -> [UInt8] {
  func segment(_ marker: UInt8, _ content: [UInt8]) -> [UInt8] {
    [0xFF, marker, UInt8((content.count + 2) >> 8), UInt8((content.count + 2) & 255)] + content
  }
  let components = (1...channels).map { UInt8($0) }
  // Code 0 says "no difference" for the first coefficient, and "no others" for the rest.
  let codes: [UInt8] = [1] + [UInt8](repeating: 0, count: 15) + [0]
  return [0xFF, 0xD8] + segment(0xDB, [0] + [UInt8](repeating: 1, count: 64))
    + segment(0xC0, [8, 0, 8, 0, 8, UInt8(channels)] + components.flatMap { [$0, 0x11, 0] })
    + segment(0xC4, [0x00] + codes) + segment(0xC4, [0x10] + codes)
    + segment(0xDA, [UInt8(channels)] + components.flatMap { [$0, 0] } + [0, 63, 0]) + [0x00, 0xFF, 0xD9]
}

/// A progressive JPEG of 8×8, turned by EXIF: a scan of the first coefficient and one of the others.
let progressiveJPEG: [UInt8] = {
  func segment(_ marker: UInt8, _ content: [UInt8]) -> [UInt8] {
    [0xFF, marker, UInt8((content.count + 2) >> 8), UInt8((content.count + 2) & 255)] + content
  }
  let codes: [UInt8] = [1] + [UInt8](repeating: 0, count: 15) + [0]
  let exif: [UInt8] =
    Array("Exif\0\0MM".utf8) + [0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]
  return [0xFF, 0xD8] + segment(0xE1, exif) + segment(0xDB, [0] + [UInt8](repeating: 1, count: 64))
    + segment(0xC2, [8, 0, 8, 0, 8, 1, 1, 0x11, 0]) + segment(0xC4, [0x00] + codes)
    + segment(0xC4, [0x10] + codes) + segment(0xDA, [1, 1, 0, 0, 0, 0]) + [0x7F]
    + segment(0xDA, [1, 1, 0, 1, 63, 0]) + [0x7F, 0xFF, 0xD9]
}()

/// A lossless WebP of 18×13 with transparency, written by libwebp.
let webp: [UInt8] = [
  82, 73, 70, 70, 96, 0, 0, 0, 87, 69, 66, 80, 86, 80, 56, 76, 84, 0, 0, 0, 47, 17, 0, 3, 16, 185, 50, 68,
  244, 63, 118, 229, 143, 232, 127, 64, 65, 219, 70, 142, 57, 28, 127, 182, 243, 7, 128, 113, 80, 219, 182,
  145, 43, 232, 0, 85, 87, 221, 253, 247, 63, 64, 26, 32, 7, 33, 65, 10, 177, 57, 1, 72, 202, 243, 192, 96,
  254, 45, 204, 136, 8, 176, 12, 80, 128, 14, 128, 30, 134, 12, 164, 13, 12, 13, 152, 160, 200, 64, 74, 208,
  40, 73, 248, 0,
]

/// A lossy one of the same size.
let lossyWebP: [UInt8] = [
  82, 73, 70, 70, 122, 0, 0, 0, 87, 69, 66, 80, 86, 80, 56, 32, 110, 0, 0, 0, 48, 4, 0, 157, 1, 42, 18, 0,
  13, 0, 63, 17, 114, 177, 80, 44, 38, 164, 162, 176, 8, 1, 128, 34, 9, 108, 0, 157, 50, 132, 112, 34,
  192, 0, 197, 236, 237, 176, 132, 43, 44, 224, 0, 254, 236, 67, 202, 2, 53, 151, 36, 160, 27, 108, 94,
  96, 211, 179, 49, 237, 210, 44, 9, 200, 248, 184, 55, 151, 226, 38, 28, 78, 59, 14, 180, 89, 97, 122,
  71, 222, 112, 94, 95, 252, 96, 91, 65, 155, 255, 140, 11, 106, 140, 240, 230, 154, 167, 244, 3, 237, 30,
  165, 90, 171, 169, 4, 19, 176, 0, 0,
]

/// The lossless one, turned by EXIF.
let turnedWebP: [UInt8] = {
  func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
    Array(type.utf8) + littleEndian(content.count, 4) + content + (content.count % 2 == 1 ? [0] : [])
  }
  let exif: [UInt8] =
    Array("MM".utf8) + [0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]
  let size = littleEndian(17, 3) + littleEndian(12, 3)
  let content: [UInt8] =
    Array("WEBP".utf8) + chunk("VP8X", [0x18, 0, 0, 0] + size) + webp.dropFirst(12) + chunk("EXIF", exif)
  return chunk("RIFF", content)
}()

/// A .npy file of version 2 or 3, whose header has a longer length.
func laterNumpy(version: UInt8, _ shape: String, _ values: [UInt8]) -> [UInt8] {
  let header = Array("{'descr': '|u1', 'fortran_order': False, 'shape': \(shape), }\n".utf8)
  return [0x93] + Array("NUMPY".utf8) + [version, 0] + littleEndian(header.count, 4) + header + values
}

/// `{"labels": [3], "label_names": ["a"]}`, whose arrays the fuzzer finds.
let pickle: [UInt8] =
  [0x80, 2] + Array("}q".utf8) + [0] + Array("(U".utf8) + [6] + Array("labels]q".utf8) + [1] + Array("K".utf8)
  + [3]
  + Array("aU".utf8) + [11] + Array("label_names](U".utf8) + [1] + Array("aeu.".utf8)

/// A batch of one image, whose array is made by NumPy's function of the time: with protocol 2 or 5.
func pickledBatch(protocolVersion: Int) -> [UInt8] {
  func code(_ letters: String) -> [UInt8] { Array(letters.utf8) }
  func text(_ text: String) -> [UInt8] {
    [protocolVersion == 2 ? UInt8(ascii: "U") : 0x8C, UInt8(text.utf8.count)] + Array(text.utf8)
  }
  func global(_ module: String, _ name: String) -> [UInt8] {
    protocolVersion == 2 ? code("c\(module)\n\(name)\n") : text(module) + text(name) + [0x93]
  }
  let pixels = [UInt8](repeating: 7, count: 3072)
  let none: [UInt8] = code("J") + [255, 255, 255, 255]
  let state = code("(K") + [3] + text("|") + code("NNN") + none + none + code("K") + [0] + code("tb")
  let dtype =
    global("numpy", "dtype") + text("u1") + code("K") + [0] + code("K") + [1, 0x87] + code("R") + state
  let shape: [UInt8] = code("K") + [1] + code("M") + [0, 12, 0x86]
  let empty = code("K") + [0, 0x85] + text("b") + [0x87] + code("R")
  let array =
    protocolVersion == 2
    ? global("numpy.core.multiarray", "_reconstruct") + global("numpy", "ndarray") + empty + code("(K") + [1]
      + shape + dtype + [0x89] + code("T") + littleEndian(3072, 4) + pixels + code("tb")
    : global("numpy._core.numeric", "_frombuffer") + code("(") + [0x96] + littleEndian(3072, 8) + pixels
      + dtype
      + shape + text("C") + code("tR")
  return [0x80, UInt8(protocolVersion)] + code("}(") + text("labels") + code("]K") + [3] + code("a")
    + text("data")
    + array + code("u.")
}

/// `X` of [1, 1, 3, 2] and nothing else.
func matlab(isCompressed: Bool) -> [UInt8] {
  func element(_ kind: Int, _ content: [UInt8]) -> [UInt8] {
    littleEndian(kind, 4) + littleEndian(content.count, 4) + content
      + [UInt8](repeating: 0, count: (8 - content.count % 8) % 8)
  }
  let text = Array("MATLAB 5.0 MAT-file".utf8)
  let dimensions = [1, 1, 3, 2].flatMap { littleEndian($0, 4) }
  let array = element(
    14,
    element(6, littleEndian(9, 8)) + element(5, dimensions) + element(1, Array("X".utf8))
      + element(2, ramp(6)))
  let packed = compressed(array)
  return text + [UInt8](repeating: 32, count: 124 - text.count) + [0, 1] + Array("IM".utf8)
    + (isCompressed ? littleEndian(15, 4) + littleEndian(packed.count, 4) + packed : array)
}

/// With zlib's header and checksum.
func compressed(_ bytes: [UInt8]) -> [UInt8] {
  var size = compressBound(UInt(bytes.count))
  var output = [UInt8](repeating: 0, count: Int(size))
  precondition(compress(&output, &size, bytes, UInt(bytes.count)) == Z_OK)
  return Array(output[..<Int(size)])
}

/// Gray and RGB with alpha, of 8 and 16 bits, and a palette with transparent colors.
let transparentPNGs: [[UInt8]] = {
  func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
    bigEndian(content.count) + Array(type.utf8) + content + [0, 0, 0, 0]
  }
  func png(_ depth: UInt8, _ colorType: UInt8, _ rowBytes: Int, _ extra: [UInt8] = []) -> [UInt8] {
    let rows = (0..<3).flatMap { row in [UInt8(row % 5)] + ramp(rowBytes) }
    var file =
      [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
      + chunk("IHDR", bigEndian(2) + bigEndian(3) + [depth, colorType, 0, 0, 0]) + extra
      + chunk("IDAT", compressed(rows)) + chunk("IEND", [])
    file.withUnsafeMutableBytes(repairChunks)
    return file
  }
  return [
    png(8, 4, 4), png(16, 4, 8), png(8, 6, 8), png(16, 6, 16),
    png(2, 3, 1, chunk("PLTE", ramp(12)) + chunk("tRNS", [0, 128, 255])),
  ]
}()

/// An example of [1, 1, 3].
///
/// - Parameter attributes: 1 or 0 each.
func record(attributes: [UInt8] = []) -> [UInt8] {
  func field(_ number: Int, _ content: [UInt8]) -> [UInt8] {
    [UInt8(number << 3 | 2), UInt8(content.count)] + content
  }
  func entry(_ key: String, _ feature: [UInt8]) -> [UInt8] {
    field(1, field(1, Array(key.utf8)) + field(2, feature))
  }
  let content = field(
    1,
    entry("shape", field(3, field(1, [1, 1, 3]))) + entry("label", field(3, [8, 1]))
      + (attributes.isEmpty ? [] : entry("attr", field(3, field(1, attributes))))
      + entry("data", field(1, field(1, [7, 8, 9]))))
  var bytes = littleEndian(content.count, 12) + content + [0, 0, 0, 0]
  bytes.withUnsafeMutableBytes(repairRecord)
  return bytes
}

/// Makes one record of all bytes, with the checksums that it must have.
func repairRecord(_ bytes: UnsafeMutableRawBufferPointer) {
  if bytes.count < 16 { return }
  bytes.storeBytes(of: UInt64(bytes.count - 16).littleEndian, as: UInt64.self)
  let all = UnsafeRawBufferPointer(bytes)
  bytes.storeBytes(of: RecordChecksum.of(all[0..<8]).littleEndian, toByteOffset: 8, as: UInt32.self)
  bytes.storeBytes(
    of: RecordChecksum.of(all[12..<bytes.count - 4]).littleEndian, toByteOffset: bytes.count - 4,
    as: UInt32.self)
}
