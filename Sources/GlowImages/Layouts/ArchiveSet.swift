import GlowFiles

/// A folder of archives, each a data set by itself, which together are one: the shards of WebDataset, or one archive a part.
///
/// A word of a name (`imagenet-train-0000.tar`, `val.zip`) says which part an archive is of. Classes are told by their names;
/// archives that are called by ImageNet's numbers of classes (`n01440764.tar`) are those.
enum ArchiveSet {
  /// - Parameter open: opens one archive.
  /// - Returns: nil if there are no archives in the folder, or other images too.
  static func open(
    _ files: DataFiles, part: DataPart, _ open: (any Container) throws -> OpenedData
  ) throws -> OpenedData? {
    if files.hasImages || files.container.isArchive { return nil }
    let names = files.others.filter(DataFiles.isArchive)
      .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
    if names.isEmpty { return nil }
    let parts = Set(names.compactMap(Self.part))
    let chosen = part.chosen(among: parts)
    let own = parts.isEmpty ? names : names.filter { Self.part($0) == chosen }
    if own.isEmpty {
      throw FileError.missing(
        files.container.path, "has no archive of the part '\(part)'" + DataPart.only(of: parts))
    }
    let contents = try own.map { try files.container.open($0) }
    let packed = try contents.compactMap(DataSource.packedTar)
    try Unpacked.requireRoom(for: packed, of: files.container.path)
    // ImageNet's archives are its classes.
    let areClasses = own.allSatisfy { synset(of: $0) != nil }
    let opened = try zip(own, contents).map { name, file in
      guard let archive = try DataSource.archive(file) else {
        throw FileError(file.path, "is neither a .zip nor a .tar or .tar.gz file")
      }
      let opened = try open(archive)
      guard areClasses, opened.dataset.classNames.isEmpty, let synset = synset(of: name) else {
        return opened
      }
      return opened.with(opened.dataset.labeled(0, of: [synset]))
    }
    var notes = [
      (own.count == 1 ? "taken from \(own[0])" : "\(own.count.grouped) archives, \(own[0]) to \(own.last!)")
        + (areClasses ? ", each a class" : "")
    ]
    if !parts.isEmpty && chosen != part { notes.append("\(chosen) is taken for \(part)") }
    if let note = Unpacked.note(packed) { notes.append(note) }
    for note in opened.flatMap(\.notes)
    where !notes.contains(note) && !note.hasPrefix(Unpacked.noteStart) && notes.count < 8 {
      notes.append(note)
    }
    if own.count < names.count {
      notes.append("\((names.count - own.count).counted("archive")) of other parts")
    }
    if opened[0].dataset.classNames.isEmpty, Set(own.map(stem)).count > 1 {
      notes.append("names of archives are no classes: those are folders, in them or above the images")
    }
    notes += [files.leftOut(names)].compactMap { $0 }
    return OpenedData(
      try JoinedSets(opened.map(\.dataset)), part: parts.isEmpty ? opened[0].part : chosen, notes: notes,
      kind: opened[0].kind)
  }

  /// "n01440764" of n01440764.tar: a class of ImageNet by its number in WordNet.
  private static func synset(of name: String) -> String? {
    DataFiles.split(name).name.wholeMatch(of: /(n[0-9]{8})\.tar(\.gz)?/).map { String($0.1) }
  }

  /// What tells archives apart that are no numbered shards.
  private static func stem(_ name: String) -> String { name.filter { !$0.isNumber } }

  private static func part(_ name: String) -> DataPart? {
    FolderName.partOfAnyWord(DataFiles.split(name).name)
  }
}

/// Data sets of one shape, one after the other, with the classes of all.
private struct JoinedSets: Dataset {
  let shape: ImageShape
  let count: Int
  let classNames: [String]
  let attributeNames: [String]
  private let sets: [any Dataset]
  /// Of each, the number of its first image.
  private let starts: [Int]

  /// - Throws: `FileError` if one does not fit the first.
  init(_ sets: [any Dataset]) throws {
    let first = sets[0]
    shape = first.shape
    for set in sets {
      if set.shape != shape {
        throw FileError(
          set.source(0),
          "is \(set.shape), expected \(shape) like \(first.source(0)); bring all to one size with "
            + "--image-size N")
      }
      if set.classNames.isEmpty != first.classNames.isEmpty {
        throw FileError(
          set.source(0), "has \(set.classNames.isEmpty ? "no" : "a") class, unlike \(first.source(0))")
      }
    }
    let names = Set(sets.flatMap(\.classNames)).sorted {
      FolderName.areInOrder(Array($0.utf8)[...], Array($1.utf8)[...])
    }
    classNames = names
    let places = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    self.sets =
      names.isEmpty ? sets : sets.map { $0.relabeled(names, places: $0.classNames.map { places[$0]! }) }
    attributeNames = sets.allSatisfy { $0.attributeNames == first.attributeNames } ? first.attributeNames : []
    var starts: [Int] = []
    var count = 0
    for set in sets {
      starts.append(count)
      count += set.count
    }
    (self.starts, self.count) = (starts, count)
  }

  func label(_ index: Int) -> Int? { at(index) { $0.label($1) } }
  func attributes(_ index: Int) -> [Bool]? {
    attributeNames.isEmpty ? nil : at(index) { $0.attributes($1) }
  }
  func source(_ index: Int) -> String { at(index) { $0.source($1) } }
  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    try at(index) { try $0.read($1, into: pixels) }
  }
  func fingerprint(_ index: Int) -> Int? { at(index) { $0.fingerprint($1) } }
  func contentHash(_ index: Int) throws -> UInt64 { try at(index) { try $0.contentHash($1) } }
  func check(_ index: Int) throws -> ImageTraits { try at(index) { try $0.check($1) } }

  /// Calls `body` with the set that an image is in, and its place there.
  private func at<Result>(_ index: Int, _ body: (any Dataset, Int) throws -> Result) rethrows -> Result {
    var (low, high) = (0, starts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= index { low = middle } else { high = middle }
    }
    return try body(sets[low], index - starts[low])
  }
}
