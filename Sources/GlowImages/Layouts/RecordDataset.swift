import Foundation
import GlowFiles

/// Images in TensorFlow's records, as the original Glow reads CelebA-HQ and ImageNet: each a `tf.train.Example` with `shape`
/// [height, width, channels], `data`, and perhaps `label` and `attr`: CelebA's attributes, 1 or −1 (or 0) each. Progressive GAN's
/// have the shape [channels, height, width]. Where names have a level of resolution, "train-r06-s-0000-of-0120.tfrecords",
/// images are 2 to its power wide.
///
/// Records are indexed when the files are opened; the checksum of a record's content is looked at when it is read.
struct RecordDataset: Dataset {
  let shape: ImageShape
  let count: Int
  let classNames: [String]
  /// CelebA's where there are as many, else numbers; none unless every image has the same number of attributes.
  let attributeNames: [String]
  private let records: [Record]
  private let files: [FileContent]

  private struct Record {
    let file: Int
    let place: Int
    /// The whole content, and the image in it.
    let content: Range<Int>
    let pixels: Range<Int>
    let isPlanar: Bool
    let label: Int
    let attributes: [Bool]
  }

  static func sets(_ files: DataFiles) -> [[String]] {
    let names = files.others.filter { DataFiles.split($0).name.contains("tfrecord") }
    return names.isEmpty || files.hasImages ? [] : [names]
  }

  static func open(_ files: DataFiles, part: DataPart, options: DataOptions) throws -> OpenedData? {
    guard let all = sets(files).first else { return nil }
    let parts = all.map(FolderName.partOfFile)
    let found = Set(parts.compactMap { $0 })
    let chosen = part.chosen(among: found)
    let ofPart = found.isEmpty ? all : zip(all, parts).filter { $0.1 == chosen }.map { $0.0 }
    if ofPart.isEmpty {
      throw FileError.missing(
        files.container.path, "has no records of the part '\(part)'" + DataPart.only(of: found))
    }
    let (own, resolution) = ofOneResolution(ofPart, options)
    let dataset = try RecordDataset(own.map { try files.container.hold($0) })
    let notes = [
      Unpacked.note(own.compactMap { files.container.unpacked($0) }),
      found.isEmpty || chosen == part ? nil : "\(chosen) is taken for \(part)", resolution,
      dataset.records.contains(where: \.isPlanar) ? "records hold [channels, height, width]" : nil,
      // Those of other parts are where they belong; what says no part is in none.
      files.leftOut(found.isEmpty ? all : zip(all, parts).filter { $0.1 != nil }.map { $0.0 }),
    ]
    return OpenedData(
      dataset, part: found.isEmpty ? nil : chosen, notes: notes.compactMap { $0 }, kind: "TFRecord")
  }

  /// Those files whose images are as large as is wanted, or the next larger ones; the largest where nothing is wanted, or where
  /// none is as large.
  ///
  /// - Returns: what was taken, too, if there are several sizes.
  private static func ofOneResolution(
    _ names: [String], _ options: DataOptions
  ) -> (names: [String], note: String?) {
    let levels = names.map { $0.firstMatch(of: /-r([0-9]{2})[-.]/).flatMap { Int($0.1) } }
    let all = Set(levels.compactMap { $0 }).sorted()
    guard all.count > 1, let largest = all.last else { return (names, nil) }
    func name(_ level: Int) -> String { String(format: "r%02d", level) }
    let wanted = options.imageSize ?? options.crop ?? options.modelShape?.height
    let chosen = wanted.flatMap { size in all.first { 1 << min($0, 30) >= size } } ?? largest
    return (
      zip(names, levels).filter { $0.1 == nil || $0.1 == chosen }.map { $0.0 },
      "\(name(chosen)) is taken of the resolutions \(all.map(name).joined(separator: ", "))"
        + (wanted == nil ? ", see --image-size" : "")
    )
  }

