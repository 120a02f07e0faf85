import GlowFiles

/// All files of a container, listed once, for the layouts to recognize theirs among them.
struct DataFiles {
  let container: any Container
  let names: NameList
  /// Those whose names are not those of images: few, where there are many images.
  let others: [String]
  /// Whether there are so many images that an array or an archive beside them is not the data.
  var hasImages: Bool { imageCount > Self.fewImages }
  let imageCount: Int
  private let firstImage: String?

  /// So many may have come beside an array or an archive, to show what is in it.
  private static let fewImages = 16

  /// - Throws: `FileError`.
  init(_ container: any Container) throws {
    self.container = container
    let names = try container.list()
    self.names = names
    let kinds = (0..<names.count).map { ImageFile.kind(names.bytes($0)) }
    others = (0..<names.count).filter { kinds[$0] == nil }.map { names[$0] }
    imageCount = kinds.count { $0 == .read }
    firstImage = kinds.firstIndex(of: .read).map { names[$0] }
  }

  /// Files by their names without folders, where these fit; all must stand in one folder, or in folders that differ only in the
  /// part that they are of, or a piece of it: "Imagenet64_train_part1_npz".
  ///
  /// - Throws: `FileError` if they do not, or if files of one name cannot be told apart by parts.
  func matching(_ fits: (Substring) -> Bool) throws -> [String] {
    let found = others.filter { fits(Self.split($0).name) }
    if found.isEmpty { return [] }
    var first: [String: String] = [:]
    let kind = Self.kind(ofFolder: found[0])
    for name in found {
      let (folder, last) = Self.split(name)
      let part = FolderName.partOfAnyWord(folder).map { "\($0)" } ?? ""
      let twin = first.updateValue(name, forKey: "\(part)/\(last)")
      if let other = twin ?? (Self.kind(ofFolder: name) == kind ? nil : found[0]) {
        throw FileError(
          container.path, "holds more than one data set, such as \(other) and \(name): give one of them")
      }
    }
    return found
  }

  /// Sees to it that there is one data set only.
  ///
  /// - Parameter sets: the names of the files of each data set that is there; the first one is taken.
  /// - Returns: what may be data too in the same folder, for a person to read; nil if nothing may.
  /// - Throws: `FileError` if there is another one in another folder.
  func besideFirst(of sets: [[String]]) throws -> String? {
    guard let first = sets.first, sets.count > 1 else { return nil }
    func folders(_ names: [String]) -> Set<Substring> { Set(names.map { Self.split($0).folder }) }
    for other in sets.dropFirst() where folders(other).isDisjoint(with: folders(first)) {
      throw FileError(
        container.path, "holds more than one data set, such as \(first[0]) and \(other[0]): give one of them")
    }
    return Self.leftOutToo(sets.dropFirst().flatMap { $0 })
  }

  /// A file's folder without what tells the folders of one data set apart.
  private static func kind(ofFolder name: String) -> [String] {
    split(name).folder.split(separator: "/").map { folder in
      let name = Array(folder.utf8)[...]
      guard let (_, rest) = FolderName.wordOfPart(name) else { return FolderName.withoutPiece(name) }
      return rest.joined(separator: " ")
    }
  }

  /// What is not among `used`, for a person to read; nil if that is nothing.
  func leftOut(_ used: [String]) -> String? {
    let used = Set(used)
    var leftOut = container.leftOut
    leftOut.add(kind: LeftOut.hidden, names.hiddenCount)
    for index in 0..<names.count where !used.contains(names[index]) { leftOut.add(names.bytes(index)) }
    guard let note = leftOut.note, let firstImage else { return leftOut.note }
    return note + "; images such as \(firstImage) are not the data here: a folder of their own opens them"
  }

  /// What may be data by itself where images are taken; nil if there is nothing.
  var passedOver: String? {
    let found = others.filter { Self.isArchive($0) || Self.isArray($0) }
    return found.isEmpty ? nil : Self.leftOutToo(found)
  }

  private static func leftOutToo(_ names: [String]) -> String {
    "\(names[0])\(names.count == 1 ? "" : " and \((names.count - 1).grouped) more") may be data too, and "
      + "\(names.count == 1 ? "is" : "are") left out: give it by itself to open it"
  }

  static func isArchive(_ name: String) -> Bool {
    ["zip", "tar", "tgz"].contains(ImageFile.suffix(Array(name.utf8)[...]))
      || name.lowercased().hasSuffix(".tar.gz")
  }

  /// Whether it holds many images in one file that is no archive.
  private static func isArray(_ name: String) -> Bool {
    ["npy", "npz", "mat"].contains(ImageFile.suffix(Array(name.utf8)[...])) || name.contains("tfrecord")
  }

  /// A name's folder, "a/b/" or "", and what follows.
  static func split(_ name: String) -> (folder: Substring, name: Substring) {
    guard let slash = name.lastIndex(of: "/") else { return ("", name[...]) }
    return (name[...slash], name[name.index(after: slash)...])
  }
}
