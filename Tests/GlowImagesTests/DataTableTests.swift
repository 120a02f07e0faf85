import Foundation
import GlowFiles
import GlowTestSupport
import Testing

@testable import GlowImages

/// What people hold, made small: each row of the table in docs/data.md, opened as the table says.
@Suite("The table of what can be read")
struct DataTableTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  /// What a row's data and options must give.
  private struct Expectation {
    var kind = "images"
    /// Images of each part; of data without parts under `train` alone.
    var counts: [DataPart: Int]
    var shape = ImageShape(height: 4, width: 4, channels: 3)
    var classes = 0
  }

  private func image(_ seed: Int) throws -> [UInt8] { try PNG.encode(testImage(4, 4, 3, seed: seed)) }

  private func images(_ names: [String]) throws -> [(name: String, content: [UInt8])] {
    try names.enumerated().map { ($1, try image($0)) }
  }

  private func write(_ files: [(name: String, content: [UInt8])]) throws {
    for file in files { try folder.write(file.content, file.name) }
  }

  private func npy(_ shape: [Int], type: String = "|u1") -> [UInt8] {
    let header = NumpyHeader(dataType: type, shape: shape)
    return header.encoded() + (0..<header.dataSize!).map { UInt8(truncatingIfNeeded: $0) }
  }

  private func expect(
    _ expectation: Expectation, at path: String? = nil, sourceLocation: SourceLocation = #_sourceLocation,
    _ change: (inout DataOptions) -> Void = { _ in }
  ) throws {
    var options = DataOptions()
    change(&options)
    for (part, count) in expectation.counts {
      let opened = try DataSource.open(path ?? folder.path, part: part, options: options)
      #expect(
        opened.kind == expectation.kind && opened.dataset.count == count
          && opened.dataset.shape == expectation.shape
          && opened.dataset.classNames.count == expectation.classes,
        "\(opened.summary)", sourceLocation: sourceLocation)
      #expect(opened.part == (expectation.counts.count == 1 ? nil : part), sourceLocation: sourceLocation)
      for index in 0..<count { _ = try opened.dataset.image(index) }
    }
  }

  private static let parts = ["train/a.png", "train/b.png", "test/c.png"]

  /// By the first column.
  private static let rows: [(row: String, check: @Sendable (DataTableTests) throws -> Void)] = [
    (
      "images in one folder",
      {
        try $0.write($0.images(["a.png", "b.png"]))
        try $0.expect(Expectation(counts: [.train: 2]))
      }
    ),
    (
      "one folder a class",
      {
        try $0.write($0.images(["2/a.png", "10/b.png"]))
        try $0.expect(Expectation(counts: [.train: 2], classes: 2))
        #expect(try DataSource.open($0.folder.path, part: .train).dataset.classNames == ["2", "10"])
      }
    ),
    (
      "`train/` and `test/`; `train_32x32/` and `valid_32x32/`; `Train/`, `val/`, …",
      { test in
        for (place, names) in [
          ["train", "test"], ["train_32x32", "test_32x32"], ["Training", "Testing"],
          ["training_set", "test_set"], ["train_images", "test_images"], ["train_birds", "test_birds"],
        ].enumerated() {
          try test.write(
            test.images([
              "\(place)/\(names[0])/a.png", "\(place)/\(names[0])/b.png", "\(place)/\(names[1])/c.png",
            ]))
          try test.expect(
            Expectation(counts: [.train: 2, .test: 1]), at: "\(test.folder.path)/\(place)")
        }
      }
    ),
    (
      "the same in a `.zip` or `.tar`",
      {
        let files = try $0.images(DataTableTests.parts)
        for (name, bytes) in [("a.zip", CraftedArchive.zip(files)), ("a.tar", CraftedArchive.tar(files))] {
          try $0.expect(Expectation(counts: [.train: 2, .test: 1]), at: $0.folder.write(bytes, name))
        }
      }
    ),
    (
      "the same in a `.tar.gz`",
      {
        let bytes = Crafted.gzip(CraftedArchive.tar(try $0.images(DataTableTests.parts)))
        // The content says what it is.
        for name in ["a.tar.gz", "download"] {
          try $0.expect(Expectation(counts: [.train: 2, .test: 1]), at: $0.folder.write(bytes, name))
        }
      }
    ),
    (
      "CelebA as it comes (`img_align_celeba.zip`, Kaggle's doubled folder)",
      {
        let names = ["000001", "000002", "000003"].map { "img_align_celeba/\($0).jpg" }
        let files = try names.enumerated().map {
          ($1, try PNG.encode(testImage(218, 178, 3, seed: $0)))
        }
        let list = Array("000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n".utf8)
        try $0.folder.write(list, "list_eval_partition.txt")
        try $0.folder.write(CraftedArchive.zip(files), "img_align_celeba.zip")
        let expectation = Expectation(
          counts: [.train: 1, .valid: 1, .test: 1], shape: ImageShape(height: 64, width: 64, channels: 3))
        try $0.expect(expectation, at: "\($0.folder.path)/img_align_celeba.zip") {
          ($0.crop, $0.imageSize) = (148, 64)
        }
        for file in files { try $0.folder.write(file.1, "doubled/img_align_celeba/\(file.0)") }
        try $0.folder.write(
          Array("image_id,partition\n000001.jpg,0\n000002.jpg,1\n000003.jpg,2\n".utf8),
          "doubled/list_eval_partition.csv")
        try $0.expect(expectation, at: "\($0.folder.path)/doubled") { ($0.crop, $0.imageSize) = (148, 64) }
      }
    ),
    (
      "CIFAR-10, CIFAR-100, binary or Python version (`cifar-10-batches-py`)",
      { test in
        let shape = ImageShape(height: 32, width: 32, channels: 3)
        let ten = [UInt8](repeating: 3, count: 3073)
        try test.write([("ten/data_batch_1.bin", ten), ("ten/test_batch.bin", ten)])
        try test.expect(
          Expectation(kind: "CIFAR-10", counts: [.train: 1, .test: 1], shape: shape, classes: 10),
          at: test.folder.path + "/ten")
        let hundred = [UInt8](repeating: 3, count: 3074)
        try test.write([
          ("up/cifar-100-binary/train.bin", hundred), ("up/cifar-100-binary/test.bin", hundred),
        ])
        for (isCoarse, classes) in [(false, 100), (true, 20)] {
          try test.expect(
            Expectation(kind: "CIFAR-100", counts: [.train: 1, .test: 1], shape: shape, classes: classes),
            at: test.folder.path + "/up"
          ) { $0.hasCoarseLabels = isCoarse }
        }
        let pixels = [UInt8](repeating: 7, count: 3072)
        let batch = CraftedPickle.python2(pixels, count: 1, labels: [3])
        let archive = CraftedArchive.tar([
          ("cifar-10-batches-py/data_batch_1", batch), ("cifar-10-batches-py/test_batch", batch),
        ])
        try test.expect(
          Expectation(kind: "CIFAR-10 (Python)", counts: [.train: 1, .test: 1], shape: shape, classes: 10),
          at: test.folder.write(archive, "cifar-10-python.tar"))
        let fine = CraftedPickle.python3(pixels, count: 1, labels: [9], key: "fine_labels")
        try test.write([("cifar-100-python/train", fine), ("cifar-100-python/test", fine)])
        try test.expect(
          Expectation(kind: "CIFAR-100 (Python)", counts: [.train: 1, .test: 1], shape: shape, classes: 100),
          at: test.folder.path + "/cifar-100-python")
      }
    ),
    (
      "MNIST, Fashion-MNIST, EMNIST (IDX, `.gz` or not)",
      {
        let images = Crafted.idx(0x803, [2, 3, 3], (0..<18).map { $0 })
        try $0.write([
          ("train-images-idx3-ubyte", images), ("train-labels.idx1-ubyte", Crafted.idx(0x801, [2], [0, 1])),
          ("t10k-images-idx3-ubyte.gz", Crafted.gzip(images)),
        ])
        let shape = ImageShape(height: 3, width: 3, channels: 1)
        let train = try DataSource.open($0.folder.path, part: .train).dataset
        let test = try DataSource.open($0.folder.path, part: .test).dataset
        #expect(train.shape == shape && train.classNames.count == 10 && train.count == 2)
        #expect(try test.count == 2 && test.image(1) == train.image(1))
        let letters = $0.folder.path + "/letters"
        try $0.write([
          ("letters/emnist-letters-train-images-idx3-ubyte.gz", Crafted.gzip(images)),
          (
            "letters/emnist-letters-train-labels-idx1-ubyte.gz",
            Crafted.gzip(Crafted.idx(0x801, [2], [1, 26]))
          ),
        ])
        let emnist = try DataSource.open(letters, part: .train).dataset
        #expect(emnist.label(1) == 25)
        #expect(try emnist.image(0).pixels == [0, 3, 6, 1, 4, 7, 2, 5, 8])
      }
    ),
    (
      "ImageNet32 or 64 as `.npz` batches",
      { test in
        for (name, count) in [("train_data_batch_1", 2), ("train_data_batch_2", 3), ("val_data", 1)] {
          let labels =
            NumpyHeader(dataType: "<i8", shape: [count]).encoded()
            + (0..<count).flatMap { [UInt8($0 + 1), 0, 0, 0, 0, 0, 0, 0] }
          try test.folder.write(
            CraftedArchive.zip([("data.npy", test.npy([count, 48])), ("labels.npy", labels)]), "\(name).npz")
        }
        try test.expect(Expectation(kind: ".npz", counts: [.train: 5, .valid: 1], classes: 3))
      }
    ),
    (
      "`mnist.npz` of Keras, `images.npz`",
      {
        let keras = CraftedArchive.zip([
          ("x_train.npy", $0.npy([5, 4, 4])), ("y_train.npy", $0.npy([5])),
          ("x_test.npy", $0.npy([2, 4, 4])), ("y_test.npy", $0.npy([2])),
        ])
        try $0.expect(
          Expectation(
            kind: ".npz", counts: [.train: 5, .test: 2], shape: ImageShape(height: 4, width: 4, channels: 1),
            classes: 5), at: $0.folder.write(keras, "mnist.npz"))
        let one = CraftedArchive.zip([("arr_0.npy", $0.npy([2, 4, 4, 3]))])
        try $0.expect(Expectation(kind: ".npz", counts: [.train: 2]), at: $0.folder.write(one, "images.npz"))
      }
    ),
    (
      "an array of bytes, `.npy`",
      {
        for (shape, layout) in [
          ([2, 4, 4, 3], nil), ([2, 3, 4, 4], nil), ([2, 48], nil), ([3, 4, 4], ArrayLayout.channelsFirst),
        ] {
          try $0.expect(
            Expectation(kind: ".npy", counts: [.train: shape.count == 3 ? 1 : 2]),
            at: $0.folder.write($0.npy(shape), "a.npy")
          ) { $0.layout = layout }
        }
      }
    ),
    (
      "SVHN (`train_32x32.mat`, `test_32x32.mat`)",
      {
        for (name, count) in [("train", 2), ("test", 1)] {
          let arrays = [
            CraftedLayouts.matlabArray("X", [4, 4, 3, count], [UInt8](repeating: 5, count: 48 * count)),
            CraftedLayouts.matlabArray("y", [count, 1], [UInt8](repeating: 10, count: count)),
          ]
          try $0.folder.write(CraftedLayouts.matlab(arrays), "\(name)_32x32.mat")
        }
        try $0.expect(Expectation(kind: "SVHN", counts: [.train: 2, .test: 1], classes: 10))
      }
    ),
    (
      "the original Glow's TFRecords",
      { test in
        let content = CraftedLayouts.example(
          [4, 4, 3], [UInt8](repeating: 9, count: 48), label: 1, attributes: [1, 0])
        for name in ["train-r05-s-0000-of-0001", "validation-r05-s-0000-of-0001"] {
          try test.folder.write(CraftedLayouts.record(content), "\(name).tfrecords")
        }
        try test.expect(Expectation(kind: "TFRecord", counts: [.train: 1, .valid: 1], classes: 2))
        let dataset = try DataSource.open(test.folder.path, part: .train).dataset
        #expect(dataset.attributeNames == ["0", "1"] && dataset.attributes(0) == [true, false])
      }
    ),
    (
      "data without parts, or with `train/` alone",
      {
        for folder in ["plain", "parts/train"] {
          try $0.write($0.images((0..<60).map { "\(folder)/\($0).png" }))
          let path = $0.folder.path + "/" + folder.split(separator: "/")[0]
          func count(_ part: DataPart) throws -> Int {
            var options = DataOptions()
            options.holdOut = 0.3
            return try DataSource.open(path, part: part, options: options).dataset.count
          }
          #expect(try count(.train) + count(.test) == 60 && count(.test) > 0)
        }
      }
    ),
    (
      "WebDataset's shards, `.tar` with `.cls` or `.json`",
      {
        for shard in 0..<2 {
          let files = try $0.images(["0\(shard).png"]) + [("0\(shard).cls", Array("\(shard)".utf8))]
          try $0.folder.write(CraftedArchive.tar(files), "shard-\(shard).tar")
        }
        // One of them may be compressed.
        let last = try $0.images(["02.png"]) + [("02.cls", Array("2".utf8))]
        try $0.folder.write(Crafted.gzip(CraftedArchive.tar(last)), "shard-2.tar.gz")
        try $0.expect(Expectation(counts: [.train: 3], classes: 3))
        try $0.expect(Expectation(counts: [.train: 1], classes: 2), at: $0.folder.path + "/shard-1.tar")
      }
    ),
    (
      "several `.zip` or `.tar`, or one a part (`train.zip`, `val.zip`)",
      {
        try $0.folder.write(CraftedArchive.zip($0.images(["a.png", "b.png"])), "train.zip")
        try $0.folder.write(CraftedArchive.zip($0.images(["a.png"])), "val.zip")
        try $0.expect(Expectation(counts: [.train: 2, .valid: 1]))
      }
    ),
    (
      "ImageNet's archives of its classes (`n01440764.tar`, …)",
      {
        for name in ["n01440764", "n01443537"] {
          try $0.folder.write(CraftedArchive.tar($0.images(["\(name)_1.JPEG"])), "\(name).tar")
        }
        try $0.expect(Expectation(counts: [.train: 2], classes: 2)) { $0.imageSize = 4 }
      }
    ),
    (
      "data of which some files are damaged",
      {
        try $0.write($0.images(["a.png", "b.png"]))
        try $0.folder.write([1, 2, 3], "c.png")
        let dataset = try DataSource.open($0.folder.path, part: .train).dataset
        #expect(DataCheck.brokenImages(dataset).broken.map(\.path) == [$0.folder.path + "/c.png"])
      }
    ),
    (
      "images with transparency",
      {
        try $0.folder.write(
          Crafted.png(width: 1, height: 1, depth: 8, colorType: 4, rows: [[10, 0]]), "a.png")
        var options = DataOptions()
        options.background = Background("white")
        #expect(
          try DataSource.open($0.folder.path, part: .train, options: options).dataset.image(0).pixels == [255]
        )
      }
    ),
  ]

  @Test("each row", arguments: rows.map(\.row))
  func row(_ name: String) throws { try Self.rows.first { $0.row == name }!.check(self) }

  @Test("every row has its test")
  func completeness() throws {
    let document = URL(filePath: #filePath).appending(path: "../../../docs/data.md").standardized
    let lines = try String(contentsOf: document, encoding: .utf8).split(separator: "\n")
    let table = lines.drop { !$0.hasPrefix("| what people hold") }.dropFirst(2).prefix { $0.hasPrefix("|") }
    let rows = table.map { line in
      // A bar within code is written with a backslash.
      line.split(separator: "|")[0].trimmingCharacters(in: .whitespaces)
    }
    #expect(rows == Self.rows.map(\.row))
  }
}
