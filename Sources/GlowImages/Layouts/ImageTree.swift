import GlowFiles

/// What the names of image files say: which part of a data set each belongs to, and which class.
///
///     train/cat/1.png   valid_32x32/1.png   n01443537/images/1.jpg   img_align_celeba/img_align_celeba/1.jpg
struct ImageTree {
  /// Of the images of the part that was asked for, class by class.
  let names: NameList
  /// The class of each, if they have any.
  let labels: [UInt32]
  /// The classes of all parts, numbered together; empty if this part has none.
  let classNames: [String]
  /// What the names begin with where the images stand, or their classes: "train/".
  let base: [UInt8]
  /// The part that was taken, or nil if there are none.
  let part: DataPart?
  /// For a person to read.
  let notes: [String]

  /// - Parameters:
  ///   - files: the names of all files in `container`.
  ///   - isUsed: whether a file is made use of otherwise.
  ///   - isExtra: whether an image is a second one of what another shows.
  /// - Throws: `FileError` if there are no images of that part, or if it cannot be said which they are.
  init(
    _ files: NameList, in container: any Container, part wanted: DataPart,
    isUsed: (ArraySlice<UInt8>) -> Bool, isExtra: (ArraySlice<UInt8>) -> Bool = { _ in false }
  ) throws {
    var leftOut = container.leftOut
    leftOut.add(kind: LeftOut.hidden, files.hiddenCount)
    var notes: [String] = []
    var images = NameList()
    for index in 0..<files.count {
      let name = files.bytes(index)
      switch ImageFile.kind(name) {
      case .read:
        if isExtra(name) { leftOut.add(name, "beside a sample's image") } else { images.append(name) }
      // The content decides: a JPEG may be called .bmp, or by a number alone.
      case .unread:
        if Self.isImage(name, in: container) { images.append(name) } else { leftOut.add(name, "not read") }
      case nil:
        if isUsed(name) { continue }
        if !Self.hasSuffix(name), Self.isImage(name, in: container) {
          images.append(name)
        } else {
          leftOut.add(name)
        }
      }
    }
    if images.count == 0 { throw FileError(container.path, Self.nothingFound(files, leftOut)) }

    let root = Self.root(images, container)
    if !root.isEmpty { notes.append("taken from \(RawPath.text(root[...]))") }
    let parts = try Parts(Tops(images, below: root), container)
    let chosen = try parts.folders(of: wanted, container)
    part = chosen?.part
    let wrappers = chosen == nil ? [:] : Self.wrappers(parts.names, images, below: root)
    if chosen != nil { notes.append(parts.note(wanted)) }
    // The pieces of a part have nothing in common but what they stand in.
    var base = root
    for folder in chosen?.names ?? [] {
      let wrapper = wrappers[folder[...]]!
      let place = root + folder + [slash] + wrapper
      if !wrapper.isEmpty { notes.append("taken from \(RawPath.text(place[...]))") }
      if chosen?.names.count == 1 { base = place }
    }
    self.base = base

    // The classes of all parts are numbered together.
    var folders: Set<[UInt8]> = []
    var own: [(image: Int, folder: [UInt8]?)] = []
    var hasDeeper = false
    var partsBelow: Set<DataPart> = []
    var latest: [UInt8] = []
    var latestBelow: ArraySlice<UInt8> = []
    for index in 0..<images.count {
      let name = images.bytes(index)
      var rest = name.dropFirst(root.count)
      var isOwn = true
      if let chosen {
        guard let top = Self.firstFolder(rest), parts.contains(top) else {
          leftOut.add(name, "beside the parts")
          continue
        }
        isOwn = chosen.names.contains { $0.elementsEqual(top) }
        rest = rest.dropFirst(top.count + 1 + wrappers[top]!.count)
      }
      let found = Self.classFolder(rest)
      if let found {
        if !latest.elementsEqual(found.name) {
          latest = Array(found.name)
          folders.insert(latest)
        }
        hasDeeper = hasDeeper || !found.below.isEmpty
        // Images of one folder follow each other.
        if !latestBelow.elementsEqual(found.below) {
          latestBelow = found.below
          partsBelow.formUnion(found.below.split(separator: slash).compactMap(FolderName.part))
        }
      }
      if isOwn { own.append((index, found == nil ? nil : latest)) }
    }
    if let flat = own.first(where: { $0.folder == nil }), let other = own.first(where: { $0.folder != nil }) {
      throw FileError(
        container.path + "/" + RawPath.text(base[...]),
        "holds images, such as \(RawPath.text(images.bytes(flat.image).dropFirst(base.count))), and also folders "
          + "of images, such as \(RawPath.text(other.folder![...])): it cannot be said which are classes")
    }
    if partsBelow.count > 1 {
      throw FileError(
        container.path + "/" + RawPath.text(base[...]),
        "has folders of parts ("
          + DataPart.allCases.filter(partsBelow.contains).map(\.rawValue).joined(separator: ", ")
          + ") below others: put those of parts above those of classes")
    }
    if hasDeeper { notes.append("images in folders below a class belong to it") }

    let sorted = folders.sorted { FolderName.areInOrder($0[...], $1[...]) }
    let places = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1, UInt32($0)) })
    let labeled = own.map { (image: $0.image, label: $0.folder.flatMap { places[$0] }) }
      .sorted { ($0.label ?? 0, $0.image) < ($1.label ?? 0, $1.image) }
    var names = NameList()
    for item in labeled { names.append(images.bytes(item.image)) }
    self.names = names
    labels = labeled.compactMap { $0.label }
    classNames = labels.isEmpty ? [] : sorted.map { RawPath.text($0[...]) }
    self.notes = notes + [Self.kinds(names), leftOut.note].compactMap { $0 }
  }

  private static func isImage(_ name: ArraySlice<UInt8>, in container: any Container) -> Bool {
    let start = (try? container.start(of: name, ImageFile.startSize)) ?? []
    return start.withUnsafeBytes { bytes in ImageFile.codecs.contains { $0.recognizes(bytes) } }
  }

  // MARK: Names

  private static func hasSuffix(_ name: ArraySlice<UInt8>) -> Bool {
    name[(name.lastIndex(of: slash) ?? name.startIndex)...].contains(UInt8(ascii: "."))
  }

  /// The folder that a name begins with.
  private static func firstFolder(_ name: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    name.firstIndex(of: slash).map { name[..<$0] }
  }

  /// The first folder that is more than a word for images, and the way from it to the folder in which the image stands.
  private static func classFolder(
    _ name: ArraySlice<UInt8>
  ) -> (name: ArraySlice<UInt8>, below: ArraySlice<UInt8>)? {
    var rest = name
    while let folder = firstFolder(rest) {
      rest = rest.dropFirst(folder.count + 1)
      if FolderName.isImages(folder) { continue }
      while let below = firstFolder(rest), FolderName.isImages(below) {
        rest = rest.dropFirst(below.count + 1)
      }
      return (folder, rest[..<(rest.lastIndex(of: slash) ?? rest.startIndex)])
    }
    return nil
  }

  /// What stands below a common beginning.
  private struct Tops {
    var folders: [[UInt8]] = []
    var hasFiles = false

    init(_ images: NameList, below root: [UInt8]) {
      // Names are sorted, so that a folder's follow each other, but for "a-b/" between "a" and "a/".
      var seen: Set<[UInt8]> = []
      for index in 0..<images.count {
        guard let folder = firstFolder(images.bytes(index).dropFirst(root.count)) else {
          hasFiles = true
          continue
        }
        if let last = folders.last, last.elementsEqual(folder) { continue }
        if seen.insert(Array(folder)).inserted { folders.append(Array(folder)) }
      }
    }
  }

  /// Folders that only wrap the data: the one of an archive, one that repeats the name of what it stands in, as in
  /// Kaggle's CelebA, or one that holds no images itself.
  private static func root(_ images: NameList, _ container: any Container) -> [UInt8] {
    var root: [UInt8] = []
    while true {
      let tops = Tops(images, below: root)
      guard !tops.hasFiles, tops.folders.count == 1, FolderName.part(tops.folders[0][...]) == nil else {
        return root
      }
      let folder = tops.folders[0]
      let inner = root + folder + [slash]
      let outer = root.isEmpty ? Array(container.path.utf8) : root
      let isDoubled = outer.split(separator: slash).last?.elementsEqual(folder) ?? false
      let wraps = isDoubled || container.isArchive || !Tops(images, below: inner).hasFiles
      if !wraps { return root }
      root = inner
    }
  }

  /// Folders that only wrap what a part holds: one that repeats the part's name, as in Kaggle's `seg_train/seg_train/`, or in
  /// every part one that holds no images itself.
  ///
  /// - Returns: of each part's folder what follows it, "seg_train/", or nothing.
  private static func wrappers(
    _ parts: Set<ArraySlice<UInt8>>, _ images: NameList, below root: [UInt8]
  ) -> [ArraySlice<UInt8>: [UInt8]] {
    func tops(_ prefix: [UInt8]) -> Tops {
      var own = NameList()
      for index in 0..<images.count where images.bytes(index).starts(with: prefix) {
        own.append(images.bytes(index))
      }
      return Tops(own, below: prefix)
    }
    var wrappers: [ArraySlice<UInt8>: [UInt8]] = [:]
    var inner: [ArraySlice<UInt8>: [UInt8]] = [:]
    for part in parts {
      let folder = Array(part) + [slash]
      let doubled = tops(root + folder)
      wrappers[part] = !doubled.hasFiles && doubled.folders == [Array(part)] ? folder : []
      let start = root + folder + wrappers[part]!
      let found = tops(start)
      guard !found.hasFiles, found.folders.count == 1 else { continue }
      let below = tops(start + found.folders[0] + [slash])
      // A word for images says of the folder above that it is a class.
      if below.hasFiles || below.folders.contains(where: { FolderName.isImages($0[...]) }) { continue }
      inner[part] = found.folders[0] + [slash]
    }
    return inner.count == parts.count ? wrappers.merging(inner) { $0 + $1 } : wrappers
  }

  /// The folders that are named after parts.
  private struct Parts {
    /// Several are pieces of one.
    private var folders: [DataPart: [[UInt8]]] = [:]
    private(set) var names: Set<ArraySlice<UInt8>> = []

    /// - Throws: `FileError` if two folders that are no pieces of one are the same part, or if one alone stands among other
    ///   folders of images.
    init(_ tops: Tops, _ container: any Container) throws {
      let words = tops.folders.map { FolderName.wordOfPart($0[...]) }
      for (folder, word) in zip(tops.folders, words) {
        // Of "train_birds" alone nobody can say; beside "test_birds" it is clear.
        let hasCounterpart = words.contains { $0?.rest == word?.rest && $0?.part != word?.part }
        guard let part = hasCounterpart ? word?.part : FolderName.part(folder[...]) else { continue }
        if let other = folders[part]?.first,
          FolderName.withoutPiece(other[...]) != FolderName.withoutPiece(folder[...])
        {
          throw FileError(
            container.path,
            "has two folders for the part '\(part)', \(RawPath.text(other[...])) and \(RawPath.text(folder[...])): "
              + "give one of them")
        }
        folders[part, default: []].append(folder)
        names.insert(folder[...])
      }
      // One class may be called "train".
      if folders.count == 1, let other = tops.folders.first(where: { !names.contains($0[...]) }) {
        throw FileError(
          container.path,
          "has a folder '\(RawPath.text(folders.first!.value[0][...]))' like a part's and also '\(RawPath.text(other[...]))': "
            + "it cannot be said whether these are parts or classes")
      }
    }

    func contains(_ folder: ArraySlice<UInt8>) -> Bool { names.contains(folder) }

    /// nil if there are no parts. Where nothing is called test, the images to choose a model by are held out too.
    ///
    /// - Throws: `FileError` if there are only others.
    func folders(
      of part: DataPart, _ container: any Container
    ) throws -> (part: DataPart, names: [[UInt8]])? {
      if folders.isEmpty { return nil }
      let chosen = part.chosen(among: Set(folders.keys))
      if let own = folders[chosen] { return (chosen, own) }
      throw FileError.missing(
        container.path, "has no folder of the part '\(part)'" + DataPart.only(of: Set(folders.keys)))
    }

    /// "parts train/, val/; val/ is taken for test".
    func note(_ wanted: DataPart) -> String {
      let all = DataPart.allCases.flatMap { folders[$0] ?? [] }.map { RawPath.text($0[...]) + "/" }
      let note = "parts " + all.joined(separator: ", ")
      if folders[wanted] != nil { return note }
      return note + "; \(RawPath.text(folders[.valid]![0][...]))/ is taken for \(wanted)"
    }
  }

  /// "12 .jpg and 4 .png"; nil where all names end alike.
  private static func kinds(_ names: NameList) -> String? {
    var counts: [String: Int] = [:]
    for index in 0..<names.count { counts[ImageFile.suffix(names.bytes(index)), default: 0] += 1 }
    if counts.count < 2 { return nil }
    let sorted = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(6)
    return sorted.map { "\($0.value.grouped) \($0.key.isEmpty ? "without a suffix" : ".\($0.key)")" }
      .joined(separator: ", ")
  }

  private static func nothingFound(_ files: NameList, _ leftOut: LeftOut) -> String {
    let hint = leftOut.note.map { " (\($0))" } ?? ""
    if files.count == 0 { return "is empty\(hint), expected \(DataSource.recognized)" }
    return "holds nothing that is recognized\(hint), expected \(DataSource.recognized)"
  }
}

private let slash = UInt8(ascii: "/")
