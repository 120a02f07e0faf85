/// The names in an archive, which anybody may have written.
enum ArchiveNames {
  /// A name as other containers have it: without "./" before it.
  ///
  /// - Returns: nil for what is passed over: folders, hidden files, what macOS adds, and names that lead out of the
  ///   archive or nowhere.
  static func normalized(_ name: some Collection<UInt8>) -> [UInt8]? {
    if name.isEmpty || name.count > 4096 || name.contains(0) || Array(name).last == slash { return nil }
    var parts = name.split(separator: slash, omittingEmptySubsequences: false).map { Array($0) }
    while parts.count > 1, parts[0] == [point] { parts.removeFirst() }
    if parts.count > 64 || parts.contains(where: { $0.isEmpty || $0[0] == point }) { return nil }
    if parts[0] == Array("__MACOSX".utf8) { return nil }
    return Array(parts.joined(separator: [slash]))
  }

  /// Whether a name leads out of the archive or nowhere, so that what is under it is not read.
  static func isUnsafe(_ name: some Collection<UInt8>) -> Bool {
    let parts = name.split(separator: slash, omittingEmptySubsequences: false)
    return name.isEmpty || name.count > 4096 || name.contains(0) || parts.count > 64
      || parts.dropLast().contains { $0.isEmpty } || parts.contains { $0.elementsEqual([point, point]) }
  }

  /// Whether a name is one that is passed over because it, or a folder on the way to it, is hidden or of macOS.
  static func isHidden(_ name: some Collection<UInt8>) -> Bool {
    if name.isEmpty || Array(name).last == slash { return false }
    var parts = name.split(separator: slash)[...]
    while parts.count > 1, parts.first!.elementsEqual([point]) { parts.removeFirst() }
    return parts.first?.elementsEqual("__MACOSX".utf8) ?? false || parts.contains { $0.first == point }
  }

  /// What files are that others of the same name follow.
  static let replaced = "replaced by later files of the same name"

  private static let slash = UInt8(ascii: "/")
  private static let point = UInt8(ascii: ".")
}

/// Where each file of an archive stands, found by name.
struct ArchiveIndex<Place: Sendable>: Sendable {
  /// Sorted by their bytes, each once.
  let names: NameList
  /// Files that others of the same name follow.
  let replaced: Int
  private let places: [Place]

  /// - Parameter entries: in the archive's order; of those with one name the last one counts, as for who unpacks it.
  init(_ entries: [(name: [UInt8], place: Place)]) {
    let order = entries.indices.sorted {
      entries[$0].name == entries[$1].name
        ? $0 < $1 : entries[$0].name.lexicographicallyPrecedes(entries[$1].name)
    }
    var names = NameList()
    var places: [Place] = []
    for (position, index) in order.enumerated() {
      if position + 1 < order.count, entries[order[position + 1]].name == entries[index].name { continue }
      names.append(entries[index].name)
      places.append(entries[index].place)
    }
    self.names = names
    self.places = places
    replaced = entries.count - names.count
  }

  subscript(name: ArraySlice<UInt8>) -> Place? {
    var (low, high) = (0, names.count)
    while low < high {
      let middle = (low + high) / 2
      if names.bytes(middle).lexicographicallyPrecedes(name) { low = middle + 1 } else { high = middle }
    }
    return low < names.count && names.bytes(low).elementsEqual(name) ? places[low] : nil
  }
}
