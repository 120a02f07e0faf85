import GlowFiles
import GlowTestSupport
import Testing

@testable import GlowImages

/// Batches of CIFAR as Python writes them.
enum CraftedPickle {
  /// With protocol 2, by Python 2.
  static func python2(_ images: [UInt8], count: Int, labels: [UInt8], key: String = "labels") -> [UInt8] {
    func text(_ text: String) -> [UInt8] { [UInt8(ascii: "U"), UInt8(text.utf8.count)] + Array(text.utf8) }
    func long(_ value: Int) -> [UInt8] { Crafted.bigEndian(value).reversed() }
    let empty: [UInt8] = [UInt8(ascii: "K"), 0, 0x85] + text("b") + [0x87, UInt8(ascii: "R")]
    let type =
      Array("cnumpy\ndtype\n".utf8) + text("u1") + Array("K".utf8) + [0] + Array("K".utf8) + [1, 0x87]
      + Array("R".utf8)
    let typeState: [UInt8] =
      Array("(".utf8) + Array("K".utf8) + [3] + text("|") + Array("NNNJ".utf8) + [255, 255, 255, 255]
      + Array("J".utf8)
      + [255, 255, 255, 255] + Array("K".utf8) + [0] + Array("tb".utf8)
    let shape: [UInt8] =
      Array("M".utf8) + [UInt8(count & 255), UInt8(count >> 8)] + Array("M".utf8) + [0, 12, 0x86]
    let array: [UInt8] =
      Array("cnumpy.core.multiarray\n_reconstruct\nq".utf8) + [1] + Array("cnumpy\nndarray\n".utf8) + empty
      + Array("(K".utf8)
      + [1] + shape + type + typeState + [0x89] + Array("T".utf8) + long(images.count) + images
      + Array("tb".utf8)
    let list =
      Array("]q".utf8) + [9] + Array("(".utf8) + labels.flatMap { [UInt8(ascii: "K"), $0] } + Array("e".utf8)
    return [0x80, 2] + Array("}q".utf8) + [0] + Array("(".utf8) + text("data") + array + text(key) + list
      + Array("u.".utf8)
  }

  /// With protocol 5, by Python 3 and NumPy 2.
  static func python3(
    _ images: [UInt8], count: Int, labels: [UInt8], key: String = "labels", type: String = "u1"
  ) -> [UInt8] {
    let memoize: [UInt8] = [0x94]
    func code(_ letters: String) -> [UInt8] { Array(letters.utf8) }
    func text(_ text: String) -> [UInt8] { [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) + memoize }
    func global(_ module: String, _ name: String) -> [UInt8] {
      text(module) + text(name) + [0x93] + memoize
    }
    func long(_ value: Int) -> [UInt8] { CraftedArchive.number(value, 8) }
    let list = code("]") + memoize + code("(") + labels.flatMap { code("K") + [$0] } + code("e")
    let none: [UInt8] = code("J") + [255, 255, 255, 255]
    let state =
      code("(K") + [3] + text("|") + code("NNN") + none + none + code("K") + [0] + code("t") + memoize
    let dtype = global("numpy", "dtype") + text(type) + [0x89, 0x88, 0x87] + memoize + code("R") + memoize
    let shape: [UInt8] = code("M") + CraftedArchive.number(count, 2) + code("M") + [0, 12, 0x86] + memoize
    let bytes: [UInt8] = [0x96] + long(images.count) + images + memoize
    let array =
      global("numpy._core.numeric", "_frombuffer") + code("(") + bytes + dtype + state + code("b") + shape
      + text("C") + code("t") + memoize + code("R") + memoize
    let program =
      code("}") + memoize + code("(") + text(key) + list + text("data") + array + code("u.")
    return [0x80, 5, 0x95] + long(program.count) + program
  }
}

