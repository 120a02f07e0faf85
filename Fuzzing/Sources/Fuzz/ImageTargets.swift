import CZlib

@testable import GlowFiles
@testable import GlowImages

let imageTargets = [
  Target(
    name: "png",
    seeds: {
      try [1, 3].flatMap { channels in
        try [1, 5, 16].map { try PNG.encode(picture(ImageShape(height: $0, width: 9, channels: channels))) }
      }
    },
    repair: repairChunks,
    read: { bytes in
      let image = try PNG.decode(bytes, path: "file")
      let again = try PNG.encode(image).withUnsafeBytes { try PNG.decode($0, path: "file") }
      precondition(again == image, "what was decoded is not what was encoded")
    }),
  Target(
    name: "gzip",
    seeds: { [gzip([]), gzip(ramp(300)), gzip([UInt8](repeating: 7, count: 70_000))] },
    read: { bytes in _ = try Gzip.inflate(bytes, limit: 1 << 16, path: "file") }),
  Target(
    name: "idx",
    seeds: {
      let images = idx(0x803, [3, 4, 5], ramp(60))
      let labels = idx(0x801, [3], [0, 9, 200])
      return [[0] + images, [1] + labels, [0] + gzip(images), [1] + gzip(labels)]
    },
    read: readIDX),
  Target(
    name: "cifar", maximumLength: 1 + 2 * 3073,
    seeds: {
      [
        [0] + ramp(3073).map { $0 % 10 }, [0] + ramp(2 * 3073).map { $0 % 10 },
        [1] + Array("airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n".utf8),
      ]
    },
    read: readCIFAR),
  Target(
    name: "npy",
    seeds: {
      [
        NumpyHeader(dataType: "|u1", shape: [2, 3, 4, 3]).encoded() + ramp(72),
        NumpyHeader(dataType: "|u1", shape: [2, 3, 4]).encoded() + ramp(24),
        NumpyHeader(dataType: "<f4", isFortranOrdered: true, shape: [3]).encoded() + ramp(12),
      ]
    },
    read: { bytes in
      _ = try NumpyHeader.parse(bytes, path: "file")
      try readAll(NumpyDataset(FileContent(Array(bytes), path: "images.npy")))
    }),
  Target(
    name: "jpeg", maximumLength: 2048,
    seeds: { [jpeg(channels: 1), jpeg(channels: 3), jpeg(channels: 4)] },
    read: { bytes in try readImage(bytes, JPEG.self) }),
  Target(
    name: "webp", maximumLength: 1024,
    seeds: { [webp] },
    read: { bytes in try readImage(bytes, WebP.self) }),
  Target(
    name: "zip",
    seeds: { [zip([("a/1.png", ramp(40)), ("b/2.txt", [])]), zip([])] },
    read: { bytes in try readArchive(ZipArchive(FileContent(Array(bytes), path: "a.zip"))) }),
  Target(
    name: "tar",
    seeds: {
      [
        tar([("a/1.png", "0", ramp(40)), ("b/2.txt", "0", [])]),
        tar([("name", "L", Array("long\0".utf8)), ("a", "0", ramp(600))]),
        tar([("pax", "x", Array("12 path=abc\n".utf8)), ("a", "0", [1])]),
      ]
    },
    repair: repairHeaders,
    read: { bytes in try readArchive(TarArchive(FileContent(Array(bytes), path: "a.tar"))) }),
  Target(
    name: "arrays",
    seeds: {
      let images = NumpyHeader(dataType: "|u1", shape: [2, 2, 2]).encoded() + ramp(8)
      let labels = NumpyHeader(dataType: "<i8", shape: [2]).encoded() + [1] + [UInt8](repeating: 0, count: 15)
      return [zip([("x_train.npy", images), ("y_train.npy", labels)]), images]
    },
    read: { bytes in
      let files = MemoryFiles(["a.npz": Array(bytes)])
      if let opened = try ArrayFiles.open(DataFiles(files), part: .train, options: DataOptions()) {
        try readAll(opened.dataset)
      }
    }),
  Target(
    name: "pickle",
    seeds: { [pickle] },
    read: { bytes in
      for version in CIFARVersion.all(isCoarse: false) where version.isPython {
        _ = try? version.readClassNames(FileContent(Array(bytes), path: "meta"))
        _ = try version.readBatch(FileContent(Array(bytes), path: "batch"))
      }
    }),
  Target(
    name: "mat",
    seeds: { [matlab] },
    read: { bytes in try readAll(MatlabDataset(FileContent(Array(bytes), path: "a.mat"))) }),
  Target(
    name: "records",
    seeds: { [record] },
    repair: repairRecord,
    read: { bytes in try readAll(RecordDataset([FileContent(Array(bytes), path: "a.tfrecord")])) }),
  Target(
    name: "names",
    seeds: {
      [Array("train/a/1.png\ntrain/b/2.jpg\nval/a/3.png\n".utf8), Array("10/a.png\n9/a.png\nx.txt\n".utf8)]
    },
    read: { bytes in
      var names = NameList()
      for name in bytes.split(separator: 10).compactMap(ArchiveNames.normalized) { names.append(name) }
      for part in DataPart.allCases {
        let tree = try ImageTree(names.sorted(), in: MemoryFiles([:]), part: part, isUsed: { _ in false })
        precondition(tree.labels.isEmpty || tree.labels.count == tree.names.count)
        precondition(tree.labels.allSatisfy { tree.classNames.indices.contains(Int($0)) })
      }
    }),
  Target(
    name: "attributes",
    seeds: {
      let rows = [("a.jpg", [true, false]), ("b.jpg", [false, false])].map {
        AttributeList.Row(file: $0, values: $1)
      }
      return [Array(AttributeList.format(names: ["Smiling", "Male"], rows: rows).utf8)]
    },
    read: { bytes in
      let (names, rows) = try AttributeList.parse(bytes, path: "file")
      var text = AttributeList.format(names: names, rows: rows)
      let again = try text.withUTF8 { try AttributeList.parse(UnsafeRawBufferPointer($0), path: "file") }
      precondition(again.names == names && again.rows == rows, "what was read is not what was written")
    }),
]

