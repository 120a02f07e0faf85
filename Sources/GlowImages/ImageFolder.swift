import Foundation
import GlowFiles

/// A folder of PNG files: all in it, or one folder a class, either way possibly within train/ and test/.
///
/// Images are in the order of their names' bytes, class by class. CelebA's list of attributes is read, if that is asked
/// for, where it stands in the folder of the images or in the one above.
public struct ImageFolderDataset: Dataset {
  public let shape: ImageShape
  public let classNames: [String]
  public var count: Int { names.count }
  public var attributeNames: [String] { attributeTable?.names ?? [] }

  /// The part that was asked for, or nil if the folder has no parts.
  let part: DataPart?
  /// What is done to the images, for a person to read.
  let note: String?

  private struct AttributeTable {
    let names: [String]
    /// One row an image of this data set.
    let rows: [[Bool]]
  }

  private let base: RawPath
  /// Below `base`: "a.png" or "cat/a.png".
  private let names: NameList
  /// Of each image, if there are classes.
  private let labels: [UInt32]
  private let resizer: Resizer?
  /// What every file must hold unless it has `shape` already; and which file says so.
  private let expected: (shape: ImageShape, like: String)
  /// Of the model that the images are for.
  private let model: ImageShape?
  private let acceptsAnySize: Bool
  private let attributeTable: AttributeTable?

  /// - Parameter names: what is in `folder`.
  /// - Throws: `FileError`.
  init(folder: String, names: NameList, part: DataPart, options: DataOptions) throws {
    let root = RawPath(folder)
    let parts = DataPart.allCases.filter { root.appending($0.rawValue).isFolder }
    self.part = parts.isEmpty ? nil : part
    if !parts.isEmpty && !parts.contains(part) {
      throw FileError(folder, "has a folder '\(parts[0].rawValue)' but no folder '\(part.rawValue)'")
    }
    let contents =
      try parts.isEmpty
      ? [FolderContents(of: root, names: names)]
      : parts.map { try FolderContents(of: root.appending($0.rawValue)) }
    // The classes of all parts are numbered together.
    let classes = Set(contents.flatMap { $0.classes.keys }).sorted { $0.lexicographicallyPrecedes($1) }
    let own = contents[parts.firstIndex(of: part) ?? 0]
    base = own.base
    classNames = classes.map { RawPath.text($0[...]) }
    (self.names, labels) = try own.images(classes)
    if self.names.count == 0 { throw FileError(base.text, Self.nothingFound(in: try base.list())) }

    model = options.modelShape
    acceptsAnySize = options.imageSize != nil
    resizer = options.resizer
    let probe = FolderProbe(base: base, names: self.names)
    expected =
      try model.map { probe.expectation(for: $0, canResize: options.resizer != nil) } ?? probe.first()
    let repeatsGray = model?.channels == 3 && probe.hasGray
    let shape = ImageShape(
      height: expected.shape.height, width: expected.shape.width,
      channels: model?.channels ?? expected.shape.channels)
    self.shape = resizer?.shape(shape) ?? shape
    let notes = [
      repeatsGray ? GrayToRGB.note : nil, resizer?.note(expected.shape),
    ].compactMap { $0 }
    note = notes.isEmpty ? nil : notes.joined(separator: "; ")
    attributeTable = options.readsAttributes ? try Self.readAttributes(base: base, names: self.names) : nil
  }

  public func label(_ index: Int) -> Int? { labels.isEmpty ? nil : Int(labels[index]) }
  public func attributes(_ index: Int) -> [Bool]? { attributeTable?.rows[index] }
  public func source(_ index: Int) -> String { base.appending(names.bytes(index)).text }

  public func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws {
    let file = try base.appending(names.bytes(index)).open()
    try file.withBytes { bytes in
      let found = try PNG.shape(of: bytes, path: file.path)
      try check(found, path: file.path)
      if found == shape { return try PNG.decode(bytes, path: file.path, into: pixels) }
      var image = try PNG.decode(bytes, path: file.path)
      if shape.channels == 3 { image = GrayToRGB.convert(image) }
      _ = pixels.update(fromContentsOf: resizer?.resize(image).pixels ?? image.pixels)
    }
  }

  public func check(_ index: Int) throws {
    let file = try base.appending(names.bytes(index)).open()
    try check(file.withBytes { try PNG.shape(of: $0, path: file.path) }, path: file.path)
  }

  private func check(_ found: ImageShape, path: String) throws {
    let isRepeated = found.channels == 1 && model?.channels == 3
    if found.channels != shape.channels && !isRepeated {
      let names = [1: "gray", 3: "RGB"]
      throw FileError(
        path,
        "is \(names[found.channels]!), expected \(names[shape.channels] ?? "\(shape.channels) channels") like "
          + (model == nil ? expected.like : "the model's images"))
    }
    let wanted = expected.shape
    if acceptsAnySize || found.hasSize(of: shape) || found.hasSize(of: wanted) { return }
    let size = ImageShape(height: wanted.height, width: wanted.width, channels: found.channels)
    throw FileError(
      path,
      "is \(found), expected \(size) like \(expected.like)"
        + (model != nil && resizer == nil ? "" : "; bring all to one size with --image-size N"))
  }

  static func isPNG(_ name: ArraySlice<UInt8>) -> Bool {
    name.suffix(4).first == UInt8(ascii: ".") && name.suffix(3).map { $0 | 0x20 } == Array("png".utf8)
  }

  private static func nothingFound(in names: NameList) -> String {
    if names.count == 0 { return "is empty, expected \(DataSource.recognized)" }
    let other = (0..<names.count).lazy.map { names[$0] }.first { name in
      [".jpg", ".jpeg", ".bmp", ".gif", ".webp"].contains { name.lowercased().hasSuffix($0) }
    }
    let hint = other.map { " (\($0) is not read: convert images to PNG)" } ?? ""
    return "holds nothing that is recognized\(hint), expected \(DataSource.recognized)"
  }

  // MARK: Attributes

  private static func readAttributes(base: RawPath, names: NameList) throws -> AttributeTable? {
    let paths = ["", "../"].map { "\(base.text)/\($0)\(AttributeList.fileName)" }
    guard let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) }) else { return nil }
    let (attributes, rows) = try MappedFile(path).withBytes { try AttributeList.parse($0, path: path) }
    // CelebA lists .jpg files; they may have been converted, so the extension does not count.
    let table = Dictionary(rows.map { (withoutExtension($0.file), $0.values) }) { first, _ in first }
    let found = try (0..<names.count).map { index in
      guard let values = table[withoutExtension(names[index])] else {
        throw FileError(path, "has no line for \(names[index])")
      }
      return values
    }
    return AttributeTable(names: attributes, rows: found)
  }

  private static func withoutExtension(_ name: String) -> Substring {
    name.lastIndex(of: ".").map { name[..<$0] } ?? name[...]
  }
}
