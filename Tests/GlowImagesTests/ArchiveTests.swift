import GlowFiles
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowImages

@Suite("Archives")
struct ArchiveTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func images(_ names: [String]) throws -> [(name: String, content: [UInt8])] {
    try names.enumerated().map { ($1, try PNG.encode(testImage(4, 4, 3, seed: $0))) }
  }

  private func open(_ bytes: [UInt8], _ name: String, _ part: DataPart = .train) throws -> OpenedData {
    try DataSource.open(folder.write(bytes, name), part: part)
  }

  static let forms: [String] = ["stored.zip", "deflated.zip", "wide.zip", "a.tar", "a.tar.gz"]

  private func archive(_ files: [(name: String, content: [UInt8])], form: String) -> [UInt8] {
    switch form {
    case "stored.zip": CraftedArchive.zip(files, isDeflated: false)
    case "deflated.zip": CraftedArchive.zip(files)
    case "wide.zip": CraftedArchive.zip(files, isWide: true)
    case "a.tar": CraftedArchive.tar(files)
    default: Crafted.gzip(CraftedArchive.tar(files))
    }
  }

  @Test("a folder of images in an archive is read as the folder would be", arguments: forms)
  func folders(form: String) throws {
    let files = try images([
      "data/train/dog/1.png", "data/train/cat/2.png", "data/val/cat/3.png", "data/README.txt",
    ])
    let opened = try open(archive(files, form: form), form)
    let dataset = opened.dataset
    #expect(dataset.classNames == ["cat", "dog"] && dataset.count == 2 && opened.part == .train)
    #expect(try dataset.image(0) == testImage(4, 4, 3, seed: 1))
    #expect(dataset.source(0) == "\(folder.path)/\(form)/data/train/cat/2.png")
    #expect(opened.note?.hasPrefix("taken from data/; parts train/, val/; left out: 1 .txt") ?? false)
    #expect(try open(archive(files, form: form), form, .test).dataset.image(0) == testImage(4, 4, 3, seed: 2))
    try dataset.checkAll()
  }

  @Test("every other layout is read in archives too", arguments: forms)
  func layouts(form: String) throws {
    let batch = [3] + [UInt8](repeating: 7, count: 3072)
    let cifar = try open(archive([("cifar-10-batches-bin/data_batch_1.bin", batch)], form: form), form)
    #expect(
      try cifar.kind == "CIFAR-10" && cifar.dataset.image(0).pixels[0] == 7 && cifar.dataset.label(0) == 3)
    let digits = Crafted.idx(0x803, [2, 2, 2], [UInt8](0..<8))
    let idx = try open(archive([("train-images-idx3-ubyte", digits)], form: form), form)
    #expect(try idx.kind == "IDX" && idx.dataset.image(1).pixels == [4, 5, 6, 7])
    let array = NumpyHeader(dataType: "|u1", shape: [2, 2, 2]).encoded() + [UInt8](0..<8)
    let npy = try open(archive([("a.npy", array)], form: form), form)
    #expect(try npy.kind == ".npy" && npy.dataset.image(1).pixels == [4, 5, 6, 7])
  }

  @Test("names that lead out of an archive, hidden ones and macOS's are passed over")
  func names() throws {
    for (name, wanted) in [
      ("./a.png", "a.png"), ("a/b.png", "a/b.png"), ("../a.png", nil), ("/etc/a.png", nil),
      ("a/../b.png", nil),
      ("a//b.png", nil), ("a/", nil), ("", nil), (".a.png", nil), ("__MACOSX/a.png", nil), ("a\0.png", nil),
      (String(repeating: "a", count: 5000), nil), (String(repeating: "a/", count: 100) + "b", nil),
    ] as [(String, String?)] {
      #expect(ArchiveNames.normalized(Array(name.utf8)).map { RawPath.text($0[...]) } == wanted, "\(name)")
    }
    let files = try images(["../a.png", "b.png", "__MACOSX/b.png"])
    for (name, bytes) in [("a.zip", CraftedArchive.zip(files)), ("a.tar", CraftedArchive.tar(files))] {
      let opened = try open(bytes, name)
      #expect(
        opened.dataset.count == 1 && opened.note == "left out: 1 hidden, 1 unsafe names", "\(opened.summary)")
    }
    // Of two files with one name an unpacker keeps the last.
    let twice = try images(["b.png", "b.png"])
    #expect(try open(CraftedArchive.tar(twice), "a.tar").dataset.image(0) == testImage(4, 4, 3, seed: 1))
  }

  @Test("a hard link is the file that it leads to, if that has come before")
  func hardLinks() throws {
    let image = try PNG.encode(testImage(4, 4, 3, seed: 9))
    let other = try PNG.encode(testImage(4, 4, 3, seed: 8))
    let end = [UInt8](repeating: 0, count: 1024)
    let archive =
      CraftedArchive.tarEntry("./a.png", image)
      + CraftedArchive.tarEntry("b.png", [], type: "1", link: "a.png")
      + CraftedArchive.tarEntry("c.png", other)
      + CraftedArchive.tarEntry("d.png", [], type: "1", link: "missing.png")
      + CraftedArchive.tarEntry("e.png", [], type: "2", link: "a.png") + end
    let opened = try open(archive, "a.tar")
    let dataset = opened.dataset
    #expect(opened.note == "left out: 2 links")
    #expect((0..<dataset.count).map(dataset.source).map { $0.suffix(5) } == ["a.png", "b.png", "c.png"])
    #expect(
      try dataset.image(1) == testImage(4, 4, 3, seed: 9) && dataset.image(2) == testImage(4, 4, 3, seed: 8))
  }

  /// Where each entry of the directory begins.
  private func entries(_ zip: [UInt8]) -> [Int] {
    zip.indices.dropLast(3).filter { Array(zip[$0..<$0 + 4]) == [0x50, 0x4B, 1, 2] }
  }

  @Test("symbolic links in a .zip, which Unix wrote, are left out")
  func symbolicLinks() throws {
    var zip = try CraftedArchive.zip(images(["a.png", "b.png", "c.png"]))
    for (entry, from) in Swift.zip(
      entries(zip), [(3, 0o100644), (3, 0o120777), (0, 0o120777)] as [(system: Int, mode: Int)])
    {
      zip[entry + 5] = UInt8(from.system)
      zip.replaceSubrange(entry + 40..<entry + 42, with: CraftedArchive.number(from.mode, 2))
    }
    let opened = try open(zip, "a.zip")
    #expect(opened.note == "left out: 1 links")
    #expect((0..<opened.dataset.count).map(opened.dataset.source).map { $0.suffix(5) } == ["a.png", "c.png"])
  }

  @Test("the size of a .zip's directory counts, since 16 bits hold the number of few files")
  func wrappedCount() throws {
    let whole = try CraftedArchive.zip(images(["a", "b", "c"].map { String(repeating: $0, count: 40) }))
    func counted(_ count: Int, size: Int = 0) -> [UInt8] {
      var zip = whole
      let end = zip.count - 22
      for place in [end + 8, end + 10] {
        zip.replaceSubrange(place..<place + 2, with: CraftedArchive.number(count, 2))
      }
      zip[end + 12] += UInt8(size)
      return zip
    }
    #expect(try open(counted(1), "a.zip").dataset.count == 3)
    // Names are looked at for separators to the end too: beside a slash a backslash is a letter.
    var mixed = try CraftedArchive.zip(images([#"a\1.png"#, "b/2.png"]))
    for place in [mixed.count - 14, mixed.count - 12] { mixed[place] = 1 }
    for entry in entries(mixed) { mixed[entry + 5] = 3 }
    #expect(try ZipArchive(FileContent(mixed, path: "a.zip")).list()[0] == #"a\1.png"#)
    for zip in [counted(4), counted(3, size: 1)] {
      let error = #expect(throws: FileError.self) { try open(zip, "a.zip") }
      #expect(error?.reason.contains("is a damaged .zip file") == true, "\(String(describing: error))")
    }
  }

  @Test("a file in a .zip that is compressed in another way is broken, and the others are read")
  func otherMethods() throws {
    var zip = try CraftedArchive.zip(images(["a.png", "b.png"]))
    let entry = try #require(entries(zip).last)
    zip[entry + 10] = 12
    let dataset = try open(zip, "a.zip").dataset
    #expect(try dataset.image(0) == testImage(4, 4, 3, seed: 0))
    let broken = DataCheck.brokenImages(dataset).broken
    #expect(
      broken == [
        FileError(
          "\(folder.path)/a.zip/b.png", "is compressed by method 12, expected none (0) or deflate (8)")
      ])
  }

  @Test("what follows a .tar's end is not read, and that is said")
  func afterTheEnd() throws {
    let (first, second) = try (CraftedArchive.tar(images(["a.png"])), CraftedArchive.tar(images(["b.png"])))
    let path = folder.path + "/a.tar"
    for (more, note) in [
      (second, "\(path) goes on after its end, with what is not read: another .tar may follow"),
      ([UInt8](repeating: 0, count: 10240), nil),
    ] as [([UInt8], String?)] {
      let opened = try open(first + more, "a.tar")
      #expect(opened.dataset.count == 1 && opened.note == note)
    }
  }

  @Test("a .tar of the time before POSIX, and a .zip with the separators of Windows")
  func others() throws {
    var old = try CraftedArchive.tar(images(["a/1.png", "b/2.png"]))
    for header in stride(from: 0, to: old.count - 1024, by: 512) where old[header + 257] == UInt8(ascii: "u")
    {
      for place in 257..<512 { old[header + place] = 0 }
      for place in 148..<156 { old[header + place] = 32 }
      let sum = String(old[header..<header + 512].reduce(0) { $0 + Int($1) }, radix: 8)
      let digits = String(repeating: "0", count: 6 - sum.count) + sum
      old.replaceSubrange(header + 148..<header + 155, with: Array(digits.utf8) + [0])
    }
    #expect(try open(old, "old.tar").dataset.classNames == ["a", "b"])
    #expect(try open(Crafted.gzip(old), "old").dataset.classNames == ["a", "b"])
    let zip = try CraftedArchive.zip(images([#"a\1.png"#, #"b\2.png"#]))
    #expect(try open(zip, "windows.zip").dataset.classNames == ["a", "b"])
    // Not every writer says that it runs there. A letter of a drive is a folder that wraps the data.
    func fromUnix(_ names: [String]) throws -> [UInt8] {
      var zip = try CraftedArchive.zip(images(names))
      for place in zip.indices.dropLast(6) where Array(zip[place..<place + 4]) == [0x50, 0x4B, 1, 2] {
        zip[place + 5] = 3
      }
      return zip
    }
    let unix = try open(fromUnix([#"C:\data\a\1.png"#, #"C:\data\b\2.png"#]), "unix.zip")
    #expect(unix.dataset.classNames == ["a", "b"] && unix.note == "taken from C:/data/")
    // Beside true separators it is a letter.
    let mixed = try open(fromUnix([#"a/1\2.png"#, #"b/3.png"#]), "mixed.zip")
    #expect(mixed.dataset.classNames == ["a", "b"] && mixed.dataset.source(0).hasSuffix(#"/a/1\2.png"#))
  }

  @Test("of a file in a .zip that is no image, or too large a label, no more is unpacked than tells")
  func bombs() throws {
    let zeros = [UInt8](repeating: 0, count: 1 << 22)
    let bomb = try ZipArchive(
      FileContent(CraftedArchive.zip([("a.png", zeros), ("b", zeros), ("c.cls", zeros)]), path: "a.zip"))
    #expect(try bomb.start(of: "a.png", 12) == [UInt8](repeating: 0, count: 12))
    #expect(bomb.size(of: Array("b".utf8)[...]) == zeros.count)
    expectError("a.zip/a.png", "is not a PNG, JPEG or WebP image") {
      try bomb.openImage(Array("a.png".utf8)[...])
    }
    expectError("a.zip/c.cls", "has \(zeros.count) bytes, too many for a class") {
      try bomb.open(Array("c.cls".utf8)[...], largest: 1 << 20, for: "a class")
    }
    // The checksum of a damaged file is not asked for: it is that of the whole.
    var damaged = CraftedArchive.zip([("a.png", zeros)])
    let entry = try #require(damaged.indices.last { Array(damaged[$0...].prefix(4)) == [0x50, 0x4B, 1, 2] })
    damaged[entry + 16] ^= 1
    let archive = try ZipArchive(FileContent(damaged, path: "a.zip"))
    #expect(try archive.start(of: "a.png", 4) == [0, 0, 0, 0])
    expectError("a.zip/a.png", "is damaged: its checksum is wrong") { try archive.open("a.png") }
  }

  @Test("what is not read is named, with what to do about it")
  func unread() throws {
    func expect(_ reason: String, _ name: String, _ bytes: [UInt8]) throws {
      let other = try TestFolder()
      let path = try other.write(bytes, name)
      for location in name.contains("data_batch") ? [other.path] : [path, other.path] {
        let error = #expect(throws: FileError.self) { try DataSource.open(location, part: .train) }
        #expect(error?.path == path && error?.reason.contains(reason) == true, "\(String(describing: error))")
      }
    }
    try expect(
      "is compressed by xz, which is not read: unxz it first", "a.tar.xz",
      [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0, 0])
    try expect("is compressed by bzip2", "a.tar.bz2", Array("BZh91AY".utf8))
    try expect("is compressed by zstd", "a.tar.zst", [0x28, 0xB5, 0x2F, 0xFD, 0])
    try expect("is a 7z archive", "a.7z", [0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C])
    try expect("is a RAR archive", "a.rar", Array("Rar!".utf8))
    try expect("is an HDF5 file", "a.h5", [0x89, 0x48, 0x44, 0x46, 0x0D])
    try expect("is a Parquet file", "a.parquet", Array("PAR1".utf8))
    try expect("is a pickle as ImageNet32 comes in for Python", "train_data_batch_1", [0x80, 2, 0x7D])
    let inner = try CraftedArchive.zip(images(["a.png"]))
    for (name, bytes) in [
      ("a.zip", CraftedArchive.zip([("inner.zip", inner)])),
      ("a.tar", CraftedArchive.tar([("inner.zip", inner)])),
    ] {
      let path = try folder.write(bytes, name)
      expectError(path + "/inner.zip", "is an archive in another: unpack \(path) and give the folder") {
        try DataSource.open(path, part: .train)
      }
    }
  }

  @Test("a .tar.gz that is cut off is said to be, whatever its last bytes claim")
  func cutOff() throws {
    let content = try CraftedArchive.tar(images((0..<40).map { "\($0).png" }))
    let whole = Crafted.gzip(content)
    for size in [600, whole.count / 2, whole.count - 1] {
      let path = try folder.write(Array(whole.prefix(size)), "a.tar.gz")
      expectError(path, "is a .tar.gz file that is cut off: it has not come as a whole") {
        try DataSource.open(path, part: .train)
      }
    }
    var damaged = whole
    damaged[whole.count - 8] ^= 1
    let path = try folder.write(damaged, "a.tar.gz")
    expectError(path, "is a damaged .gz file: incorrect data check") {
      try DataSource.open(path, part: .train)
    }
  }

  @Test("long names of GNU and pax")
  func longNames() throws {
    let long = String(repeating: "long/", count: 30) + "a.png"
    let image = try PNG.encode(testImage(4, 4, 3))
    let gnu = CraftedArchive.tarEntry("././@LongLink", Array(long.utf8) + [0], type: "L")
    let record = { (text: String) -> [UInt8] in
      let length = text.utf8.count + 5
      return Array("\(length) \(text)\n".utf8)
    }
    let pax = CraftedArchive.tarEntry("PaxHeader", record("path=\(long)"), type: "x")
    for prefix in [gnu, pax] {
      let tar = prefix + CraftedArchive.tarEntry("short.png", image) + [UInt8](repeating: 0, count: 1024)
      let archive = try TarArchive(FileContent(tar, path: "a.tar"))
      #expect(try archive.list()[0] == long)
    }
  }

  @Test("what an archive claims is checked before memory is booked")
  func claims() throws {
    func expect(_ bytes: [UInt8], _ part: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
      let path = try folder.write(bytes, "a")
      let error = #expect(throws: FileError.self, sourceLocation: sourceLocation) {
        let opened = try DataSource.open(path, part: .train)
        _ = try opened.dataset.image(0)
      }
      #expect(
        error?.reason.contains(part) ?? false, "\(String(describing: error))", sourceLocation: sourceLocation)
    }
    let files = try images(["a.png"])
    try expect(
      CraftedArchive.zip(files, claimed: 1 << 31), "compressed bytes, too few for the 2147483648 it claims")
    try expect(CraftedArchive.zip(files, claimed: 10), "does not have the 10 bytes it claims")
    try expect(CraftedArchive.zip(files, isDeflated: false, claimed: 10), "is stored, but claims 10 bytes")
    try expect(Array(CraftedArchive.zip(files).dropLast(30)), "has no directory")
    var damaged = CraftedArchive.zip(files, isDeflated: false)
    damaged[50] ^= 1
    try expect(damaged, "its checksum is wrong")
    try expect(
      CraftedArchive.tarEntry("a.png", [], size: 1 << 30), "a file of 1073741824 bytes where 0 are left")
    let name = CraftedArchive.tarEntry("././@LongLink", [UInt8](repeating: 65, count: 1 << 17), type: "L")
    try expect(name, "a name of 131072 bytes")
    try expect(CraftedArchive.tarEntry("a.png", [], type: "S"), "a file with holes")
    try expect(Array((CraftedArchive.tar(files)).prefix(1024 + 100)), "it ends within a header")
    var changed = CraftedArchive.tar(files)
    changed[0] ^= 1
    try expect(changed, "a wrong checksum")
  }

  @Test("changed archives", arguments: ["zip", "tar"])
  func hostile(form: String) throws {
    let files = try images(["a/1.png", "b/2.png"])
    let seeds =
      form == "zip"
      ? [
        CraftedArchive.zip(files), CraftedArchive.zip(files, isDeflated: false),
        CraftedArchive.zip(files, isWide: true),
      ]
      : [CraftedArchive.tar(files)]
    let outcome = readHostileFiles(like: seeds, count: 1500) { file in
      let content = FileContent(file, path: "a")
      let archive: any Container = form == "zip" ? try ZipArchive(content) : try TarArchive(content)
      let names = try archive.list()
      for index in 0..<names.count { _ = try archive.open(names.bytes(index)).count }
    }
    #expect(outcome.wrong == [])
    #expect(outcome.accepted > 0 && outcome.refused > 100, "\(outcome)")
  }

  @Test("archives that Python writes", .python("zipfile", "tarfile"))
  func python() throws {
    let names = [
      "train/a/" + String(repeating: "y", count: 80) + "/" + String(repeating: "x", count: 60) + ".png",
      "train/b/é.png", "test/a/1.png",
    ]
    for (index, name) in names.enumerated() {
      try folder.write(testImage(5, 6, 3, seed: index), "in/\(name)")
    }
    let program = """
      import sys, os, zipfile, tarfile
      os.chdir(sys.argv[1])
      files = [os.path.join(d, f) for d, _, fs in os.walk("in") for f in fs]
      for name, method in [("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)]:
          with zipfile.ZipFile(f"{name}.zip", "w", method) as z:
              for f in files:
                  with z.open(zipfile.ZipInfo.from_file(f), "w", force_zip64=name == "stored") as o: o.write(open(f, "rb").read())
      for name, format in [("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)]:
          with tarfile.open(f"{name}.tar", "w", format=format) as t: t.add("in")
      with tarfile.open("packed.tar.gz", "w:gz") as t: t.add("in")
      """
    let outcome = try Python.run(program, folder.path)
    #expect(outcome.status == 0, "\(outcome.output)")
    for archive in ["stored.zip", "deflated.zip", "ustar.tar", "gnu.tar", "pax.tar", "packed.tar.gz"] {
      let train = try DataSource.open("\(folder.path)/\(archive)", part: .train).dataset
      #expect(train.classNames == ["a", "b"] && train.count == 2, "\(archive)")
      #expect(
        try train.image(0) == testImage(5, 6, 3, seed: 0) && train.image(1) == testImage(5, 6, 3, seed: 1))
      #expect(try DataSource.open("\(folder.path)/\(archive)", part: .test).dataset.count == 1)
    }
  }
}
