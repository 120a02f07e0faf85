import Foundation
import GlowFiles
import GlowKernels

/// Arrays of images and of labels: one .npy file, a .npz (which is a .zip of .npy files), or several .npz that each hold a
/// batch, as ImageNet32 comes.
///
/// The names say which is which: "x_train", "train_images", "val_data", "y_test", "labels". Labels are whole numbers, one an
/// image; where none is 0, as in ImageNet32, they count from 1. Classes are called by the numbers that are stored.
enum ArrayFiles {
  private struct Item {
    /// Of its file: "x_train", "data".
    let key: String
    let part: DataPart?
    /// Whether it is one of several in a .npz.
    let isOfArchive: Bool
    let header: NumpyHeader
    let container: any Container
    /// In the container.
    let name: [UInt8]

    var path: String { container.path(of: name[...]) }
    var unpacked: Unpacked.Key? { container.unpacked(name[...]) }
  }

  /// Files with an array that may be images.
  static func sets(_ files: DataFiles) throws -> [[String]] {
    if files.hasImages { return [] }
    let names = files.others.filter { name in
      // What is packed is not unpacked for this.
      isArray(name)
        && (files.container.unpacked(name) != nil && name.hasSuffix(".npz")
          || (try? items(in: files.container, name).contains(where: isOfBytes)) ?? false)
    }
    return names.isEmpty ? [] : [names]
  }

  private static func isArray(_ name: some StringProtocol) -> Bool {
    ["npy", "npz"].contains(ImageFile.suffix(Array(name.utf8)[...]))
  }

  static func open(_ files: DataFiles, part: DataPart, options: DataOptions) throws -> OpenedData? {
    if files.hasImages { return nil }
    let all = try files.matching(isArray)
      .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
    if all.isEmpty { return nil }
    let (names, copies) = Copies.without(all)
    try Unpacked.requireRoom(
      for: names.filter { $0.hasSuffix(".npz") }.compactMap { files.container.unpacked($0) },
      of: files.container.path)
    let items = try names.flatMap { try Self.items(in: files.container, $0) }
    // An array of other things may lie beside a few images.
    if files.imageCount > 0, !items.contains(where: isOfBytes) { return nil }
    let (ofPart, found, note) = try choose(items, part, files.container)
    let own = try withoutOthers(ofPart, files.container)
    // In the order of the files; a batch's images and labels stand in one.
    let images = own.filter { !isLabels($0) }
    // Batches are files whose names differ in numbers, and have one array of images each.
    let isFile = files.container.path.hasSuffix(".npz")
    func kind(_ item: Item) -> String {
      isFile || item.isOfArchive ? item.key : item.key.filter { !$0.isNumber }
    }
    if let other = images.first(where: { kind($0) != kind(images[0]) }) {
      throw FileError(
        files.container.path,
        "holds several arrays that may be images, such as \(images[0].key) and \(other.key): give one of them, "
          + "or say in their names which part each is of (x_train, x_test)")
    }
    var batches: [NumpyDataset] = []
    let labelItems = own.filter(isLabels)
    let unpacked = images.compactMap(\.unpacked)
    try Unpacked.requireRoom(for: unpacked, of: files.container.path)
    for item in images {
      // Labels make an image of each row.
      let layout = labelItems.isEmpty ? nil : layoutOfRows(item.header.shape)
      let batch = try NumpyDataset(
        item.container.hold(item.name[...]), layout: options.layout ?? layout)
      if let first = batches.first, first.shape != batch.shape {
        throw FileError(
          item.path, "holds images of \(batch.shape), expected \(first.shape) as in \(images[0].path)")
      }
      batches.append(batch)
    }
    guard !batches.isEmpty else {
      throw FileError(
        files.container.path, "has no array of images" + (found.map { " of the part '\($0)'" } ?? ""))
    }
    let labels = try readLabels(labelItems, of: zip(images, batches).map { (item: $0, count: $1.count) })
    // A part may lack a class: all that is known counts.
    let known = try Dictionary(grouping: items.filter { found == nil || $0.part != nil }, by: \.part).values
      .flatMap { try withoutOthers($0, files.container).filter(isLabels) }
      .flatMap(readLabels)
    let first = min(known.min() ?? 0, 1)
    let dataset = JoinedDataset(batches, labels: labels, classes: first..<(known.max() ?? -1) + 1)
    let notes = [
      Unpacked.note(unpacked), note, batches[0].note, first == 1 ? IDXDataset.countFromOne : nil,
      copies, ofOthers(items, found), leftOut(ofPart, own), files.leftOut(all),
    ]
    let isPlain = names.allSatisfy { $0.hasSuffix(".npy") } && !files.container.path.hasSuffix(".npz")
    let kind = isPlain ? ".npy" : ".npz"
    return OpenedData(dataset, part: found, notes: notes.compactMap { $0 }, kind: kind)
  }