  /// - Throws: `FileError` if a record is damaged, or its image has another shape than the first one.
  init(_ files: [FileContent]) throws {
    var records: [Record] = []
    var first: ImageShape?
    for (number, file) in files.enumerated() {
      try file.withBytes { bytes in
        var at = 0
        while at < bytes.count {
          let place = records.count
          let content = try Self.content(bytes, at, path: file.path)
          let example = try Example(bytes, content, path: "\(file.path)#\(place)")
          var sizes = example.shape
          let isPlanar = sizes.count == 3 && [1, 3].contains(sizes[0]) && ![1, 3].contains(sizes[2])
          if isPlanar { sizes = [sizes[1], sizes[2], sizes[0]] }
          guard sizes.count == 3, sizes[2] == 1 || sizes[2] == 3, sizes[0] > 0, sizes[1] > 0,
            max(sizes[0], sizes[1]) <= PNG.maximumSide
          else {
            throw FileError("\(file.path)#\(place)", "has shape \(sizes), expected [height, width, 1 or 3]")
          }
          let found = ImageShape(height: sizes[0], width: sizes[1], channels: sizes[2])
          if found.count != example.data.count {
            throw FileError(
              "\(file.path)#\(place)",
              "has \(example.data.count) bytes of data, expected \(found.count) for \(found)")
          }
          if let first, first != found {
            throw FileError("\(file.path)#\(place)", "is \(found), expected \(first) like the first")
          }
          first = found
          records.append(
            Record(
              file: number, place: place, content: content, pixels: example.data, isPlanar: isPlanar,
              label: example.label ?? -1,
              attributes: example.attributes))
          at = content.upperBound + 4
        }
      }
    }
    guard let shape = first else { throw FileError(files[0].path, "holds no records") }
    self.shape = shape
    self.records = records
    self.files = files
    count = records.count
    let labels = records.map(\.label)
    let hasLabels = labels.allSatisfy { (0...JoinedDataset.largestLabel).contains($0) }
    // The original gives every image the label 0 where there are no classes.
    classNames = hasLabels && labels.max()! > 0 ? (0...labels.max()!).map(String.init) : []
    let attributes = records[0].attributes.count
    attributeNames =
      !records.allSatisfy { $0.attributes.count == attributes }
      ? [] : attributes == celebANames.count ? celebANames : (0..<attributes).map(String.init)
  }

  func label(_ index: Int) -> Int? { classNames.isEmpty ? nil : records[index].label }
  func attributes(_ index: Int) -> [Bool]? { attributeNames.isEmpty ? nil : records[index].attributes }
  func source(_ index: Int) -> String { "\(files[records[index].file].path)#\(records[index].place)" }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    let record = records[index]
    try files[record.file].withBytes { bytes in
      try Self.verify(bytes, record.content, path: source(index))
      let stored = UnsafeRawBufferPointer(rebasing: bytes[record.pixels])
      (record.isPlanar ? planar : interleaved).copy(0, of: stored, into: pixels)
    }
    return []
  }

  private var interleaved: ImageStrides {
    ImageStrides(
      count: 1, shape: shape, image: 0, row: shape.width * shape.channels, column: shape.channels, channel: 1)
  }

  private var planar: ImageStrides {
    ImageStrides(
      count: 1, shape: shape, image: 0, row: shape.width, column: 1, channel: shape.height * shape.width)
  }

  func check(_ index: Int) throws -> ImageTraits {
    let record = records[index]
    try files[record.file].withBytes { try Self.verify($0, record.content, path: source(index)) }
    return []
  }

  // MARK: Records

  /// A record is its content's length in 8 bytes, their checksum, the content, and its checksum.
  private static func content(_ bytes: UnsafeRawBufferPointer, _ at: Int, path: String) throws -> Range<Int> {
    guard bytes.count - at >= 16 else { throw FileError(path, "ends within a record, at byte \(at)") }
    let length = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    if RecordChecksum.of(bytes[at..<at + 8]) != stored(bytes, at + 8) {
      throw FileError(path, "is damaged: the checksum of the length at byte \(at) is wrong")
    }
    if length > UInt64(bytes.count - at - 16) { throw FileError(path, "ends within a record, at byte \(at)") }
    return at + 12..<at + 12 + Int(length)
  }

  private static func verify(_ bytes: UnsafeRawBufferPointer, _ content: Range<Int>, path: String) throws {
    if RecordChecksum.of(bytes[content]) != stored(bytes, content.upperBound) {
      throw FileError(path, "is damaged: its checksum is wrong")
    }
  }

  private static func stored(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
  }
}

/// The attributes of CelebA (Liu et al. 2015) in the order of its list.
private let celebANames = """
  5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair Blurry \
  Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male \
  Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks \
  Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace \
  Wearing_Necktie Young
  """.split(separator: " ").map(String.init)

