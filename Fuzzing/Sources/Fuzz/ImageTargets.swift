@testable import GlowFiles
@testable import GlowImages

let imageTargets = [
  Target(
    name: "png",
    seeds: {
      try [1, 3].flatMap { channels in
        try [1, 5, 16].map { try PNG.encode(picture(ImageShape(height: $0, width: 9, channels: channels))) }
      } + transparentPNGs
    },
    repair: repairChunks,
    read: { bytes in
      try readImage(bytes, PNG.self)
      let image = try PNG.decode(bytes, path: "file")
      let again = try PNG.encode(image).withUnsafeBytes { try PNG.decode($0, path: "file") }
      precondition(again == image, "what was decoded is not what was encoded")
    }),
  Target(
    name: "gzip",
    seeds: { [gzip([]), gzip(ramp(300)), gzip([UInt8](repeating: 7, count: 70_000))] },
    read: { bytes in
      _ = try? Gzip.inflateAll(bytes, largest: 1 << 20, path: "file")
      _ = try Gzip.inflate(bytes, limit: 1 << 16, path: "file")
    }),
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
        NumpyHeader(dataType: "|u1", shape: [2, 4, 4]).encoded() + ramp(32),
        NumpyHeader(dataType: "<f4", isFortranOrdered: true, shape: [3]).encoded() + ramp(12),
        NumpyHeader(dataType: "|u1", shape: [2, 3, 4, 4]).encoded() + ramp(96),
        NumpyHeader(dataType: "|u1", shape: [2, 12]).encoded() + ramp(24),
        laterNumpy(version: 2, "(2, 4, 4)", ramp(32)), laterNumpy(version: 3, "(2, 4, 4)", ramp(32)),
      ]
    },
    read: { bytes in
      _ = try NumpyHeader.parse(bytes, path: "file")
      try readAll(NumpyDataset(FileContent(Array(bytes), path: "images.npy")))
    }),
  Target(
    name: "jpeg", maximumLength: 2048,
    seeds: { [jpeg(channels: 1), jpeg(channels: 3), jpeg(channels: 4), progressiveJPEG] },
    read: { bytes in try readImage(bytes, JPEG.self) }),
  Target(
    name: "webp", maximumLength: 1024,
    seeds: { [webp, lossyWebP, turnedWebP] },
    read: { bytes in try readImage(bytes, WebP.self) }),
  Target(
    name: "zip",
    seeds: {
      [
        zip([("a/1.png", ramp(40)), ("b/2.txt", [])]), zip([]),
        zip([("a/1.png", [UInt8](repeating: 1, count: 300)), ("..", [1])], isDeflated: true),
        zip([(#"a\1.png"#, ramp(40))], isWide: true),
      ]
    },
    read: { bytes in try readArchive(ZipArchive(FileContent(Array(bytes), path: "a.zip"))) }),
  Target(
    name: "tar",
    seeds: {
      [
        tar([("a/1.png", "0", ramp(40)), ("b/2.txt", "0", [])]),
        tar([("name", "L", Array("long\0".utf8)), ("a", "0", ramp(600))]),
        tar([("pax", "x", Array("12 path=abc\n".utf8)), ("a", "0", [1])]),
        tar([("a", "0", ramp(40)), ("b", "1", Array("a".utf8)), ("c", "2", Array("a".utf8))]),
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
      // By itself, and as two batches.
      for names in [["a.npz"], ["a_1.npz", "a_2.npz"]] {
        let files = MemoryFiles(Dictionary(uniqueKeysWithValues: names.map { ($0, Array(bytes)) }))
        if let opened = try ArrayFiles.open(DataFiles(files), part: .train, options: DataOptions()) {
          try readAll(opened.dataset)
        }
      }
    }),
  Target(
    name: "pickle", maximumLength: 8192,
    seeds: { [pickle] + [2, 5].map(pickledBatch) },
    read: { bytes in
      for version in CIFARVersion.all(isCoarse: false) where version.isPython {
        _ = try? version.readClassNames(FileContent(Array(bytes), path: "meta"))
        _ = try version.readBatch(FileContent(Array(bytes), path: "batch"))
      }
    }),
  Target(
    name: "mat",
    seeds: { [matlab(isCompressed: false), matlab(isCompressed: true)] },
    read: { bytes in try readAll(MatlabDataset(FileContent(Array(bytes), path: "a.mat"))) }),
  Target(
    name: "records",
    seeds: { [record(), record(attributes: [1, 0])] },
    repair: repairRecord,
    read: { bytes in try readAll(RecordDataset([FileContent(Array(bytes), path: "a.tfrecord")])) }),
  Target(
    name: "names", maximumLength: 512,
    seeds: {
      [
        Array("train/a/1.png\ntrain/b/2.jpg\nval/a/3.png\n".utf8), Array("10/a.png\n9/a.png\nx.txt\n".utf8),
        Array("train_part1/a/1.png\ntrain_part2/b/2.png\ntst/a/3.png\n".utf8),
      ]
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
    name: "partitions",
    seeds: {
      [
        Array("000001.jpg 0\n000002.jpg 2\n".utf8),
        Array("\u{FEFF}image_id,partition\r\n1.jpg,0\r\n2.jpg,1\r\n".utf8),
      ]
    },
    read: { bytes in
      _ = try? PartitionList.parse(bytes, path: "file.csv")
      _ = try PartitionList.parse(bytes, path: "file.txt")
    }),
  Target(
    name: "labels",
    seeds: {
      [
        [0] + Array("7\n".utf8), [1] + Array(#"{"cls": 3}"#.utf8),
        [1] + Array(#"{"label": "cat", "a": [1, {}]}"#.utf8),
      ]
    },
    read: readLabels),
  Target(
    name: "attributes",
    seeds: {
      let rows = [("a.jpg", [true, false]), ("b.jpg", [false, false])].map {
        AttributeList.Row(file: $0, values: $1)
      }
      return [Array(AttributeList.format(names: ["Smiling", "Male"], rows: rows).utf8)]
    },
    read: { bytes in
      _ = try? AttributeList.parse(bytes, path: "file.csv")
      let (names, rows) = try AttributeList.parse(bytes, path: "file")
      var text = AttributeList.format(names: names, rows: rows)
      let again = try text.withUTF8 { try AttributeList.parse(UnsafeRawBufferPointer($0), path: "file") }
      precondition(again.names == names && again.rows == rows, "what was read is not what was written")
    }),
]

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
  for index in 0..<min(names.count, 16) {
    let name = names.bytes(index)
    let start = try archive.start(of: name, 4)
    let whole = try archive.open(name)
    precondition(whole.prefix(4) == start)
  }
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
    let shown = RawPath.text(name)
    guard let content = files[shown] else { throw FileError(shown, "is not there") }
    return FileContent(content, path: shown)
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

/// The first byte says whether the rest stands beside an image as .cls or as .json.
private func readLabels(_ bytes: UnsafeRawBufferPointer) throws {
  guard let choice = bytes.first else { return }
  let files = MemoryFiles(["a.png": [], choice & 1 == 0 ? "a.cls" : "a.json": Array(bytes.dropFirst())])
  guard let labels = try LabelFiles(files.list(), in: files) else { return }
  var names = NameList()
  names.append(Array("a.png".utf8))
  let classes = try labels.labels(of: names)
  precondition(classes.allSatisfy { labels.classNames.indices.contains(Int($0)) })
}
