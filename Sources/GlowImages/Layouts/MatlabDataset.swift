import GlowFiles

/// SVHN's cropped digits (Netzer et al. 2011) as they come: train_32x32.mat and test_32x32.mat, in version 5 of MATLAB's format
/// ("MAT-File Format", The MathWorks). `X` has the images, [height, width, channels, images] with the first index fastest;
/// `y` has the digits, and 10 for 0.
struct MatlabDataset: Dataset {
  var shape: ImageShape { strides.shape }
  var count: Int { strides.count }
  var classNames: [String] { labels.isEmpty ? [] : (0...9).map(String.init) }
  private let images: FileContent
  private let strides: ImageStrides
  private let labels: [UInt8]
  /// What the images are in memory as, if they are compressed.
  private let unpacked: Unpacked.Key?

  /// Files whose names are those of parts.
  static func sets(_ files: DataFiles) -> [[String]] {
    let names = files.others.filter { isMatlab($0) && part(ofFile: $0) != nil }
    return names.isEmpty || files.hasImages ? [] : [names]
  }

  private static func isMatlab(_ name: some StringProtocol) -> Bool {
    ImageFile.suffix(Array(name.utf8)[...]) == "mat"
  }

  private static func part(ofFile name: String) -> DataPart? {
    FolderName.part(Array(DataFiles.split(name).name.dropLast(4).utf8)[...])
  }

  static func open(_ files: DataFiles, part: DataPart, options: DataOptions) throws -> OpenedData? {
    let all = try files.matching(isMatlab)
    if all.isEmpty || files.hasImages { return nil }
    let parts = all.map { self.part(ofFile: $0) }
    let isWhole = all.count == 1 && parts[0] == nil
    guard let place = isWhole ? 0 : parts.firstIndex(of: part) else {
      throw FileError.missing(
        files.container.path,
        "has no \(part)_32x32.mat" + DataPart.only(of: Set(parts.compactMap { $0 })))
    }
    if let other = parts.lastIndex(of: part), other != place {
      throw FileError(files.container.path, "holds both \(all[place]) and \(all[other]): give one of them")
    }
    let dataset = try MatlabDataset(files.container.hold(all[place]))
    let keys = [files.container.unpacked(all[place]), dataset.unpacked]
    let unpacked = Unpacked.note(keys.compactMap { $0 })
    let leftOut = files.leftOut(isWhole ? all : zip(all, parts).filter { $0.1 != nil }.map { $0.0 })
    return OpenedData(
      dataset, part: isWhole ? nil : part, notes: [unpacked, leftOut].compactMap { $0 }, kind: "SVHN")
  }

  /// - Throws: `FileError`.
  init(_ file: FileContent) throws {
    let arrays = try MatlabFile.arrays(file)
    guard let images = arrays["X"], images.dimensions.count == 4 || images.dimensions.count == 3 else {
      throw FileError(file.path, "has no array 'X' of bytes [height, width, channels, images]")
    }
    let sizes = images.dimensions + (images.dimensions.count == 3 ? [1] : [])
    guard sizes[2] == 1 || sizes[2] == 3, !sizes.contains(0) else {
      throw FileError(file.path, "has an array 'X' of \(sizes), expected [height, width, 1 or 3, images]")
    }
    let plane = sizes[0] * sizes[1]
    strides = ImageStrides(
      count: sizes[3], shape: ImageShape(height: sizes[0], width: sizes[1], channels: sizes[2]),
      image: plane * sizes[2], row: 1, column: sizes[0], channel: plane)
    self.images = images.values
    unpacked = images.unpacked
    guard let digits = arrays["y"] else {
      labels = []
      return
    }
    labels = try digits.values.withBytes { $0.map { $0 == 10 ? 0 : $0 } }
    if labels.count != sizes[3] {
      throw FileError(file.path, "has \(labels.count) labels for \(counted(sizes[3], "image"))")
    }
    if let label = labels.first(where: { $0 > 9 }) {
      throw FileError(file.path, "has the label \(label), expected 1 to 10")
    }
  }

  func label(_ index: Int) -> Int? { labels.isEmpty ? nil : Int(labels[index]) }
  func source(_ index: Int) -> String { "\(images.path)#\(index)" }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    try images.withBytes { strides.copy(index, of: $0, into: pixels) }
    return []
  }
}

/// The arrays of bytes in a file of version 5: a header of 128 bytes, and then elements of a type, a length and
/// a content, which may be compressed by itself.
enum MatlabFile {
  struct Values {
    let dimensions: [Int]
    let values: FileContent
    /// What it is in memory as, if it was compressed.
    var unpacked: Unpacked.Key?
  }

  private static let largestElement = 4 << 30
  private enum Kind { static let bytes = 2, compressed = 15, array = 14 }

