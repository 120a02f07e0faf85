import GlowFiles

/// Images and labels in the IDX format of MNIST, plain or compressed with gzip: a big-endian header of a magic
/// number and the dimensions, and then bytes (LeCun, Cortes & Burges 1998).
public struct IDXDataset: Dataset {
  public let shape: ImageShape
  public let count: Int
  public let classNames: [String]

  private let images: IDXFile
  private let labels: [UInt8]

  static func recognizes(_ names: [String]) -> Bool {
    DataPart.allCases.contains { fileName(imagesName($0), among: names) != nil }
  }

  /// - Parameter names: the files in `folder`.
  /// - Throws: `FileError` if a file is missing or is not what its header says.
  init(folder: String, names: [String], part: DataPart) throws {
    guard let name = Self.fileName(Self.imagesName(part), among: names) else {
      throw FileError(folder, "has no \(Self.imagesName(part)) and no \(Self.imagesName(part)).gz")
    }
    images = try IDXFile("\(folder)/\(name)", magic: 0x803)
    count = images.dimensions[0]
    shape = ImageShape(height: images.dimensions[1], width: images.dimensions[2], channels: 1)
    if images.dimensions.contains(0) {
      throw FileError(images.path, "holds \(count) images of \(shape), expected at least one value")
    }
    guard let labelsName = Self.fileName(Self.labelsName(part), among: names) else {
      labels = []
      classNames = []
      return
    }
    let file = try IDXFile("\(folder)/\(labelsName)", magic: 0x801)
    if file.dimensions[0] != count {
      throw FileError(file.path, "has \(file.dimensions[0]) labels for \(count) images in \(name)")
    }
    labels = try file.withValues { Array($0) }
    // Ten digits, even where a small part does not show all of them.
    classNames = (0...max(9, Int(labels.max() ?? 0))).map(String.init)
  }

  public func label(_ index: Int) -> Int? { labels.isEmpty ? nil : Int(labels[index]) }

  public func source(_ index: Int) -> String { "\(images.path)#\(index)" }

  public func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws {
    precondition((0..<count).contains(index))
    try images.withValues { values in
      UnsafeMutableRawBufferPointer(pixels).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: values[index * shape.count..<(index + 1) * shape.count]))
    }
  }

  private static func imagesName(_ part: DataPart) -> String { "\(prefix(part))-images-idx3-ubyte" }
  private static func labelsName(_ part: DataPart) -> String { "\(prefix(part))-labels-idx1-ubyte" }
  private static func prefix(_ part: DataPart) -> String { part == .train ? "train" : "t10k" }

  private static func fileName(_ name: String, among names: [String]) -> String? {
    [name, "\(name).gz"].first(where: names.contains)
  }
}

/// One IDX file of bytes whose length agrees with its header.
struct IDXFile: Sendable {
  let path: String
  let dimensions: [Int]

  private enum Content {
    case mapped(MappedFile)
    case inflated([UInt8])
  }

  private let content: Content
  private let headerSize: Int

  /// - Parameter magic: 0x801 for a list of bytes, 0x803 for bytes in three dimensions.
  /// - Throws: `FileError`.
  init(_ path: String, magic: Int) throws {
    self.path = path
    let file = try MappedFile(path)
    let isCompressed = path.hasSuffix(".gz")
    let rank = magic & 0xFF
    let headerSize = 4 + 4 * rank
    let header = try file.withBytes { bytes in
      isCompressed
        ? try Gzip.inflate(bytes, limit: headerSize, path: path) : Array(bytes.prefix(headerSize))
    }
    dimensions = try Self.parse(header, magic: magic, rank: rank, path: path)
    let size = try Self.fileSize(dimensions, path: path)
    let found: Int
    if isCompressed {
      // Checked before the content is allocated: a few bytes must not ask for a gigabyte.
      if size > Gzip.largestExpansion(of: file.count) {
        throw FileError(path, "has \(file.count) compressed bytes, too few for the \(size) its header claims")
      }
      // One byte more than expected, so that a longer stream is noticed and a whole one is read to its checksum.
      let bytes = try file.withBytes { try Gzip.inflate($0, limit: size + 1, path: path) }
      content = .inflated(bytes)
      found = bytes.count
    } else {
      content = .mapped(file)
      found = file.count
    }
    if found != size {
      let amount = isCompressed && found > size ? "more than \(size)" : "\(found)"
      throw FileError(path, "has \(amount) bytes, expected \(size) from its header")
    }
    self.headerSize = headerSize
  }

  /// Calls `body` with the bytes after the header.
  func withValues<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
    switch content {
    case .mapped(let file):
      try file.withBytes { try body(UnsafeRawBufferPointer(rebasing: $0.dropFirst(headerSize))) }
    case .inflated(let bytes):
      try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0.dropFirst(headerSize))) }
    }
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
