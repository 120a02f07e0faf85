import GlowFiles

/// All files of a container, listed once, for the layouts to recognize theirs among them.
struct DataFiles {
  let container: any Container
  let names: NameList
  /// Those whose names are not those of images: few, where there are many images.
  let others: [String]
  /// Whether there are images too: an array or a table beside them is then not the data.
  let hasImages: Bool

  /// - Throws: `FileError`.
  init(_ container: any Container) throws {
    self.container = container
    let names = try container.list()
    self.names = names
    let kinds = (0..<names.count).map { ImageFile.kind(names.bytes($0)) }
    others = (0..<names.count).filter { kinds[$0] == nil }.map { names[$0] }
    hasImages = kinds.contains { $0 == .read }
  }

  /// Files by their names without folders, where these fit; all must stand in one folder.
  ///
  /// - Throws: `FileError` if they do not.
  func matching(_ fits: (Substring) -> Bool) throws -> [String] {
    let found = others.filter { fits(Self.split($0).name) }
    if let other = found.first(where: { Self.split($0).folder != Self.split(found[0]).folder }) {
      throw FileError(
        container.path, "holds more than one data set, such as \(found[0]) and \(other): give one of them")
    }
    return found
  }

  /// What is not among `used`, for a person to read; nil if that is nothing.
  func leftOut(_ used: [String]) -> String? {
    let used = Set(used)
    var leftOut = container.leftOut
    leftOut.add(kind: LeftOut.hidden, names.hiddenCount)
    for index in 0..<names.count where !used.contains(names[index]) { leftOut.add(names.bytes(index)) }
    return leftOut.note
  }

  /// A name's folder, "a/b/" or "", and what follows.
  static func split(_ name: String) -> (folder: Substring, name: Substring) {
    guard let slash = name.lastIndex(of: "/") else { return ("", name[...]) }
    return (name[...slash], name[name.index(after: slash)...])
  }
}
