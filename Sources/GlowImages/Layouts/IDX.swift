import Foundation
import GlowFiles

/// Images and labels in the IDX format of MNIST, plain or compressed with gzip: a big-endian header of a magic
/// number and the dimensions, and then bytes (LeCun, Cortes & Burges 1998).
package struct IDXDataset: Dataset {
  package let shape: ImageShape
  package let count: Int
  package let classNames: [String]

  private let images: IDXFile
  /// What the images are in memory as, where they are compressed.
  private let unpacked: [Unpacked.Key]
  private let labels: [UInt8]
  /// Rows are columns.
  private let isTransposed: Bool

  static func sets(_ files: DataFiles) -> [[String]] {
    let names = files.others.filter { IDXName(DataFiles.split($0).name)?.isImages == true }
    return names.isEmpty ? [] : [names]
  }

  static func open(_ files: DataFiles, part: DataPart, options: DataOptions) throws -> OpenedData? {
    let all = try files.matching { IDXName($0) != nil }
    if all.isEmpty { return try openUnnamed(files) }
    let names = all.compactMap { IDXName(DataFiles.split($0).name) }
    guard let first = names.first(where: { $0.isImages }) else { return nil }
    let isOfEMNIST = first.isOfEMNIST || Self.isOfEMNIST(files, all)
    if let other = names.first(where: { $0.isImages && $0.family != first.family }) {
      throw FileError(
        files.container.path,
        "holds more than one data set, \(first.family) and \(other.family): give a folder with one of them")
    }
    let dataset = try IDXDataset(all, in: files.container, part: part, isOfEMNIST: isOfEMNIST)
    let notes = [
      Unpacked.note(dataset.unpacked),
      all.first { all.contains($0 + ".gz") }.map { "\($0) is read, and not \($0).gz" },
      isOfEMNIST
        ? emnistNote
          + (first.isOfEMNIST ? "" : ", as the folder's name or list says")
        : nil,
      dataset.classNames.first == "1" ? Self.countFromOne : nil, files.leftOut(all),
    ]
    return OpenedData(dataset, part: part, notes: notes.compactMap { $0 }, kind: "IDX")
  }

  /// One file by itself, whatever its name: its first four bytes say what it is.
  private static func openUnnamed(_ files: DataFiles) throws -> OpenedData? {
    guard files.container is SingleFile else { return nil }
    let file = try files.container.open(files.names.bytes(0))
    if IDXFile.start(of: file) != [0, 0, 8, 3] { return nil }
    let isOfEMNIST = isOfEMNIST(files, [])
    let dataset = try IDXDataset(IDXFile(file, magic: 0x803), isTransposed: isOfEMNIST)
    let notes = [
      Unpacked.note(dataset.unpacked), "its first bytes say that it is IDX", isOfEMNIST ? emnistNote : nil,
    ]
    return OpenedData(dataset, part: nil, notes: notes.compactMap { $0 }, kind: "IDX")
  }

  private static let emnistNote = "EMNIST's pixels are brought upright"

  /// What is said where no label is 0.
  static let countFromOne = "labels count from 1"

  /// Whether plain names are EMNIST's: the folder that they stand in is called so, or the one above, or a list of what its labels
  /// stand for is beside them. A longer name that only has this word may say what the data are not.
  private static func isOfEMNIST(_ files: DataFiles, _ names: [String]) -> Bool {
    func isNamed(_ name: some StringProtocol) -> Bool {
      name.lowercased().wholeMatch(of: /emnist([-_].*)?/) != nil
    }
    let path = "\(files.container.path)/\(names.first.map { DataFiles.split($0).folder } ?? "")"
    let last = URL(filePath: path).standardized.pathComponents.suffix(2)
    return last.contains(where: isNamed)
      || files.others.contains { isNamed(DataFiles.split($0).name) && $0.contains("mapping") }
  }

  /// - Parameters:
  ///   - names: the files in `container`.
  ///   - isOfEMNIST: whether rows are columns.
  /// - Throws: `FileError` if a file is missing or is not what its header says.
  init(_ names: [String], in container: any Container, part: DataPart, isOfEMNIST: Bool = false) throws {
    isTransposed = isOfEMNIST
    func find(isImages: Bool) throws -> String? {
      let found = names.filter {
        let name = IDXName(DataFiles.split($0).name)
        return name?.part == part && name?.isImages == isImages
      }
      // Who unpacks a file often keeps it packed too.
      if let other = found.first(where: { Self.unpacked($0) != Self.unpacked(found[0]) }) {
        throw FileError(container.path, "holds both \(found[0]) and \(other): give one of them")
      }
      return found.first { !$0.hasSuffix(".gz") } ?? found.first
    }
    guard let name = try find(isImages: true) else {
      let found = names.compactMap { IDXName(DataFiles.split($0).name) }.filter(\.isImages).map(\.part)
      let file = part == .train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte"
      throw FileError.missing(
        container.path,
        "has \(part == .valid ? "nothing of the part 'valid'" : "no \(file) and no \(file).gz")"
          + DataPart.only(of: Set(found)))
    }
    images = try IDXFile(container.hold(name), magic: 0x803)
    (count, shape) = try Self.shape(of: images)
    unpacked = [container.unpacked(name), images.unpacked].compactMap { $0 }
    guard let labelsName = try find(isImages: false) else {
      (labels, classNames) = ([], [])
      return
    }
    if IDXName(DataFiles.split(labelsName).name)!.family != IDXName(DataFiles.split(name).name)!.family {
      throw FileError(container.path, "holds \(name) and \(labelsName), which are of two data sets")
    }
    let file = try IDXFile(container.open(labelsName), magic: 0x801)
    if file.dimensions[0] != count {
      throw FileError(
        file.path,
        "has \(file.dimensions[0]) labels for \(counted(count, "image")) in \(DataFiles.split(name).name)")
    }
    let stored = try file.withValues { Array($0) }
    // What all parts show counts, for one may lack a class; ten digits are classes even where few are shown.
    let all =
      [stored]
      + names.filter { IDXName(DataFiles.split($0).name)?.isImages == false && $0 != labelsName }
      .compactMap { name in
        try? IDXFile(container.open(name), magic: 0x801).withValues { Array($0) }
      }
    let largest = Int(all.compactMap { $0.max() }.max() ?? 0)
    // EMNIST's letters. Classes are called by the numbers that are stored, so that those of parts that are opened by themselves
    // agree.
    let isFromOne = isTransposed && largest > 0 && all.allSatisfy { $0.min().map { $0 > 0 } ?? true }
    labels = isFromOne ? stored.map { $0 - 1 } : stored
    classNames = (isFromOne ? 1...largest : 0...max(9, largest)).map(String.init)
  }

  /// Images without labels.
  private init(_ images: IDXFile, isTransposed: Bool) throws {
    self.images = images
    self.isTransposed = isTransposed
    (count, shape) = try Self.shape(of: images)
    unpacked = [images.unpacked].compactMap { $0 }
    (labels, classNames) = ([], [])
  }

  private static func shape(of images: IDXFile) throws -> (count: Int, shape: ImageShape) {
    let sizes = images.dimensions
    let shape = ImageShape(height: sizes[1], width: sizes[2], channels: 1)
    if sizes.contains(0) {
      throw FileError(images.path, "holds \(sizes[0]) images of \(shape), expected at least one value")
    }
    return (sizes[0], shape)
  }

  private static func unpacked(_ name: String) -> Substring {
    name.hasSuffix(".gz") ? name.dropLast(3) : name[...]
  }

  package func label(_ index: Int) -> Int? { labels.isEmpty ? nil : Int(labels[index]) }

  package func source(_ index: Int) -> String { "\(images.path)#\(index)" }

  package func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    precondition((0..<count).contains(index))
    try images.withValues { values in
      strides.copy(index, of: values, into: pixels)
    }
    return []
  }

  private var strides: ImageStrides {
    ImageStrides(
      count: count, shape: shape, image: shape.count, row: isTransposed ? 1 : shape.width,
      column: isTransposed ? shape.height : 1, channel: 1)
  }
}

