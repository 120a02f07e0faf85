import Foundation
import GlowFiles

/// Classes that stand beside each image, as in WebDataset's shards: `0001.jpg` and `0001.cls`, a number in digits, or
/// `0001.json` with a number or a name under `cls` or `label`.
struct LabelFiles {
  /// What their names end in: "cls" or "json".
  let suffix: String
  private let container: any Container
  /// By what the names of an image and of its label begin with, up to the first point after the folder.
  private let labels: [ArraySlice<UInt8>: Label]
  let classNames: [String]
  /// Of each sample that has several images, the one that is taken: `0001.jpg`, not `0001.seg.png`.
  private let main: [ArraySlice<UInt8>: ArraySlice<UInt8>]

  private enum Label {
    case number(Int)
    case name(String)

    var text: String {
      switch self {
      case .number(let number): String(number)
      case .name(let name): name
      }
    }
  }

  private static let largestFile = 1 << 20

  /// - Returns: nil if no label stands beside an image.
  /// - Throws: `FileError` of a label that cannot be understood.
  init?(_ files: NameList, in container: any Container) throws {
    let candidates = (0..<files.count).filter { ["cls", "json"].contains(ImageFile.suffix(files.bytes($0))) }
    if candidates.isEmpty { return nil }
    let imageNames = (0..<files.count).map { files.bytes($0) }.filter { ImageFile.kind($0) == .read }
    let samples = Dictionary(grouping: imageNames, by: Self.key)
    func beside(_ suffix: String) -> [ArraySlice<UInt8>] {
      candidates.map { files.bytes($0) }.filter {
        ImageFile.suffix($0) == suffix && samples[Self.key($0)] != nil
      }
    }
    for suffix in ["cls", "json"] {
      let names = beside(suffix)
      // Other things are kept in .json files too.
      guard let first = names.first, try suffix == "cls" || Self.label(first, in: container) != nil else {
        continue
      }
      var labels: [ArraySlice<UInt8>: Label] = [:]
      for name in names {
        guard let label = try Self.label(name, in: container) else {
          throw FileError(container.path(of: name), "holds no 'cls' or 'label' like the others")
        }
        labels[Self.key(name)] = label
      }
      (self.suffix, self.container, self.labels) = (suffix, container, labels)
      classNames = try Self.classNames(labels.values, container)
      main = try samples.filter { $1.count > 1 }.mapValues { try Self.main($0, container) }
      return
    }
    return nil
  }

  /// The class of each image.
  ///
  /// - Throws: `FileError` of an image without one.
  func labels(of names: NameList) throws -> [UInt32] {
    let places = Dictionary(uniqueKeysWithValues: classNames.enumerated().map { ($1, UInt32($0)) })
    return try (0..<names.count).map { index in
      guard let label = labels[Self.key(names.bytes(index))] else {
        throw FileError(container.path(of: names.bytes(index)), "has no .\(suffix) beside it, as others have")
      }
      return places[label.text]!
    }
  }

  /// Whether an image is one of several of its sample, and not the one that is taken.
  func isExtra(_ name: ArraySlice<UInt8>) -> Bool { main[Self.key(name)].map { $0 != name } ?? false }

  /// The image of a sample whose name has one point.
  ///
  /// - Throws: `FileError` if that is none, or several.
  private static func main(
    _ names: [ArraySlice<UInt8>], _ container: any Container
  ) throws -> ArraySlice<UInt8> {
    let plain = names.filter { name in
      !name.dropFirst(key(name).count + 1).contains(UInt8(ascii: "."))
    }
    if plain.count == 1 { return plain[0] }
    throw FileError(
      container.path(of: names[0]),
      "and \(RawPath.text(names[1])) are images of one sample: it cannot be said which is meant")
  }

  private static func key(_ name: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let start = name.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? name.startIndex
    return name[..<(name[start...].firstIndex(of: UInt8(ascii: ".")) ?? name.endIndex)]
  }

  /// Nil if it is a .json file without a class.
  private static func label(_ name: ArraySlice<UInt8>, in container: any Container) throws -> Label? {
    let file = try container.open(name, largest: largestFile, for: "a class")
    let bytes = try file.withBytes { Data($0) }
    func number(_ number: Int) throws -> Label {
      if !(0...JoinedDataset.largestLabel).contains(number) {
        throw FileError(file.path, "has the label \(number), expected 0 to \(JoinedDataset.largestLabel)")
      }
      return .number(number)
    }
    if ImageFile.suffix(name) == "cls" {
      let text = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
      guard let value = Int(text) else {
        throw FileError(file.path, "holds '\(text.prefix(40))', expected the number of a class")
      }
      return try number(value)
    }
    guard let found = try? JSONSerialization.jsonObject(with: bytes) as? [String: Any] else {
      throw FileError(file.path, "is no JSON object")
    }
    guard let value = found["cls"] ?? found["label"] else { return nil }
    if let value = value as? Int { return try number(value) }
    if let value = value as? String, !value.isEmpty { return .name(value) }
    throw FileError(file.path, "has a class that is neither a number nor a name")
  }

  /// Numbers name all classes up to the largest, for a part may lack one.
  private static func classNames(
    _ labels: some Sequence<Label>, _ container: any Container
  ) throws -> [String] {
    var largest: Int?
    var names: Set<String> = []
    for label in labels {
      switch label {
      case .number(let number): largest = max(largest ?? 0, number)
      case .name(let name): names.insert(name)
      }
    }
    guard let largest else {
      return names.sorted { FolderName.areInOrder(Array($0.utf8)[...], Array($1.utf8)[...]) }
    }
    if let name = names.first {
      throw FileError(container.path, "has both numbers and names, such as '\(name)', for classes")
    }
    return (0...largest).map(String.init)
  }
}