  /// How an array is to be understood where each of its rows has a label; nil where it says so itself.
  private static func layoutOfRows(_ shape: [Int]) -> ArrayLayout? {
    switch shape.count {
    case 2: .planes
    case 3 where shape[2] != 1 && shape[2] != 3: .channelsLast
    default: nil
    }
  }

  /// The arrays in a file, of which only the headers are read.
  private static func items(in container: any Container, _ name: String) throws -> [Item] {
    let bytes = RawPath.bytes(ofShown: name) ?? Array(name.utf8)
    let start = FileContent(try container.start(of: bytes[...], 4), path: name)
    guard ZipArchive.recognizes(start) else {
      let key = String(DataFiles.split(name).name)
      return [
        try item(container, bytes, key: key, part: FolderName.partOfFile(name), isOfArchive: false)
      ]
    }
    let archive = try ZipArchive(container.hold(bytes[...]))
    let keys = try archive.list()
    return try (0..<keys.count).map { index in
      try item(
        archive, Array(keys.bytes(index)), key: keys[index],
        part: FolderName.partOfAnyWord(keys[index]) ?? FolderName.partOfFile(name), isOfArchive: true)
    }
  }

  private static func item(
    _ container: any Container, _ name: [UInt8], key: String, part: DataPart?, isOfArchive: Bool
  ) throws -> Item {
    let path = container.path(of: name[...])
    let header = try container.start(of: name[...], NumpyHeader.startSize).withUnsafeBytes {
      try NumpyHeader.start(of: $0, path: path).header
    }
    return Item(
      key: key, part: part, isOfArchive: isOfArchive, header: header, container: container, name: name)
  }

  private static func isLabels(_ item: Item) -> Bool {
    item.header.shape.count == 1 || item.header.shape.count == 2 && item.header.shape[1] == 1
  }

  private static func isOfBytes(_ item: Item) -> Bool {
    !isLabels(item) && item.header.dataType.hasSuffix("u1")
  }

  /// Whether a name says of a table that its rows are labels, one value a class.
  private static func isOneHot(_ item: Item) -> Bool {
    item.header.shape.count == 2 && !isLabels(item) && isNamedLabels(item.key)
  }

  /// What can be images or labels, where there is other knowledge beside them: a mean in floating point, names of files.
  ///
  /// - Throws: `FileError` if it cannot be said which array the labels are.
  private static func withoutOthers(_ items: [Item], _ container: any Container) throws -> [Item] {
    var bytes = items.filter(isOfBytes)
    if !bytes.allSatisfy(isOneHot) { bytes.removeAll(where: isOneHot) }
    // Where nothing is an image, the error says so of each.
    let images = bytes.isEmpty ? items.filter { !isLabels($0) } : bytes
    var labels = items.filter { isLabels($0) && ($0.header.isOfWholeNumbers || isNamedLabels($0.key)) }
    if let first = labels.first, let other = labels.first(where: { !areBatches($0, first) }) {
      labels = labels.filter { isNamedLabels($0.key) }
      guard let named = labels.first, labels.allSatisfy({ areBatches($0, named) }) else {
        throw FileError(
          container.path,
          "holds several arrays that may be labels, such as \(first.key) and \(other.key): name one of them "
            + "labels, or leave the others out")
      }
    }
    return images + labels
  }

