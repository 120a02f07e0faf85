import GlowFiles

/// A folder of archives, each a data set by itself, which together are one: the shards of WebDataset, or one archive a part.
///
/// A word of a name (`imagenet-train-0000.tar`, `val.zip`), or else of a folder (`train/0000.tar`), says which part an archive is
/// of. Classes are told by their names; archives that are called by ImageNet's numbers of classes (`n01440764.tar`) are those, and
/// so is the folder that all images of an archive stand in where it is not the same in all archives.
enum ArchiveSet {
  /// - Parameter open: opens one archive.
  /// - Returns: nil if there are no archives in the folder, or other images too.
  static func open(
    _ files: DataFiles, part: DataPart, _ open: (any Container) throws -> OpenedData
  ) throws -> OpenedData? {
    if files.hasImages || files.container.isArchive { return nil }
    let all = files.others.filter(DataFiles.isArchive)
      .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
    if all.isEmpty { return nil }
    let (names, copies) = Copies.without(all)
    let parts = Set(names.compactMap(FolderName.partOfFile))
    let chosen = part.chosen(among: parts)
    let own = parts.isEmpty ? names : names.filter { FolderName.partOfFile($0) == chosen }
    if own.isEmpty {
      throw FileError.missing(
        files.container.path, "has no archive of the part '\(part)'" + DataPart.only(of: parts))
    }
    let contents = try own.map { try files.container.open($0) }
    let packed = try contents.compactMap(DataSource.packedTar)
    try Unpacked.requireRoom(for: packed, of: files.container.path)
    let archives = try contents.map { file in
      guard let archive = try DataSource.archive(file) else {
        throw FileError(file.path, "is neither a .zip nor a .tar or .tar.gz file")
      }
      return archive
    }
    var opened = try archives.map(open)
    if parts.isEmpty, let other = opened.firstIndex(where: { $0.part != opened[0].part }) {
      func taken(_ place: Int) -> String {
        "of \(own[place]) " + (opened[place].part.map { "the part '\($0)'" } ?? "all images")
      }
      throw FileError(
        files.container.path,
        "has archives that differ in what parts are in them: \(taken(0)) would be taken, \(taken(other)); "
          + "give one of them, or say in their names which part each is of")
    }
    // ImageNet's archives are its classes.
    let synsets = own.compactMap(synset)
    let classes = synsets.count == own.count ? synsets : try folders(archives, opened)
    if let classes {
      opened = zip(opened, classes).map { opened, name in
        opened.dataset.classNames.isEmpty ? opened.with(opened.dataset.labeled(0, of: [name])) : opened
      }
    }
    var notes = [
      (own.count == 1 ? "taken from \(own[0])" : "\(own.count.grouped) archives, \(own[0]) to \(own.last!)")
        + (classes == nil
          ? "" : synsets.count == own.count ? ", each a class" : ", the folder of each is a class")
    ]
    notes += [copies].compactMap { $0 }
    if !parts.isEmpty && chosen != part { notes.append("\(chosen) is taken for \(part)") }
    if let note = Unpacked.note(packed) { notes.append(note) }
    for note in opened.flatMap(\.notes)
    where !notes.contains(note) && !note.hasPrefix(Unpacked.noteStart) && notes.count < 8 {
      notes.append(note)
    }
    let others = names.count { FolderName.partOfFile($0) != nil } - (parts.isEmpty ? 0 : own.count)
    if others > 0 { notes.append("\(others.counted("archive")) of other parts") }
    let ofNone = parts.isEmpty ? [] : names.filter { FolderName.partOfFile($0) == nil }
    if let first = ofNone.first {
      notes.append("left out: \(ofNone.count.counted("archive")) of no part, such as \(first)")
    }
    if opened[0].dataset.classNames.isEmpty, Set(own.map(stem)).count > 1 {
      notes.append("names of archives are no classes: those are folders, in them or above the images")
    }
    // Lists that stand beside an archive are read with it.
    let lists = Set(AttributeList.fileNames + PartitionList.fileNames)
    let known = all + files.others.filter { lists.contains(String(DataFiles.split($0).name)) }
    notes += [files.leftOut(known)].compactMap { $0 }
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

  /// The folder that all images of each archive stand in, below what these folders have in common: what it would be a class by,
  /// were all archives unpacked.
  ///
  /// - Returns: nil if there are classes or parts already, or if an archive's images stand in no folder of its own.
  private static func folders(_ archives: [any Container], _ opened: [OpenedData]) throws -> [String]? {
    guard
      opened.allSatisfy({
        $0.kind == DataSource.imageFiles && $0.part == nil && $0.dataset.classNames.isEmpty
      })
    else { return nil }
    let ways = try archives.map(commonFolders)
    let shared = ways.dropFirst().reduce(ways[0]) { common($0, $1) }.count
    let own = ways.compactMap { $0.dropFirst(shared).first }
    if own.count < ways.count || own.contains(where: FolderName.isImages) { return nil }
    return own.map { RawPath.text($0) }
  }

  /// The folders, one in the other, that all images of an archive stand in.
  private static func commonFolders(_ archive: any Container) throws -> [ArraySlice<UInt8>] {
    let names = try archive.list()
    var found: [ArraySlice<UInt8>]?
    for index in 0..<names.count where ImageFile.kind(names.bytes(index)) == .read {
      let folders = Array(names.bytes(index).split(separator: UInt8(ascii: "/")).dropLast())
      found = found.map { common($0, folders) } ?? folders
      if found?.isEmpty == true { break }
    }
    return found ?? []
  }

  /// What two ways begin with.
  private static func common(
    _ one: [ArraySlice<UInt8>], _ other: [ArraySlice<UInt8>]
  ) -> [ArraySlice<UInt8>] {
    zip(one, other).prefix { $0.elementsEqual($1) }.map { $0.0 }
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
