import CZlib
import GlowFiles

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
      return [[0] + images, [1] + labels, [2] + gzip(images), [3] + gzip(labels)]
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
      try readAll(NumpyDataset(scratch.write(bytes, as: "images.npy")))
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

private func readAll(_ data: some Dataset) throws {
  for index in 0..<min(data.count, 16) {
    _ = try data.image(index)
    precondition(data.label(index).map { data.classNames.indices.contains($0) } ?? true)
    _ = data.source(index)
  }
}

/// The first byte says whether the rest is the images (beside no labels) or the labels (beside three images), and
/// whether it is compressed.
private func readIDX(_ bytes: UnsafeRawBufferPointer) throws {
  guard let choice = bytes.first else { return }
  let ending = choice & 2 == 0 ? "" : ".gz"
  let (images, labels) = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
  var names = ["\(choice & 1 == 0 ? images : labels)\(ending)"]
  scratch.write(bytes.dropFirst(), as: names[0])
  if choice & 1 == 1 {
    names.append(images)
    scratch.write(idx(0x803, [3, 1, 1], [1, 2, 3]), as: images)
  }
  try readAll(IDXDataset(folder: scratch.path, names: names, part: .train))
}

/// The first byte says whether the rest is a batch or the names of the classes (beside a batch of one image).
private func readCIFAR(_ bytes: UnsafeRawBufferPointer) throws {
  guard let choice = bytes.first else { return }
  let (batch, names) = ("data_batch_1.bin", "batches.meta.txt")
  scratch.write(bytes.dropFirst(), as: choice & 1 == 0 ? batch : names)
  if choice & 1 == 1 { scratch.write([UInt8](repeating: 1, count: 3073), as: batch) }
  try readAll(
    CIFARDataset(
      folder: scratch.path, names: choice & 1 == 0 ? [batch] : [batch, names], part: .train))
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
