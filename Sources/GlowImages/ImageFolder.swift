import Foundation
import GlowFiles

/// A folder of PNG files: all in it, or one folder a class, either way possibly within train/ and test/.
///
/// Images are in the order of their names, class by class. CelebA's list of attributes is used if it stands in
/// the folder of the images or in the one above.
public struct ImageFolderDataset: Dataset {
  public let shape: ImageShape
  public let classNames: [String]
  public var count: Int { files.count }
  public var attributeNames: [String] { attributeTable?.names ?? [] }

  /// The part that was asked for, or nil if the folder has no parts.
  let part: DataPart?
  /// What the first file holds, before any resizing.
  let firstShape: ImageShape

  private struct File {
    /// Below `base`: "a.png" or "cat/a.png".
    let name: String
    let label: Int?
  }

  private struct AttributeTable {
    let names: [String]
    /// One row an image of this data set.
    let rows: [[Bool]]
  }

  private let base: String
  private let files: [File]
  private let resizer: Resizer?
  private let attributeTable: AttributeTable?

  /// - Parameter names: what is in `folder`.
  /// - Throws: `FileError`.
  init(folder: String, names: [String], part: DataPart, resizer: Resizer?) throws {
    let parts = DataPart.allCases.filter {
      names.contains($0.rawValue) && isFolder("\(folder)/\($0.rawValue)")
    }
    self.part = parts.isEmpty ? nil : part
    if !parts.isEmpty && !parts.contains(part) {
      throw FileError(folder, "has a folder '\(parts[0].rawValue)' but no folder '\(part.rawValue)'")
    }
    base = parts.isEmpty ? folder : "\(folder)/\(part.rawValue)"
    (files, classNames) = try Self.findFiles(
      base: base, allBases: parts.isEmpty ? [folder] : parts.map { "\(folder)/\($0.rawValue)" })
    if files.isEmpty { throw FileError(base, Self.nothingFound(in: try list(base))) }

    let first = try PNG.shape(ofFile: "\(base)/\(files[0].name)")
    firstShape = first
    shape = resizer?.shape(first) ?? first
    self.resizer = resizer
    attributeTable = try Self.readAttributes(base: base, files: files)
  }

  public func label(_ index: Int) -> Int? { files[index].label }
  public func attributes(_ index: Int) -> [Bool]? { attributeTable?.rows[index] }
  public func source(_ index: Int) -> String { "\(base)/\(files[index].name)" }

  public func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws {
    let path = source(index)
    try MappedFile(path).withBytes { bytes in
      try check(PNG.shape(of: bytes, path: path), path: path)
      if let resizer {
        _ = pixels.update(fromContentsOf: resizer.resize(try PNG.decode(bytes, path: path)).pixels)
      } else {
        try PNG.decode(bytes, path: path, into: pixels)
      }
    }
  }

  public func checkAll() throws {
    for index in 0..<count { try check(PNG.shape(ofFile: source(index)), path: source(index)) }
  }

  private func check(_ found: ImageShape, path: String) throws {
    if found.channels != shape.channels {
      let names = [1: "grey", 3: "RGB"]
      throw FileError(
        path, "is \(names[found.channels]!), expected \(names[shape.channels]!) like \(source(0))")
    }
    if resizer == nil && found != shape {
      throw FileError(
        path, "is \(found), expected \(shape) like \(source(0)); bring all to one size with --image-size N")
    }
  }

  // MARK: Finding the files

  /// - Parameter allBases: the folders of all parts, whose classes are numbered together.
  private static func findFiles(base: String, allBases: [String]) throws -> ([File], [String]) {
    let flat = pngNames(try list(base))
    let classes = Set(try allBases.flatMap(classFolders)).sorted()
    if !flat.isEmpty && !classes.isEmpty {
      throw FileError(
        base, "holds images, such as \(flat[0]), and also folders of images, such as \(classes[0])")
    }
    if classes.isEmpty { return (flat.map { File(name: $0, label: nil) }, []) }
    let files = try classes.enumerated().flatMap { label, name in
      isFolder("\(base)/\(name)")
        ? pngNames(try list("\(base)/\(name)")).map { File(name: "\(name)/\($0)", label: label) } : []
    }
    return (files, classes)
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

  private static func readAttributes(base: String, files: [File]) throws -> AttributeTable? {
    let paths = ["\(base)/\(AttributeList.fileName)", "\(base)/../\(AttributeList.fileName)"]
    guard let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) }) else { return nil }
    let (names, rows) = try MappedFile(path).withBytes { try AttributeList.parse($0, path: path) }
    // CelebA lists .jpg files; they may have been converted, so the extension does not count.
    let table = Dictionary(rows.map { (withoutExtension($0.file), $0.values) }) { first, _ in first }
    let found = try files.map { file in
      guard let values = table[withoutExtension(file.name)] else {
        throw FileError(path, "has no line for \(file.name)")
      }
      return values
    }
    return AttributeTable(names: names, rows: found)
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