  /// - Throws: `FileError` if an element is damaged. Arrays of other values than bytes are passed over.
  static func arrays(_ file: FileContent) throws -> [String: Values] {
    let start = file.prefix(128)
    if start.starts(with: "MATLAB 7.3".utf8) {
      throw FileError(file.path, "is of MATLAB's version 7.3, expected 5: save it with '-v7'")
    }
    guard start.count == 128, start.starts(with: "MATLAB 5.0".utf8), start[126...].elementsEqual("IM".utf8)
    else {
      throw FileError(file.path, "is not a .mat file of version 5")
    }
    var arrays: [String: Values] = [:]
    var at = 128
    while at < file.count {
      let element = try Element(file, at)
      let content = file.part(element.content, path: file.path)
      let key = try element.kind == Kind.compressed ? key(content) : nil
      let array =
        try key.map { try unpack(content, $0) } ?? file.part(at..<element.content.upperBound, path: file.path)
      // Whatever else there is would only take memory.
      if let (name, values) = try read(array), name == "X" || name == "y" {
        arrays[name] = Values(dimensions: values.dimensions, values: values.values, unpacked: key)
      }
      // Compressed elements are not filled up.
      at = element.kind == Kind.compressed ? element.content.upperBound : element.next
    }
    return arrays
  }

  /// What an element is unpacked to: its own first eight bytes say how long it is, and zlib's sum follows it.
  private static func key(_ content: FileContent) throws -> Unpacked.Key {
    let start = try content.withBytes { try Gzip.inflate($0, limit: 8, path: content.path, form: .zlib) }
    if start.count < 8 { throw FileError(content.path, "is damaged: an element ends early") }
    let size = 8 + start[4..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    if size > largestElement {
      throw FileError(content.path, "has an element of \(size) bytes, expected at most \(largestElement)")
    }
    if size > Gzip.largestExpansion(of: content.count) {
      throw FileError(
        content.path, "has \(content.count) compressed bytes, too few for the \(size) it claims")
    }
    let sum = try content.withBytes { $0.suffix(4).reduce(0) { $0 << 8 | Int($1) } }
    return Unpacked.Key(path: content.path, size: size, checksum: sum)
  }

  private static func unpack(_ content: FileContent, _ key: Unpacked.Key) throws -> FileContent {
    try Unpacked.content(key) {
      FileContent(
        try content.withBytes { try Gzip.inflate($0, limit: key.size, path: content.path, form: .zlib) },
        path: content.path)
    }
  }

  /// Flags, dimensions, name and values, each an element.
  private static func read(_ file: FileContent) throws -> (String, Values)? {
    let array = try Element(file, 0)
    if array.kind != Kind.array { return nil }
    var at = array.content.lowerBound
    var parts: [Element] = []
    while parts.count < 4, at < array.content.upperBound {
      parts.append(try Element(file, at))
      at = parts.last!.next
    }
    guard parts.count == 4 else { return nil }
    let dimensions = try file.withBytes { bytes in
      stride(from: parts[1].content.lowerBound, through: parts[1].content.upperBound - 4, by: 4).map {
        place in
        Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: Int32.self)))
      }
    }
    let name = try file.withBytes { String(decoding: $0[parts[2].content].prefix(64), as: UTF8.self) }
    let values = parts[3]
    if values.kind != Kind.bytes {
      if name == "y" { throw FileError(file.path, "has labels 'y' that are not bytes: save them as uint8") }
      return nil
    }
    var count = 1
    for dimension in dimensions {
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      if dimension < 0 || overflow {
        throw FileError(file.path, "claims impossible dimensions \(dimensions)")
      }
      count = product
    }
    if count != values.content.count || dimensions.count > 8 {
      throw FileError(file.path, "has \(values.content.count) values of '\(name)', expected \(count)")
    }
    return (name, Values(dimensions: dimensions, values: file.part(values.content, path: file.path)))
  }

  private struct Element {
    let kind: Int
    let content: Range<Int>
    /// Where the next one begins, at a multiple of eight bytes from the first.
    let next: Int

    init(_ file: FileContent, _ start: Int) throws {
      let ends = FileError(file.path, "is damaged: an element ends early")
      guard start >= 0, start <= file.count - 8 else { throw ends }
      let (first, second) = try file.withBytes { bytes in
        (
          Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))),
          Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self)))
        )
      }
      // A small one has its length in the upper half of its type, and up to four bytes in place of the length.
      let isSmall = first >> 16 != 0
      kind = first & 0xFFFF
      let size = isSmall ? first >> 16 : second
      let from = start + (isSmall ? 4 : 8)
      if isSmall && size > 4 || size > file.count - from { throw ends }
      content = from..<from + size
      next = isSmall ? start + 8 : from + (size + 7) / 8 * 8
    }
  }
}
