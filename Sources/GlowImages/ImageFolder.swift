import Foundation
import GlowFiles

/// A folder of PNG files: all in it, or one folder a class, either way possibly within train/ and test/.
///
/// Images are in the order of their names, class by class. CelebA's list of attributes is used if it stands in
/// the folder of the images or in the one above.
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

  private let base: String
  /// Below `base`: "a.png" or "cat/a.png".
  private let names: NameList
  /// Of each image, if there are classes.
  private let labels: [UInt32]
  private let resizer: Resizer?
  /// Grey images are repeated in three channels.
  private let repeatsGrey: Bool
  /// What every file must hold, if not any size will do; and which file says so.
  private let expected: (shape: ImageShape, like: String)
  private let acceptsAnySize: Bool
  private let attributeTable: AttributeTable?

  /// - Parameter names: what is in `folder`.
  /// - Throws: `FileError`.
  init(folder: String, names: [String], part: DataPart, options: DataOptions) throws {
    let parts = DataPart.allCases.filter {
      names.contains($0.rawValue) && isFolder("\(folder)/\($0.rawValue)")
    }
    self.part = parts.isEmpty ? nil : part
    if !parts.isEmpty && !parts.contains(part) {
      throw FileError(folder, "has a folder '\(parts[0].rawValue)' but no folder '\(part.rawValue)'")
    }
    base = parts.isEmpty ? folder : "\(folder)/\(part.rawValue)"
    let (names, labels, classNames) = try Self.findFiles(
      base: base, allBases: parts.isEmpty ? [folder] : parts.map { "\(folder)/\($0.rawValue)" })
    if names.count == 0 { throw FileError(base, Self.nothingFound(in: try list(base))) }
    (self.names, self.labels, self.classNames) = (names, labels, classNames)

    expected = try Self.expectation(base: base, names: names, model: options.modelShape)
    repeatsGrey = options.modelShape?.channels == 3 && expected.shape.channels == 1
    acceptsAnySize = options.imageSize != nil
    resizer = options.resizer
    let shape = repeatsGrey ? GreyToRGB.shape(expected.shape) : expected.shape
    self.shape = resizer?.shape(shape) ?? shape
    let notes = [
      repeatsGrey ? GreyToRGB.note : nil, resizer?.note(expected.shape),
    ].compactMap { $0 }
    note = notes.isEmpty ? nil : notes.joined(separator: "; ")
    attributeTable = try Self.readAttributes(base: base, names: names)
  }

  public func label(_ index: Int) -> Int? { labels.isEmpty ? nil : Int(labels[index]) }
  public func attributes(_ index: Int) -> [Bool]? { attributeTable?.rows[index] }
  public func source(_ index: Int) -> String { "\(base)/\(names[index])" }

  public func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws {
    let path = source(index)
    try MappedFile(path).withBytes { bytes in
      let found = try PNG.shape(of: bytes, path: path)
      try check(found, path: path)
      if found == shape { return try PNG.decode(bytes, path: path, into: pixels) }
      var image = try PNG.decode(bytes, path: path)
      if repeatsGrey { image = GreyToRGB.convert(image) }
      _ = pixels.update(fromContentsOf: resizer?.resize(image).pixels ?? image.pixels)
    }
  }

  public func check(_ index: Int) throws {
    try check(PNG.shape(ofFile: source(index)), path: source(index))
  }

  private func check(_ found: ImageShape, path: String) throws {
    if found.channels != expected.shape.channels {
      let names = [1: "grey", 3: "RGB"]
      throw FileError(
        path,
        "is \(names[found.channels]!), expected \(names[expected.shape.channels]!) like \(expected.like)")
    }
    if !acceptsAnySize && (found.height, found.width) != (expected.shape.height, expected.shape.width) {
      throw FileError(
        path,
        "is \(found), expected \(expected.shape) like \(expected.like); bring all to one size with "
          + "--image-size N")
    }
  }

  /// The shape that files must have: that of the first; for a model its own if one of the first files has it, else
  /// that of the first one that can be read.
  private static func expectation(
    base: String, names: NameList, model: ImageShape?
  ) throws -> (shape: ImageShape, like: String) {
    let paths = (0..<min(largestProbe, names.count)).map { "\(base)/\(names[$0])" }
    guard let model else { return (try PNG.shape(ofFile: paths[0]), paths[0]) }
    let found = paths.compactMap { path in
      (try? PNG.shape(ofFile: path)).map { (shape: $0, like: path) }
    }
    return found.first { $0.shape == model } ?? found.first ?? (model, "the model's images")
  }

  private static let largestProbe = 16

  // MARK: Finding the files

  /// - Parameter allBases: the folders of all parts, whose classes are numbered together.
  private static func findFiles(
    base: String, allBases: [String]
  ) throws -> (names: NameList, labels: [UInt32], classNames: [String]) {
    let flat = pngNames(try list(base))
    let classes = Set(try allBases.flatMap(classFolders)).sorted()
    if !flat.isEmpty && !classes.isEmpty {
      throw FileError(
        base, "holds images, such as \(flat[0]), and also folders of images, such as \(classes[0])")
    }
    var names = NameList()
    for name in flat { names.append(name) }
    var labels: [UInt32] = []
    for (label, folder) in classes.enumerated() where isFolder("\(base)/\(folder)") {
      for name in pngNames(try list("\(base)/\(folder)")) {
        names.append("\(folder)/\(name)")
        labels.append(UInt32(label))
      }
    }
    return (names, labels, classes)
  }

  private static func classFolders(_ base: String) throws -> [String] {
    try list(base).filter { name in
      try !isPNG(name) && isFolder("\(base)/\(name)") && !pngNames(list("\(base)/\(name)")).isEmpty
    }
  }

  private static func pngNames(_ names: [String]) -> [String] { names.filter(isPNG) }

  private static func isPNG(_ name: String) -> Bool { name.lowercased().hasSuffix(".png") }

  private static func nothingFound(in names: [String]) -> String {
    if names.isEmpty { return "is empty, expected \(DataSource.recognised)" }
    let other = names.first { name in
      [".jpg", ".jpeg", ".bmp", ".gif", ".webp"].contains { name.lowercased().hasSuffix($0) }
    }
    let hint = other.map { " (\($0) is not read: convert images to PNG)" } ?? ""
    return "holds nothing that is recognised\(hint), expected \(DataSource.recognised)"
  }

  // MARK: Attributes

  private static func readAttributes(base: String, names: NameList) throws -> AttributeTable? {
    let paths = ["\(base)/\(AttributeList.fileName)", "\(base)/../\(AttributeList.fileName)"]
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

/// Names in a folder without the hidden ones, sorted.
///
/// - Throws: `FileError`.
func list(_ folder: String) throws -> [String] {
  do {
    return try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }.sorted()
  } catch {
    throw FileError(folder, "cannot list the folder: \(error.localizedDescription)")
  }
}

func isFolder(_ path: String) -> Bool {
  var isDirectory: ObjCBool = false
  return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
}
