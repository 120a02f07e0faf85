import GlowFiles

/// Image files under the names that `ImageTree` knows: all in one folder or one folder a class, either way possibly
/// within folders for parts.
///
/// Images are in the order of their names' bytes, class by class. CelebA's lists are read where they stand among the images,
/// in the folder above, or beside the archive; the one of attributes if that is asked for.
package struct ImageFolderDataset: Dataset {
  package let shape: ImageShape
  package let classNames: [String]
  package var count: Int { names.count }
  package let attributeNames: [String]

  /// The part that was asked for, or nil if the folder has no parts.
  let part: DataPart?
  /// What was taken for what, and what is done to the images, for a person to read.
  let notes: [String]

  private let container: any Container
  private let names: NameList
  /// Of each image, if there are classes.
  private let labels: [UInt32]
  private let resizer: Resizer?
  private let background: Background?
  /// What every file must hold unless it has `shape` already; and which file says so.
  private let expected: (shape: ImageShape, like: String)
  /// Of the model that the images are for.
  private let model: ImageShape?
  private let acceptsAnySize: Bool
  /// Of each image, if there are attributes.
  private let attributeRows: [[Bool]]

  /// - Parameter files: the names of all files in `container`.
  /// - Throws: `FileError`.
  init(_ files: NameList, in container: any Container, part: DataPart, options: DataOptions) throws {
    let beside = try LabelFiles(files, in: container)
    let listNames = Set(AttributeList.fileNames + PartitionList.fileNames)
    let tree = try ImageTree(
      files, in: container, part: part,
      isUsed: { name in
        ImageFile.suffix(name) == beside?.suffix
          || listNames.contains(RawPath.text(name.split(separator: UInt8(ascii: "/")).last ?? []))
      }, isExtra: { beside?.isExtra($0) ?? false })
    self.container = container
    let lists = try CelebALists(
      tree, files, in: container, part: part, readsAttributes: options.readsAttributes)
    self.part = tree.part ?? lists.part
    attributeNames = lists.attributeNames
    (names, attributeRows) = (lists.names, lists.rows)
    var besideNote: String?
    if let beside, tree.classNames.isEmpty {
      (classNames, labels) = (beside.classNames, try beside.labels(of: names))
      besideNote = "classes from the .\(beside.suffix) files"
    } else {
      (classNames, labels) = (tree.classNames, lists.labels)
      besideNote = beside.map { "the folders are the classes, not what the .\($0.suffix) files say" }
    }

    model = options.modelShape
    acceptsAnySize = options.imageSize != nil || options.crop != nil
    resizer = options.resizer
    background = options.background
    let probe = FolderProbe(names, in: container, background: background)
    // A folder opens though its first file is damaged, so that a check of all can name it.
    expected =
      try model.map { probe.expectation(for: $0, canResize: options.resizer != nil) }
      ?? probe.found.first.map { (shape: $0.header.shape, like: $0.like) } ?? Self.first(names, in: container)
    // Color is kept where there is some.
    let channels = model?.channels ?? (probe.hasColor ? 3 : expected.shape.channels)
    let repeatsGray = channels == 3 && probe.hasGray
    let shape = ImageShape(height: expected.shape.height, width: expected.shape.width, channels: channels)
    self.shape = resizer?.shape(shape) ?? shape
    // Images may be of several sizes, of which each becomes another thing.
    let shapes = [expected.shape] + (acceptsAnySize ? probe.found.map { $0.header.shape } : [])
    var sizes: [(shape: ImageShape, note: String)] = []
    for shape in shapes {
      guard let note = options.resizer?.note(shape), !sizes.contains(where: { $0.note == note }) else {
        continue
      }
      sizes.append((shape, note))
    }
    var sizeNotes = sizes.prefix(4).map(\.note)
    let others = sizes.dropFirst(4).map(\.shape).sorted { $0.count < $1.count }
    if let smallest = others.first, let largest = others.last {
      sizeNotes.append(
        "and \(others.count.counted("other size")) among \(probe.found.count) files, smallest "
          + "\(smallest.height)×\(smallest.width), largest \(largest.height)×\(largest.width)")
    }
    notes =
      tree.notes + lists.notes + probe.notes
      + [besideNote, repeatsGray ? GrayToRGB.note : nil].compactMap { $0 } + sizeNotes
  }

  package func label(_ index: Int) -> Int? { labels.isEmpty ? nil : Int(labels[index]) }
  package func attributes(_ index: Int) -> [Bool]? { attributeRows.isEmpty ? nil : attributeRows[index] }
  package func source(_ index: Int) -> String { container.path(of: names.bytes(index)) }

  /// Not of times: images that are copied to where a job runs are the same ones.
  package func fingerprint(_ index: Int) -> Int? {
    let name = names.bytes(index)
    let hash = ContentHash.plain(name)
    return container.fingerprint(name).map { Int(truncatingIfNeeded: hash) ^ $0 }
  }

  package func contentHash(_ index: Int) throws -> UInt64 {
    try container.open(names.bytes(index)).withBytes { ContentHash.of($0) }
  }

  package func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    let file = try container.openImage(names.bytes(index))
    return try file.withBytes { bytes in
      let codec = try ImageFile.codec(of: bytes, path: file.path)
      let found = try codec.header(of: bytes, path: file.path).shape
      try check(found, path: file.path)
      if found == shape && resizer?.crop == nil {
        return try codec.decode(bytes, path: file.path, background: background, into: pixels)
      }
      var (image, traits) = try ImageFile.decoded(bytes, path: file.path, background: background)
      if shape.channels == 3 { image = GrayToRGB.convert(image) }
      if shape.channels == 1, let gray = GrayToRGB.invert(image) { image = gray }
      if image.shape.channels != shape.channels { throw wrongColors(image.shape, path: file.path) }
      _ = pixels.update(fromContentsOf: resizer?.resize(image).pixels ?? image.pixels)
      traits.formUnion(changes(of: found))
      return traits
    }
  }

  package func check(_ index: Int) throws -> ImageTraits {
    let file = try container.openImage(names.bytes(index))
    return try file.withBytes { bytes in
      let header = try ImageFile.header(of: bytes, path: file.path)
      let found = header.shape
      try check(found, path: file.path)
      // Only its pixels tell whether an RGB file is gray.
      if found.channels == 3 && shape.channels == 1,
        GrayToRGB.invert(try ImageFile.decode(bytes, path: file.path, background: background)) == nil
      {
        throw wrongColors(found, path: file.path)
      }
      let traits = header.traits.union(changes(of: found))
      return background == nil ? traits : traits.subtracting(.alpha)
    }
  }

  /// What is done to images of a shape when they are decoded.
  private func changes(of found: ImageShape) -> ImageTraits {
    var traits = resizer?.traits(found) ?? []
    if found.channels == 1 && shape.channels == 3 { traits.insert(.repeated) }
    if found.channels == 3 && shape.channels == 1 { traits.insert(.agreeing) }
    return traits
  }

  private func wrongColors(_ found: ImageShape, path: String) -> FileError {
    let names = [1: "gray", 3: "RGB"]
    return FileError(
      path,
      "is \(names[found.channels]!), expected \(names[shape.channels] ?? "\(shape.channels) channels") like "
        + (model == nil ? expected.like : "the model's images"))
  }

  private func check(_ found: ImageShape, path: String) throws {
    // Gray becomes RGB, and RGB gray where nothing is lost.
    if ![1, 3].contains(shape.channels) { throw wrongColors(found, path: path) }
    let wanted = expected.shape
    if acceptsAnySize || found.hasSize(of: shape) || found.hasSize(of: wanted) { return }
    let size = ImageShape(height: wanted.height, width: wanted.width, channels: found.channels)
    throw FileError(
      path,
      "is \(found), expected \(size) like \(expected.like)"
        + (model != nil && resizer == nil ? "" : "; bring all to one size with --image-size N"))
  }

  private static func first(
    _ names: NameList, in container: any Container
  ) throws -> (shape: ImageShape, like: String) {
    let file = try container.openImage(names.bytes(0))
    return (try file.withBytes { try ImageFile.header(of: $0, path: file.path).shape }, file.path)
  }
}