@Suite("CIFAR-10")
struct CIFARTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  /// Planes with the values 0..., 100... and 200... .
  private func record(_ label: UInt8, _ first: UInt8) -> [UInt8] {
    var bytes = [label]
    for plane: UInt8 in [0, 100, 200] {
      for position in 0..<1024 { bytes.append(plane + UInt8(position % 50) + first) }
    }
    return bytes
  }

  @Test("records become interleaved images in the order of the batches")
  func reading() throws {
    try folder.write(record(3, 0) + record(9, 1), "data_batch_2.bin")
    try folder.write(record(4, 2), "data_batch_10.bin")
    try folder.write(record(0, 3), "test_batch.bin")
    let opened = try DataSource.open(folder.path + "/", part: .train)
    let dataset = opened.dataset
    #expect(opened.kind == "CIFAR-10" && opened.part == .train)
    #expect(opened.note == "missing: data_batch_1.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin")
    #expect(dataset.count == 3 && dataset.shape == ImageShape(height: 32, width: 32, channels: 3))
    #expect((0..<3).map(dataset.label) == [3, 9, 4])
    #expect(dataset.source(1) == "\(folder.path)/data_batch_2.bin#1")
    #expect(dataset.source(2) == "\(folder.path)/data_batch_10.bin#0")
    #expect(try dataset.image(1).pixels.prefix(6) == [1, 101, 201, 2, 102, 202])
    #expect(try dataset.image(2).pixels.suffix(3) == [25, 125, 225])
    #expect(try DataSource.open(folder.path, part: .test).dataset.label(0) == 0)
    #expect(dataset.classNames == (0...9).map(String.init))
  }

  @Test("class names come from batches.meta.txt and are ten")
  func classNames() throws {
    try folder.write(record(3, 0), "data_batch_1.bin")
    let path = try folder.write(Array("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n".utf8), "batches.meta.txt")
    #expect(try DataSource.open(folder.path, part: .train).dataset.classNames[9] == "j")
    try folder.write(Array("a\nb\n".utf8), "batches.meta.txt")
    expectError(path, "has 2 class names, expected 10") { try DataSource.open(folder.path, part: .train) }
  }

  @Test("CIFAR-100 has fine and coarse classes, and may stand one folder below")
  func hundred() throws {
    try folder.write([4, 77] + Array(record(0, 5).dropFirst()), "cifar-100-binary/train.bin")
    try folder.write([19, 0] + Array(record(0, 6).dropFirst()), "cifar-100-binary/test.bin")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(
      opened.kind == "CIFAR-100" && opened.dataset.classNames.count == 100 && opened.dataset.label(0) == 77)
    #expect(
      try opened.dataset.image(0).pixels.prefix(3) == [5, 105, 205]
        && opened.note == "fine labels, see --labels")
    var options = DataOptions()
    options.hasCoarseLabels = true
    let coarse = try DataSource.open(folder.path, part: .test, options: options).dataset
    #expect(try coarse.classNames.count == 20 && coarse.label(0) == 19 && coarse.image(0).pixels[0] == 6)
  }

  @Test("the Python version holds what the binary one does")
  func python() throws {
    let images = Array(record(0, 0).dropFirst()) + Array(record(0, 5).dropFirst())
    try folder.write(
      CraftedPickle.python2(images, count: 2, labels: [3, 8]), "cifar-10-batches-py/data_batch_1")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(opened.kind == "CIFAR-10 (Python)" && (0..<2).map(opened.dataset.label) == [3, 8])
    #expect(try opened.dataset.image(1).pixels.prefix(6) == [5, 105, 205, 6, 106, 206])
    let path = try folder.write(
      CraftedPickle.python2(images, count: 2, labels: [3]), "cifar-10-batches-py/data_batch_1")
    expectError(path, "has no list 'labels' with a label for each of 2 images") {
      try DataSource.open(folder.path, part: .train)
    }
  }

  @Test("a pickle that would call anything is refused by name")
  func hostilePickles() throws {
    for (program, reason) in [
      ("cos\nsystem\n(S'true'\ntR.", "the function os.system, which is not called"),
      ("}R.", "too little on its stack"), ("}q\u{1}h\u{2}.", "nothing stored under 2"),
      ("](}e.", "a list of other things"),
      ("}(K\u{1}K\u{2}u.", "a key that is no text"), ("i", "the instruction 105 at byte 2"),
    ] {
      let bytes = [0x80, 2] + Array(program.utf8)
      let error = #expect(throws: FileError.self) {
        try bytes.withUnsafeBytes { _ = try Pickle.read($0, path: "a") }
      }
      #expect(error?.reason.contains(reason) ?? false, "\(String(describing: error))")
    }
    let seed = CraftedPickle.python2([UInt8](repeating: 7, count: 3072), count: 1, labels: [3])
    let newer = CraftedPickle.python3([UInt8](repeating: 7, count: 3072), count: 1, labels: [3])
    let outcome = readHostileFiles(like: [seed, newer], count: 2000) { file in
      let version = CIFARVersion.all(isCoarse: false)[1]
      _ = try version.readBatch(FileContent(file, path: "a"))
    }
    #expect(outcome.wrong == [] && outcome.accepted > 0 && outcome.refused > 100, "\(outcome)")
  }

  private func expectOfPython() throws {
    let opened = try DataSource.open(folder.path, part: .train)
    #expect((0..<2).map(opened.dataset.label) == [6, 9] && opened.dataset.classNames[9] == "class 9")
    let second = try opened.dataset.image(1).pixels
    #expect(Array(second.prefix(6)) == [3072, 4096, 5120, 3073, 4097, 5121].map { UInt8($0 % 251) })
  }

  /// The bytes of a text in UTF-8 whose characters they are.
  private func asText(_ bytes: [UInt8]) -> [UInt8] { bytes.flatMap { Array(String(UnicodeScalar($0)).utf8) } }

  @Test(
    "bytes that Python 3 writes for Python 2, as a text and the name of a function that makes bytes of it")
  func encodedBytes() throws {
    let images = (0..<3072).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let plain = CraftedPickle.python2(images, count: 1, labels: [3])
    // The array's bytes, "T" and their number before them.
    let start = try #require(plain.indices.first { plain[$0...].starts(with: images) })
    let text = asText(images)
    func argument(_ text: [UInt8]) -> [UInt8] {
      var bytes = [UInt8(ascii: "X")]
      bytes += Crafted.bigEndian(text.count).reversed()
      return bytes + text
    }
    func encoded(_ text: [UInt8], _ encoding: String = "latin1") -> [UInt8] {
      let function = Array("c_codecs\nencode\n".utf8)
      let call: [UInt8] = argument(text) + argument(Array(encoding.utf8)) + [0x86, UInt8(ascii: "R")]
      return Array(plain[..<(start - 5)]) + function + call + Array(plain[(start + images.count)...])
    }
    let path = try folder.write(encoded(text), "data_batch_1")
    let dataset = try DataSource.open(folder.path, part: .train).dataset
    let found = try dataset.image(0).pixels
    let red = (0..<1024).map { found[3 * $0] }
    let blue = (0..<1024).map { found[3 * $0 + 2] }
    #expect(red == Array(images[..<1024]) && blue == Array(images[2048...]))
    let beyond: [UInt8] = Array("ĀĀ".utf8) + Array(text.dropFirst(2))
    let refused: [([UInt8], String)] = [
      (encoded(text, "utf-8"), "bytes of a text that are not those of Latin-1"),
      (encoded(beyond), "a character that is no byte"),
    ]
    for (bytes, reason) in refused {
      try folder.write(bytes, "data_batch_1")
      let error = #expect(throws: FileError.self) { try DataSource.open(folder.path, part: .train) }
      #expect(error?.path == path && error?.reason.contains(reason) == true, "\(String(describing: error))")
    }
  }

  @Test("an array in Fortran's order is refused")
  func fortran() throws {
    let images = [UInt8](repeating: 7, count: 3072)
    var bytes = CraftedPickle.python2(images, count: 1, labels: [3])
    let start = try #require(bytes.indices.first { bytes[$0...].starts(with: images) })
    // True in place of false, before "T" and the number of bytes.
    #expect(bytes[start - 6] == 0x89)
    bytes[start - 6] = 0x88
    let path = try folder.write(bytes, "data_batch_1")
    expectError(path, "is not a pickle of CIFAR's: it has an array in Fortran's order") {
      try DataSource.open(folder.path, part: .train)
    }
  }

  @Test("a protocol of newer Pythons; values that are no bytes are refused")
  func newerProtocol() throws {
    let images = (0..<2 * 3072).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    try folder.write(CraftedPickle.python3(images, count: 2, labels: [3, 8]), "data_batch_1")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect((0..<2).map(opened.dataset.label) == [3, 8])
    #expect(try opened.dataset.image(1).pixels[3] == images[3072 + 1])
    let path = try folder.write(
      CraftedPickle.python3(images, count: 2, labels: [3, 8], type: "i1"), "data_batch_1")
    expectError(path, "has no array 'data' of bytes [images, 3072]") {
      try DataSource.open(folder.path, part: .train)
    }
  }

  @Test("pickles that Python writes", .python("numpy"), arguments: [2, 3, 4, 5])
  func realPython(protocolVersion: Int) throws {
    let program = """
      import os, pickle, sys, numpy as np
      os.mkdir(f"{sys.argv[1]}/hundred")
      data = (np.arange(2 * 3072) % 251).astype(np.uint8).reshape(2, 3072)
      for name in ("data_batch_1", "test_batch"):
          with open(f"{sys.argv[1]}/{name}", "wb") as f:
              pickle.dump({"batch_label": "training batch", "labels": [6, 9], "data": data, "filenames": ["a.png", "b.png"]}, f, protocol=int(sys.argv[2]))
      with open(f"{sys.argv[1]}/batches.meta", "wb") as f:
          pickle.dump({"num_cases_per_batch": 2, "label_names": [f"class {i}" for i in range(10)], "num_vis": 3072}, f, protocol=int(sys.argv[2]))
      """
    let outcome = try Python.run(program, folder.path, "\(protocolVersion)")
    #expect(outcome.status == 0, "\(outcome.output)")
    try expectOfPython()
    // Names as bytes, as who reads with encoding="bytes" has them.
    let names = try Python.run(
      """
      import pickle, sys
      with open(f"{sys.argv[1]}/batches.meta", "wb") as f:
          pickle.dump({b"label_names": [b"class %d" % i for i in range(10)]}, f, protocol=int(sys.argv[2]))
      """, folder.path, "\(protocolVersion)")
    #expect(names.status == 0, "\(names.output)")
    #expect(try DataSource.open(folder.path, part: .train).dataset.classNames[9] == "class 9")
    // CIFAR-100 is told by the content, too.
    let hundred = try Python.run(
      """
      import pickle, sys, numpy as np
      data = np.full((1, 3072), 5, np.uint8)
      with open(f"{sys.argv[1]}/hundred/train", "wb") as f:
          pickle.dump({"fine_labels": [42], "coarse_labels": [3], "data": data}, f, protocol=int(sys.argv[2]))
      """, folder.path, "\(protocolVersion)")
    #expect(hundred.status == 0, "\(hundred.output)")
    let fine = try DataSource.open(folder.path + "/hundred", part: .train)
    #expect(fine.kind == "CIFAR-100 (Python)" && fine.dataset.label(0) == 42)
  }

  @Test("wrong sizes, labels and missing parts are refused")
  func badInput() throws {
    let path = try folder.write(Array(record(3, 0).dropLast()), "data_batch_1.bin")
    expectError(path, "has 3072 bytes, expected one or more CIFAR-10 records of 3073 bytes") {
      try DataSource.open(folder.path, part: .train)
    }
    try folder.write([UInt8](), "data_batch_1.bin")
    expectError(path, "has 0 bytes, expected one or more CIFAR-10 records of 3073 bytes") {
      try DataSource.open(folder.path, part: .train)
    }
    try folder.write(record(1, 0) + record(10, 0), "data_batch_1.bin")
    expectError(path, "has label 10 in record 1, expected 0 to 9") {
      try DataSource.open(folder.path, part: .train)
    }
    expectError(folder.path, "has no test_batch.bin, only of train (--split train)") {
      try DataSource.open(folder.path, part: .test)
    }
  }
}