  /// Whether two arrays differ in the number of a batch only.
  private static func areBatches(_ one: Item, _ other: Item) -> Bool {
    one.key.filter { !$0.isNumber } == other.key.filter { !$0.isNumber }
  }

  private static func isNamedLabels(_ key: String) -> Bool {
    let words = key.lowercased().split { !$0.isLetter }
    return words.contains { ["label", "labels", "y", "target", "targets", "class", "classes"].contains($0) }
  }

  /// "left out: the arrays mean.npy, names.npy"; nil if nothing is. Batches have the same ones.
  private static func leftOut(_ items: [Item], _ own: [Item]) -> String? {
    var others: [String] = []
    for key in items.map(\.key) where !others.contains(key) && !own.contains(where: { $0.key == key }) {
      others.append(key)
    }
    if others.isEmpty { return nil }
    let names = "left out: \(named(others))"
    guard let table = items.first(where: { isOneHot($0) && others.contains($0.key) }) else { return names }
    return names
      + "; labels are one whole number an image, and \(table.key) is \(table.header.shape): of one-hot rows "
      + "save numpy.argmax(y, axis=1)"
  }

  /// What is of other parts than the one that was found, and what is of none; nil if nothing is.
  private static func ofOthers(_ items: [Item], _ found: DataPart?) -> String? {
    guard let found else { return nil }
    let count = items.count { $0.part != nil && $0.part != found }
    var ofNone: [String] = []
    for item in items where item.part == nil && !ofNone.contains(item.key) { ofNone.append(item.key) }
    let notes =
      (count == 0 ? [] : ["\(count.counted("array")) of other parts"])
      + (ofNone.isEmpty ? [] : ["\(named(ofNone)) of no part"])
    return notes.isEmpty ? nil : "left out: " + notes.joined(separator: ", ")
  }

  /// "the arrays mean.npy, names.npy".
  private static func named(_ keys: [String]) -> String {
    "the \(keys.count == 1 ? "array" : "arrays") " + keys.prefix(6).joined(separator: ", ")
      + (keys.count > 6 ? ", …" : "")
  }

  /// Those of a part; all where there are no parts.
  private static func choose(
    _ items: [Item], _ part: DataPart, _ container: any Container
  ) throws -> (items: [Item], part: DataPart?, note: String?) {
    let parts = Set(items.compactMap(\.part))
    if parts.isEmpty { return (items, nil, nil) }
    let chosen = part.chosen(among: parts)
    let own = items.filter { $0.part == chosen }
    if own.isEmpty {
      throw FileError.missing(
        container.path, "has no array of the part '\(part)'" + DataPart.only(of: parts))
    }
    return (own, chosen, chosen == part ? nil : "\(chosen) is taken for \(part)")
  }

