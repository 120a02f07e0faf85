import GlowFiles

/// The images of a tree that CelebA's lists speak of: those of a part, where the folders say nothing of parts, and those that
/// have attributes, where these are asked for.
struct CelebALists {
  let names: NameList
  let labels: [UInt32]
  /// The part that was asked for, or nil if no list says so.
  let part: DataPart?
  let attributeNames: [String]
  /// One an image, if there are attributes.
  let rows: [[Bool]]
  let notes: [String]

  /// - Throws: `FileError` if a list is damaged, or no image is left.
  init(
    _ tree: ImageTree, _ files: NameList, in container: any Container, part wanted: DataPart,
    readsAttributes: Bool
  ) throws {
    var notes: [String] = []
    var chosen = Array(0..<tree.names.count)
    func name(_ index: Int) -> String { RawPath.text(tree.names.bytes(index).dropFirst(tree.base.count)) }

    var part: DataPart?
    if tree.part == nil,
      let list = try SideFile.find(PartitionList.fileNames, files, in: container, base: tree.base)
    {
      let parts = Self.byName(
        try list.withBytes { try PartitionList.parse($0, path: list.path) }.map { ($0, $1) })
      let found = chosen.map { parts.find(name($0)) }
      let missing = found.count { $0 == nil }
      // A list that names none of the images is that of others.
      if missing < found.count {
        let taken = wanted.chosen(among: Set(found.compactMap { $0 }))
        chosen = chosen.filter { found[$0] == taken }
        part = taken
        notes.append("parts from \(list.path)" + (taken == wanted ? "" : "; \(taken) is taken for \(wanted)"))
        if missing > 0 {
          let first = name(found.firstIndex { $0 == nil }!)
          notes.append("left out: \(missing.counted("image")) without a line there, such as \(first)")
        }
        if chosen.isEmpty {
          throw FileError.missing(list.path, "names no image of \(container.path) for the part '\(wanted)'")
        }
      }
    }

    var (attributeNames, rows): ([String], [[Bool]]) = ([], [])
    if readsAttributes,
      let list = try SideFile.find(AttributeList.fileNames, files, in: container, base: tree.base)
    {
      let (names, lines) = try list.withBytes { try AttributeList.parse($0, path: list.path) }
      let table = Self.byName(lines.map { ($0.file, $0.values) })
      let found = chosen.map { table.find(name($0)) }
      let missing = found.count { $0 == nil }
      if missing < found.count {
        if let first = found.firstIndex(where: { $0 == nil }) {
          notes.append(
            "left out: \(missing.counted("image")) without a line in \(list.path), such as \(name(chosen[first]))"
          )
        }
        chosen = zip(chosen, found).filter { $1 != nil }.map { $0.0 }
        (attributeNames, rows) = (names, found.compactMap { $0 })
      }
    }

    self.part = part
    self.notes = notes
    self.attributeNames = attributeNames
    self.rows = rows
    if chosen.count == tree.names.count {
      (names, labels) = (tree.names, tree.labels)
    } else {
      var kept = NameList()
      for index in chosen { kept.append(tree.names.bytes(index)) }
      names = kept
      labels = tree.labels.isEmpty ? [] : chosen.map { tree.labels[$0] }
    }
  }

  /// Lines of a list by the names of their files: CelebA lists .jpg files, which may have been converted, so that what follows
  /// the last point does not count.
  private struct ByName<Value> {
    let values: [Substring: Value]

    /// By the way below the images' folder, or by the last name alone.
    func find(_ name: String) -> Value? {
      values[CelebALists.withoutExtension(name)]
        ?? values[CelebALists.withoutExtension(String(DataFiles.split(name).name))]
    }
  }

  private static func byName<Value>(_ lines: [(String, Value)]) -> ByName<Value> {
    ByName(values: Dictionary(lines.map { (withoutExtension($0), $1) }) { first, _ in first })
  }

  private static func withoutExtension(_ name: String) -> Substring {
    name.lastIndex(of: ".").map { name[..<$0] } ?? name[...]
  }
}