/// What the name of an IDX file says: "train-images-idx3-ubyte", "t10k-labels.idx1-ubyte.gz",
/// "emnist-letters-test-images-idx3-ubyte".
private struct IDXName {
  let isImages: Bool
  let part: DataPart
  /// What stands before the part: "emnist-letters-".
  let family: Substring
  /// Whose images lie on their side.
  var isOfEMNIST: Bool { family.hasPrefix("emnist") }

  init?(_ name: Substring) {
    let name = name.lowercased()
    let plain = name.hasSuffix(".gz") ? name.dropLast(3) : name[...]
    guard
      let (start, part) = [("train", DataPart.train), ("t10k", .test), ("test", .test)].lazy
        .compactMap({ word, part in plain.range(of: word + "-").map { ($0, part) } }).first
    else { return nil }
    switch plain[start.upperBound...] {
    case "images-idx3-ubyte", "images.idx3-ubyte", "images-idx3": isImages = true
    case "labels-idx1-ubyte", "labels.idx1-ubyte", "labels-idx1": isImages = false
    default: return nil
    }
    self.part = part
    family = plain[..<start.lowerBound]
  }
}

/// One IDX file of bytes whose length agrees with its header.
struct IDXFile: Sendable {
  let path: String
  let dimensions: [Int]