  /// The labels of all images in their order: those of a batch's own array where there are as many arrays of labels, or those that
  /// one array has for several batches. A file that holds both has the labels of its own images.
  ///
  /// - Parameter images: the arrays of images, and the number of images in each.
  /// - Throws: `FileError` if there are others than as many as images.
  private static func readLabels(_ items: [Item], of images: [(item: Item, count: Int)]) throws -> [Int] {
    if items.isEmpty { return [] }
    let files = Set(images.map { $0.item.container.path })
    let ofLabels = Set(items.map(\.container.path))
    let areTogether = !files.isDisjoint(with: ofLabels)
    if areTogether {
      if let item = images.first(where: { !ofLabels.contains($0.item.container.path) })?.item {
        throw FileError(item.path, "has no labels in its file, unlike \(items[0].container.path)")
      }
      if let item = items.first(where: { !files.contains($0.container.path) }) {
        throw FileError(item.path, "has no images in its file, unlike \(images[0].item.container.path)")
      }
    }
    var labels: [Int] = []
    var rest = (images: images[...], labels: try items.map { (item: $0, values: try readLabels($0)) }[...])
    while let first = rest.images.first {
      func isOwn(_ item: Item) -> Bool { !areTogether || item.container.path == first.item.container.path }
      let own = (images: rest.images.prefix { isOwn($0.item) }, labels: rest.labels.prefix { isOwn($0.item) })
      rest = (rest.images.dropFirst(own.images.count), rest.labels.dropFirst(own.labels.count))
      let found = own.labels.map { $0.values.count }
      let wanted = own.images.map { $0.count }
      if found.count == wanted.count, let place = found.indices.first(where: { found[$0] != wanted[$0] }) {
        throw FileError(
          own.labels[own.labels.startIndex + place].item.path,
          "has \(found[place]) labels for \(counted(wanted[place], "image")) in "
            + own.images[own.images.startIndex + place].item.path)
      }
      let count = (found: found.reduce(0, +), wanted: wanted.reduce(0, +))
      if count.found != count.wanted {
        throw FileError(
          own.labels.first?.item.path ?? first.item.path,
          "has \(count.found) labels for \(counted(count.wanted, "image"))")
      }
      labels += own.labels.flatMap { $0.values }
    }
    return labels
  }

  /// - Throws: `FileError` if they are no whole numbers, or are too large.
  private static func readLabels(_ item: Item) throws -> [Int] {
    let header = item.header
    let type = header.dataType
    let file = try item.container.open(item.name[...])
    guard let size = header.valueSize, [1, 2, 4, 8].contains(size), header.isOfWholeNumbers
    else { throw FileError(file.path, "holds labels of type '\(type)', expected whole numbers") }
    return try file.withBytes { bytes in
      _ = try NumpyHeader.parse(bytes, path: file.path)
      let values = bytes.suffix(header.dataSize ?? 0)
      return try stride(from: values.startIndex, to: values.endIndex, by: size).map { start in
        let digits = values[start..<start + size]
        var value = (type.hasPrefix(">") ? Array(digits) : digits.reversed()).reduce(UInt64(0)) {
          $0 << 8 | UInt64($1)
        }
        let unused = UInt64(64 - 8 * size)
        if type.dropFirst().hasPrefix("i") {
          value = UInt64(bitPattern: Int64(bitPattern: value << unused) >> unused)
        }
        let label = Int(truncatingIfNeeded: value)
        if !(0...JoinedDataset.largestLabel).contains(label) {
          throw FileError(file.path, "has the label \(label), expected 0 to \(JoinedDataset.largestLabel)")
        }
        return label
      }
    }
  }
}

/// Several arrays of images one after the other, with labels if there are any.
struct JoinedDataset: Dataset {
  static let largestLabel = 65535

  let shape: ImageShape
  let count: Int
  let classNames: [String]
  private let batches: [NumpyDataset]
  /// Of each batch, the number of its first image.
  private let starts: [Int]
  private let labels: [Int]

  /// - Parameters:
  ///   - batches: at least one, all of one shape.
  ///   - labels: none, or one an image, each among `classes`.
  ///   - classes: those that labels of all parts say.
  init(_ batches: [NumpyDataset], labels: [Int], classes: Range<Int>) {
    self.batches = batches
    self.labels = labels.map { $0 - classes.lowerBound }
    shape = batches[0].shape
    starts = batches.indices.map { batches[..<$0].reduce(0) { $0 + $1.count } }
    count = batches.reduce(0) { $0 + $1.count }
    classNames = labels.isEmpty ? [] : classes.map(String.init)
  }

  func label(_ index: Int) -> Int? { labels.isEmpty ? nil : labels[index] }

  func source(_ index: Int) -> String {
    let (batch, place) = place(index)
    return batch.source(place)
  }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    let (batch, place) = place(index)
    return try batch.read(place, into: pixels)
  }

  private func place(_ index: Int) -> (NumpyDataset, Int) {
    let batch = starts.lastIndex { $0 <= index }!
    return (batches[batch], index - starts[batch])
  }
}