/// CRC-32 with Castagnoli's polynomial, rotated by 15 bits plus a constant, as TensorFlow keeps it.
enum RecordChecksum {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0x82F6_3B78 : sum >> 1 }
  }

  static func of(_ bytes: Slice<UnsafeRawBufferPointer>) -> UInt32 {
    let sum = table.withUnsafeBufferPointer { table in
      ~bytes.reduce(UInt32.max) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }
    return (sum >> 15 | sum << 17) &+ 0xA282_EAD8
  }
}

/// The features of a `tf.train.Example` that make an image: a protocol buffer of a map from names to lists.
private struct Example {
  private(set) var shape: [Int] = []
  private(set) var data = 0..<0
  private(set) var label: Int?
  private(set) var attributes: [Bool] = []

  init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, path: String) throws {
    // Example { 1: Features { 1: entry { 1: key, 2: Feature { 1: bytes list | 3: numbers } } } }
    for features in try Self.fields(bytes, range, 1, path) {
      for entry in try Self.fields(bytes, features, 1, path) {
        guard let key = try Self.fields(bytes, entry, 1, path).last,
          let feature = try Self.fields(bytes, entry, 2, path).last
        else { continue }
        switch String(decoding: bytes[key].prefix(16), as: UTF8.self) {
        case "shape": shape = try Self.numbers(bytes, feature, path)
        case "label": label = try Self.numbers(bytes, feature, path).first
        case "attr": attributes = try Self.numbers(bytes, feature, path, most: 256).map { $0 > 0 }
        case "data":
          data =
            try Self.fields(bytes, feature, 1, path).last.flatMap {
              try Self.fields(bytes, $0, 1, path).first
            } ?? 0..<0
        default: break
        }
      }
    }
  }

  /// The contents of the fields of this number that have a length.
  private static func fields(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ number: Int, _ path: String
  ) throws -> [Range<Int>] {
    var reader = Reader(bytes: bytes, at: range.lowerBound, end: range.upperBound, path: path)
    var found: [Range<Int>] = []
    while reader.at < reader.end {
      let (field, content) = try reader.next()
      if field == number, case .length(let range) = content { found.append(range) }
    }
    return found
  }

  /// The first `most` of whole numbers, which stand one by one or packed.
  private static func numbers(
    _ bytes: UnsafeRawBufferPointer, _ feature: Range<Int>, _ path: String, most: Int = 8
  ) throws -> [Int] {
    var found: [Int] = []
    for list in try fields(bytes, feature, 3, path) {
      var reader = Reader(bytes: bytes, at: list.lowerBound, end: list.upperBound, path: path)
      while reader.at < reader.end, found.count < most {
        switch try reader.next() {
        case (1, .number(let value)): found.append(value)
        case (1, .length(let range)):
          var packed = Reader(bytes: bytes, at: range.lowerBound, end: range.upperBound, path: path)
          while packed.at < packed.end, found.count < most { found.append(try packed.number()) }
        default: break
        }
      }
    }
    return found
  }

  private struct Reader {
    enum Content {
      case number(Int)
      case length(Range<Int>)
      case other
    }

    let bytes: UnsafeRawBufferPointer
    var at: Int
    let end: Int
    let path: String

    private var damaged: FileError { FileError(path, "is damaged: it is not a tf.train.Example") }

    mutating func number() throws -> Int {
      var value: UInt64 = 0
      for shift in stride(from: UInt64(0), to: 64, by: 7) {
        guard at < end else { throw damaged }
        let byte = bytes[at]
        at += 1
        value |= UInt64(byte & 0x7F) << shift
        if byte < 0x80 { return Int(truncatingIfNeeded: value) }
      }
      throw damaged
    }

    mutating func next() throws -> (field: Int, content: Content) {
      let key = try number()
      let field = key >> 3
      switch key & 7 {
      case 0: return (field, .number(try number()))
      case 1, 5:
        let size = key & 7 == 1 ? 8 : 4
        if size > end - at { throw damaged }
        at += size
        return (field, .other)
      case 2:
        let size = try number()
        if size < 0 || size > end - at { throw damaged }
        defer { at += size }
        return (field, .length(at..<at + size))
      default: throw damaged
      }
    }
  }
}