  private let content: FileContent
  private let headerSize: Int
  /// What it is in memory as, if it is compressed.
  let unpacked: Unpacked.Key?

  /// - Parameter magic: 0x801 for a list of bytes, 0x803 for bytes in three dimensions.
  /// - Throws: `FileError`.
  init(_ file: FileContent, magic: Int) throws {
    let path = file.path
    self.path = path
    let isCompressed = Gzip.recognizes(file)
    let rank = magic & 0xFF
    let headerSize = 4 + 4 * rank
    let header = try Self.start(of: file, count: headerSize)
    dimensions = try Self.parse(header, magic: magic, rank: rank, path: path)
    let size = try Self.fileSize(dimensions, path: path)
    if isCompressed {
      // Checked before the content is allocated: a few bytes must not ask for a gigabyte.
      if size > Gzip.largestExpansion(of: file.count) {
        throw FileError(path, "has \(file.count) compressed bytes, too few for the \(size) its header claims")
      }
      let sum = try file.withBytes { Gzip.key(of: $0, path: path).checksum }
      let key = Unpacked.Key(path: path, size: size, checksum: sum)
      content = try Unpacked.content(key) {
        // One byte more than expected, so that a longer stream is noticed and a whole one is read to its checksum.
        let bytes = try file.withBytes { try Gzip.inflate($0, limit: size + 1, path: path) }
        if bytes.count > size {
          throw FileError(path, "has more than \(size) bytes, expected \(size) from its header")
        }
        return FileContent(bytes, path: path)
      }
      unpacked = key
    } else {
      content = file
      unpacked = nil
    }
    if content.count != size {
      throw FileError(path, "has \(content.count) bytes, expected \(size) from its header")
    }
    self.headerSize = headerSize
  }

  /// The first four bytes of a file, unpacked if it is compressed; none if they cannot be.
  static func start(of file: FileContent) -> [UInt8] { (try? start(of: file, count: 4)) ?? [] }

  private static func start(of file: FileContent, count: Int) throws -> [UInt8] {
    try file.withBytes { bytes in
      Gzip.recognizes(file)
        ? try Gzip.inflate(bytes, limit: count, path: file.path) : Array(bytes.prefix(count))
    }
  }

  /// Calls `body` with the bytes after the header.
  func withValues<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    try content.withBytes { try body(UnsafeRawBufferPointer(rebasing: $0.dropFirst(headerSize))) }
  }

  private static func parse(_ header: [UInt8], magic: Int, rank: Int, path: String) throws -> [Int] {
    if header.count < 4 + 4 * rank {
      throw FileError(path, "has \(header.count) bytes, expected an IDX header of \(4 + 4 * rank)")
    }
    let words = (0...rank).map { word in header[4 * word..<4 * word + 4].reduce(0) { $0 << 8 | Int($1) } }
    if words[0] != magic {
      throw FileError(path, "starts with \(hexadecimal(words[0])), expected \(hexadecimal(magic)) of IDX")
    }
    return Array(words.dropFirst())
  }

  private static func fileSize(_ dimensions: [Int], path: String) throws -> Int {
    var size = 1
    for dimension in dimensions {
      let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
      if overflow || product > Int.max / 2 {
        throw FileError(path, "claims impossible dimensions \(dimensions) in its header")
      }
      size = product
    }
    return size + 4 + 4 * dimensions.count
  }

  private static func hexadecimal(_ value: Int) -> String { "0x" + String(value, radix: 16) }
}