/// Bytes 0, 1, 2, ….
private func ramp(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0) } }

private func picture(_ shape: ImageShape) -> ByteImage { ByteImage(shape: shape, pixels: ramp(shape.count)) }

private func bigEndian(_ value: Int) -> [UInt8] {
  withUnsafeBytes(of: UInt32(value).bigEndian) { Array($0) }
}

private func idx(_ magic: Int, _ dimensions: [Int], _ values: [UInt8]) -> [UInt8] {
  bigEndian(magic) + dimensions.flatMap(bigEndian) + values
}

private func gzip(_ bytes: [UInt8]) -> [UInt8] {
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

private func readAll(_ data: any Dataset) throws {
  for index in 0..<min(data.count, 16) {
    _ = try data.image(index)
    precondition(data.label(index).map { data.classNames.indices.contains($0) } ?? true)
    _ = data.source(index)
  }
}

/// Headers may claim up to their limits, which is right; what is decoded here is small.
private func readImage(_ bytes: UnsafeRawBufferPointer, _ codec: (some ImageCodec).Type) throws {
  if !codec.recognizes(bytes) { return }
  if try codec.header(of: bytes, path: "file").shape.count > 1 << 22 { return }
  for background in [nil, Background("white")] {
    _ = try ImageFile.decode(bytes, path: "file", background: background)
  }
}

private func readArchive(_ archive: some Container) throws {
  let names = try archive.list()
  for index in 0..<min(names.count, 16) { _ = try archive.open(names.bytes(index)).prefix(4) }
}

/// Files in memory.
struct MemoryFiles: Container {
  let path = "memory"
  private let files: [String: [UInt8]]

  init(_ files: [String: [UInt8]]) { self.files = files }

  func list() throws -> NameList {
    var names = NameList()
    for name in files.keys.sorted() { names.append(Array(name.utf8)) }
    return names
  }

  func open(_ name: ArraySlice<UInt8>) throws -> FileContent {
    FileContent(files[RawPath.text(name)]!, path: RawPath.text(name))
  }
}

/// The first byte says whether the rest is the images (beside no labels) or the labels (beside three images).
private func readIDX(_ bytes: UnsafeRawBufferPointer) throws {
  guard let choice = bytes.first else { return }
  let (images, labels) = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
  let rest = Array(bytes.dropFirst())
  let files =
    choice & 1 == 0 ? [images: rest] : [labels: rest, images: idx(0x803, [3, 1, 1], [1, 2, 3])]
  try readAll(IDXDataset(Array(files.keys), in: MemoryFiles(files), part: .train))
}

/// The first byte says whether the rest is a batch or the names of the classes (beside a batch of one image).
private func readCIFAR(_ bytes: UnsafeRawBufferPointer) throws {
  guard let choice = bytes.first else { return }
  let (batch, names) = ("data_batch_1.bin", "batches.meta.txt")
  let rest = Array(bytes.dropFirst())
  let files = choice & 1 == 0 ? [batch: rest] : [names: rest, batch: [UInt8](repeating: 1, count: 3073)]
  try readAll(CIFARDataset(Array(files.keys), in: MemoryFiles(files), part: .train))
}

/// Writes the checksum that each chunk of a PNG file must have.
private func repairChunks(_ bytes: UnsafeMutableRawBufferPointer) {
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

/// Writes the checksum that each header of a .tar file must have, as far as the headers follow each other.
private func repairHeaders(_ bytes: UnsafeMutableRawBufferPointer) {
  var start = 0
  while bytes.count - start >= 512 {
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

private func littleEndian(_ value: Int, _ size: Int) -> [UInt8] {
  (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

/// Stored files.
private func zip(_ files: [(name: String, content: [UInt8])]) -> [UInt8] {
  var (archive, directory): ([UInt8], [UInt8]) = ([], [])
  for (name, content) in files {
    let sum = Int(content.withUnsafeBufferPointer { crc32_z(0, $0.baseAddress, $0.count) })
    let common =
      littleEndian(0, 8) + littleEndian(sum, 4) + littleEndian(content.count, 4)
      + littleEndian(content.count, 4)
      + littleEndian(name.utf8.count, 2) + littleEndian(0, 2)
    directory +=
      littleEndian(0x0201_4B50, 4) + littleEndian(20, 4) + common + littleEndian(0, 10)
      + littleEndian(archive.count, 4) + Array(name.utf8)
    archive += littleEndian(0x0403_4B50, 4) + littleEndian(20, 2) + common + Array(name.utf8) + content
  }
  return archive + directory + littleEndian(0x0605_4B50, 4) + littleEndian(0, 4)
    + littleEndian(files.count, 2)
    + littleEndian(files.count, 2) + littleEndian(directory.count, 4) + littleEndian(archive.count, 4)
    + littleEndian(0, 2)
}

private func tar(_ files: [(name: String, type: Character, content: [UInt8])]) -> [UInt8] {
  var archive: [UInt8] = []
  for (name, type, content) in files {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ start: Int) {
      header.replaceSubrange(start..<start + text.utf8.count, with: text.utf8)
    }
    put(name, 0)
    let size = String(content.count, radix: 8)
    put(String(repeating: "0", count: 11 - size.count) + size, 124)
    put(String(type), 156)
    put("ustar", 257)
    archive += header + content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }
  archive += [UInt8](repeating: 0, count: 1024)
  archive.withUnsafeMutableBytes(repairHeaders)
  return archive
}

/// A JPEG of 8×8 by hand: one block a component, with the shortest codes.
private func jpeg(channels: Int) -> [UInt8] {
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

/// A lossless WebP of 18×13 with transparency, written by libwebp.
private let webp: [UInt8] = [
  82, 73, 70, 70, 96, 0, 0, 0, 87, 69, 66, 80, 86, 80, 56, 76, 84, 0, 0, 0, 47, 17, 0, 3, 16, 185, 50, 68,
  244, 63, 118, 229, 143, 232, 127, 64, 65, 219, 70, 142, 57, 28, 127, 182, 243, 7, 128, 113, 80, 219, 182,
  145, 43, 232, 0, 85, 87, 221, 253, 247, 63, 64, 26, 32, 7, 33, 65, 10, 177, 57, 1, 72, 202, 243, 192, 96,
  254, 45, 204, 136, 8, 176, 12, 80, 128, 14, 128, 30, 134, 12, 164, 13, 12, 13, 152, 160, 200, 64, 74, 208,
  40, 73, 248, 0,
]

/// `{"labels": [3], "label_names": ["a"]}`, whose arrays the fuzzer finds.
private let pickle: [UInt8] =
  [0x80, 2] + Array("}q".utf8) + [0] + Array("(U".utf8) + [6] + Array("labels]q".utf8) + [1] + Array("K".utf8)
  + [3]
  + Array("aU".utf8) + [11] + Array("label_names](U".utf8) + [1] + Array("aeu.".utf8)

/// `X` of [1, 1, 3, 2] and nothing else.
private let matlab: [UInt8] = {
  func element(_ kind: Int, _ content: [UInt8]) -> [UInt8] {
    littleEndian(kind, 4) + littleEndian(content.count, 4) + content
      + [UInt8](repeating: 0, count: (8 - content.count % 8) % 8)
  }
  let text = Array("MATLAB 5.0 MAT-file".utf8)
  let dimensions = [1, 1, 3, 2].flatMap { littleEndian($0, 4) }
  return text + [UInt8](repeating: 32, count: 124 - text.count) + [0, 1] + Array("IM".utf8)
    + element(
      14,
      element(6, littleEndian(9, 8)) + element(5, dimensions) + element(1, Array("X".utf8))
        + element(2, ramp(6)))
}()

/// An example of [1, 1, 3].
private let record: [UInt8] = {
  func field(_ number: Int, _ content: [UInt8]) -> [UInt8] {
    [UInt8(number << 3 | 2), UInt8(content.count)] + content
  }
  func entry(_ key: String, _ feature: [UInt8]) -> [UInt8] {
    field(1, field(1, Array(key.utf8)) + field(2, feature))
  }
  let content = field(
    1,
    entry("shape", field(3, field(1, [1, 1, 3]))) + entry("label", field(3, [8, 1]))
      + entry("data", field(1, field(1, [7, 8, 9]))))
  var bytes = littleEndian(content.count, 12) + content + [0, 0, 0, 0]
  bytes.withUnsafeMutableBytes(repairRecord)
  return bytes
}()

/// Makes one record of all bytes, with the checksums that it must have.
private func repairRecord(_ bytes: UnsafeMutableRawBufferPointer) {
  if bytes.count < 16 { return }
  bytes.storeBytes(of: UInt64(bytes.count - 16).littleEndian, as: UInt64.self)
  let all = UnsafeRawBufferPointer(bytes)
  bytes.storeBytes(of: RecordChecksum.of(all[0..<8]).littleEndian, toByteOffset: 8, as: UInt32.self)
  bytes.storeBytes(
    of: RecordChecksum.of(all[12..<bytes.count - 4]).littleEndian, toByteOffset: bytes.count - 4,
    as: UInt32.self)
}
