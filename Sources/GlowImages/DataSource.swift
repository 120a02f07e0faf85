import Foundation
import GlowFiles
import GlowKernels

/// What the user may ask of any data set.
package struct DataOptions: Sendable {
  /// Bring every image to this height and width; nil leaves them as they are.
  package var imageSize: Int?
  package var resizing: Resizing = .box
  /// Use only the square of this side in the center of each image, before its size is changed.
  package var crop: Int?
  /// Where data have no parts: the share of the images that are the part test, by what they are; 0...1.
  package var holdOut: Double?
  /// Use at most so many images: the first ones, or evenly spaced ones where the images stand class by class.
  package var limit: Int?
  /// Seed of the built-in faces and of the synthetic images.
  package var seed: UInt64 = 0
  /// The shape of the model that the images are for. Unless `imageSize` says otherwise, images of another size are
  /// brought to its side, if it is square and they are all of one size; a gray image is repeated in three channels
  /// if it is RGB. A folder then opens even if its first file cannot be read.
  package var modelShape: ImageShape?
  /// Of CIFAR-100, the 20 coarse classes in place of the 100 fine ones.
  package var hasCoarseLabels = false
  /// How an array is to be understood; nil tells it from its dimensions.
  package var layout: ArrayLayout?
  /// What transparent pixels are laid on; nil takes their colors as stored.
  package var background: Background?
  /// Read the list of attributes beside a folder of images, which must then name all of them.
  package var readsAttributes = false

  package init() {}

  /// What brings images to one size, if anything does.
  var resizer: Resizer? {
    let side = modelShape.flatMap { $0.height == $0.width ? $0.height : nil }
    return (imageSize ?? side ?? crop).map { Resizer(size: $0, resizing: resizing, crop: crop) }
  }
}

/// A data set and what a person should know about it.
package struct OpenedData: Sendable {
  package let dataset: any Dataset
  /// The part that was opened, which is `valid` where `test` was asked for and is not there; nil if the data have no parts
  /// and everything is in `dataset`.
  package let part: DataPart?
  /// What was taken for what, what was left out, and what is done to the images: for instance "28×28 images are padded to
  /// 32×32: bits/dim is over the padded size".
  package let notes: [String]
  /// "CIFAR-10", "IDX", "images", ".npy", "faces", "constant" or "noise".
  package let kind: String

  init(_ dataset: any Dataset, part: DataPart?, notes: [String] = [], kind: String) {
    self.dataset = dataset
    self.part = part
    self.notes = notes
    self.kind = kind
  }

  /// All notes in one line, nil if there are none.
  package var note: String? { notes.isEmpty ? nil : notes.joined(separator: "; ") }

  /// What was opened, in one line: "images: train of 50,000 images of 32×32×3 in 10 classes; left out: 3 .txt".
  package var summary: String {
    let classes = dataset.classNames.count
    let what =
      "\(kind): \(part.map { "\($0) of " } ?? "")\(dataset.count.counted("image")) of \(dataset.shape)"
      + (classes == 0 ? "" : " in \(classes.counted("class", "classes"))")
    return ([what] + notes).joined(separator: "; ")
  }

  /// Whether `--layout` means something.
  package var isOfArrays: Bool { [".npy", ".npz"].contains(kind) }
  /// Whether there are coarse classes beside the fine ones.
  package var hasCoarseLabels: Bool { kind.hasPrefix("CIFAR-100") }

  /// The same knowledge about another view of the images.
  ///
  /// - Parameter note: one thing more to know.
  package func with(_ dataset: any Dataset, note: String? = nil) -> OpenedData {
    OpenedData(dataset, part: part, notes: notes + [note].compactMap { $0 }, kind: kind)
  }
}

/// Opens data by looking at what is there.
package enum DataSource {
  static let recognized =
    "PNG, JPEG or WebP images in one folder or one folder a class, CIFAR-10 batches (data_batch_1.bin, test_batch.bin), "
    + "IDX files (train-images-idx3-ubyte, t10k-images-idx3-ubyte), .npy or .npz arrays of bytes, SVHN's .mat files, "
    + "TFRecords, each in a folder, "
    + ".zip or .tar, or one of the words 'faces', 'constant' and 'noise'"

  /// The most images that may be asked for: of the built-in ones there are as many as that.
  package static let largestLimit = 100_000_000

  /// - Parameter location: a folder, .zip or .tar file of images, of CIFAR-10 batches, of IDX files or of arrays; one
  ///   .npy or .npz file; or one of the
  ///   words "faces" for the built-in faces, "constant" for images of one color and "noise" for uniform noise, these
  ///   two of the model's shape or 32×32×3 (with a slash, "faces/" or "./faces", it is a folder of that name).
  /// - Throws: `FileError`.
  package static func open(
    _ location: String, part: DataPart, options: DataOptions = DataOptions()
  ) throws -> OpenedData {
    if let size = options.imageSize, !(1...PNG.maximumSide).contains(size) {
      throw FileError(location, "cannot be brought to image size \(size), expected 1 to \(PNG.maximumSide)")
    }
    if let limit = options.limit, !(1...largestLimit).contains(limit) {
      throw FileError(location, "cannot be limited to \(limit) images, expected 1 to \(largestLimit)")
    }
    if let crop = options.crop, !(1...PNG.maximumSide).contains(crop) {
      throw FileError(location, "cannot be cropped to \(crop), expected 1 to \(PNG.maximumSide)")
    }
    if let share = options.holdOut, !(share > 0 && share < 1) {
      throw FileError(location, "cannot hold out \(share) of the images, expected a number between 0 and 1")
    }
    var opened =
      try options.holdOut == nil
      ? find(location, part: part, options: options) : withoutHeldOut(location, options)
    for note in unused(options, opened) + [darkness(opened)].compactMap({ $0 }) {
      opened = opened.with(opened.dataset, note: note)
    }
    if let share = options.holdOut {
      opened = try heldOut(opened, part: part, share: share, location)
    } else if opened.part == nil && part != .train {
      opened = opened.with(
        opened.dataset, note: "no parts: all images are taken for '\(part)'")
    }
    return limited(resized(repeated(opened, options), options), options)
  }

  /// What was asked for and changes nothing here, and what the classes' numbers do not say.
  private static func unused(_ options: DataOptions, _ opened: OpenedData) -> [String] {
    var notes: [String] = []
    if options.hasCoarseLabels && !opened.hasCoarseLabels {
      notes.append("--labels changes nothing: these are no images of CIFAR-100")
    }
    if let layout = options.layout, !opened.isOfArrays {
      notes.append("--layout \(layout.rawValue) changes nothing: these are no arrays")
    }
    let dataset = opened.dataset
    // Of a few images the first class may well have none.
    if dataset.classNames.first == "0", dataset.count >= 10 * dataset.classNames.count,
      !(0..<dataset.count).contains(where: { dataset.label($0) == 0 })
    {
      notes.append("no image is of class 0")
    }
    return notes
  }

  /// What is said of images that are nearly black, such as masks of a few levels; nil if a few of them are not.
  private static func darkness(_ opened: OpenedData) -> String? {
    // Of a few values nobody can say.
    if opened.dataset.shape.count < 256 || opened.notes.contains(where: { $0.contains(FolderProbe.darkness) })
    {
      return nil
    }
    let few = opened.dataset.spread(over: FolderProbe.largestCount)
    var largest: UInt8?
    for index in 0..<few.count {
      guard let found = try? few.image(index).pixels.max() else { continue }
      if found >= 16 { return nil }
      largest = max(largest ?? 0, found)
    }
    return largest.map {
      "the largest value of a few images is \($0) of 255" + FolderProbe.dark(Int($0), of: 255)
    }
  }

  private static let builtInCounts: [DataPart: Int] = [.train: 10_000, .test: 1_000]

  private static func find(_ location: String, part: DataPart, options: DataOptions) throws -> OpenedData {
    let path = withoutTrailingSlash(location)
    let isThere = FileManager.default.fileExists(atPath: path)
    // With a slash it is a path.
    if let opened = try builtIn(location, part: part, options: options) {
      return isThere
        ? opened.with(
          opened.dataset,
          note: "the built-in '\(location)' is meant, not what is called so here: that is ./\(location)")
        : opened
    }
    if !isThere { throw FileError(path, "no such file or folder") }
    return try find(in: container(path), part: part, options: options)
  }

  private static func find(
    in container: any Container, part: DataPart, options: DataOptions
  ) throws -> OpenedData {
    let opened = try findLayout(in: container, part: part, options: options)
    return opened.with(opened.dataset, note: container.note)
  }

  private static func findLayout(
    in container: any Container, part: DataPart, options: DataOptions
  ) throws -> OpenedData {
    let files = try DataFiles(container)
    let beside = try files.besideFirst(of: layouts.flatMap { try $0.sets(files) })
    for layout in layouts {
      if let opened = try layout.open(files, part, options) {
        return opened.with(opened.dataset, note: beside)
      }
    }
    if let opened = try ArchiveSet.open(files, part: part, { try find(in: $0, part: part, options: options) })
    {
      return opened
    }
    // Files may differ in size, so image files are converted by their data set, before they have one shape.
    let images: ImageFolderDataset
    do {
      images = try ImageFolderDataset(files.names, in: files.container, part: part, options: options)
    } catch {
      try files.refuseUnread()
      throw error
    }
    return OpenedData(
      images, part: images.part, notes: images.notes + [files.passedOver].compactMap { $0 }, kind: imageFiles)
  }

  /// What a data set is called that converts its images itself.
  static let imageFiles = "images"

  /// Whether a location is one of the words for images that come with the package.
  package static func isBuiltIn(_ location: String) -> Bool {
    location == "faces" || SyntheticDataset.Kind(rawValue: location) != nil
  }

  private static func builtIn(_ name: String, part: DataPart, options: DataOptions) throws -> OpenedData? {
    if !isBuiltIn(name) { return nil }
    let kind = SyntheticDataset.Kind(rawValue: name)
    guard let count = options.limit ?? builtInCounts[part], part != .valid else {
      throw FileError.missing(name, "has no part '\(part)', expected train or test")
    }
    guard let kind else {
      return OpenedData(FaceDataset(count: count, seed: options.seed, part: part), part: part, kind: name)
    }
    let shape = options.modelShape ?? ImageShape(height: 32, width: 32, channels: 3)
    return OpenedData(
      SyntheticDataset(kind, shape: shape, count: count, seed: options.seed, part: part), part: part,
      kind: name)
  }

  /// A folder, an archive or a single file, by what its first bytes say.
  private static func container(_ path: String) throws -> any Container {
    if RawPath(path).isFolder { return PlainFolder(path) }
    let file = try FileContent(MappedFile(path))
    if let archive = try Self.archive(file) { return archive }
    try UnreadFile.refuse(file.prefix(UnreadFile.startSize), path: path)
    return SingleFile(path)
  }

  /// Of a .tar.gz, which cannot be read in any order.
  private static let largestUnpacked = 1 << 31

  /// A .zip, .tar or .tar.gz file by its content; nil if it is none.
  ///
  /// - Throws: `FileError` if it is damaged; `MemoryError` if a .tar.gz does not fit when it is unpacked.
  static func archive(_ file: FileContent) throws -> (any Container)? {
    if ZipArchive.recognizes(file) { return try ZipArchive(file) }
    if TarArchive.recognizes(file) { return try TarArchive(file) }
    guard let key = try packedTar(file) else { return nil }
    do {
      let tar = try Unpacked.content(key) {
        let bytes = try file.withBytes {
          try Gzip.inflateAll($0, largest: largestUnpacked, path: file.path)
        }
        return FileContent(bytes, path: file.path)
      }
      return try TarArchive(tar, unpacked: key)
    } catch {
      // Its last bytes, which say how long the content is, are then others'.
      if try file.withBytes({ try Gzip.isCutOff($0, largest: largestUnpacked, path: file.path) }) {
        throw FileError(file.path, "is a .tar.gz file that is cut off: it has not come as a whole")
      }
      throw error
    }
  }

  /// What a .tar.gz file is unpacked to; nil if it is none.
  static func packedTar(_ file: FileContent) throws -> Unpacked.Key? {
    guard Gzip.recognizes(file) else { return nil }
    return try file.withBytes { bytes in
      guard let start = try? Gzip.inflate(bytes, limit: 512, path: file.path), TarArchive.recognizes(start)
      else { return nil }
      return Gzip.key(of: bytes, path: file.path)
    }
  }

  /// A way to keep many images in files.
  private struct Layout: Sendable {
    /// Names of files that are its own, those of each data set; none if there are none.
    let sets: @Sendable (DataFiles) throws -> [[String]]
    /// nil if there are none.
    let open: @Sendable (DataFiles, DataPart, DataOptions) throws -> OpenedData?
  }

  private static let layouts = [
    Layout(sets: CIFARDataset.sets, open: CIFARDataset.open),
    Layout(sets: IDXDataset.sets, open: IDXDataset.open),
    Layout(sets: MatlabDataset.sets, open: MatlabDataset.open),
    Layout(sets: RecordDataset.sets, open: RecordDataset.open),
    Layout(sets: ArrayFiles.sets, open: ArrayFiles.open),
  ]

  /// All images of data that hold none out by themselves: those without parts, or with the part `train` alone.
  ///
  /// - Throws: `FileError` if the data have other parts.
  private static func withoutHeldOut(_ location: String, _ options: DataOptions) throws -> OpenedData {
    let opened = try find(location, part: .train, options: options)
    if opened.part == nil { return opened }
    let other: OpenedData
    do { other = try find(location, part: .test, options: options) } catch let error as FileError
      where error.isOfMissing
    { return opened }
    throw FileError(
      location, "has a part '\(other.part ?? .test)': --hold-out is for data that hold no images out")
  }

  /// - Throws: `FileError` if an image cannot be read, or none is left.
  private static func heldOut(
    _ opened: OpenedData, part: DataPart, share: Double, _ location: String
  ) throws -> OpenedData {
    if part == .valid { throw FileError.missing(location, "has no part 'valid', expected train or test") }
    let chosen = try HeldOut.indices(of: opened.dataset, share: share, isHeldOut: part == .test)
    if chosen.isEmpty {
      throw FileError(location, "has no image left for the part '\(part)' with --hold-out \(share)")
    }
    let note = "\(chosen.count.grouped) of \(opened.dataset.count.counted("image")), the others are held out"
    return OpenedData(
      SubsetDataset(base: opened.dataset, indices: chosen), part: part,
      notes: opened.notes + [
        part == .train ? note : "\(chosen.count.grouped) held out of \(opened.dataset.count.counted("image"))"
      ],
      kind: opened.kind)
  }

  /// Gray images for an RGB model.
  private static func repeated(_ opened: OpenedData, _ options: DataOptions) -> OpenedData {
    guard options.modelShape?.channels == 3, opened.dataset.shape.channels == 1 else { return opened }
    return opened.with(GrayToRGBDataset(base: opened.dataset), note: GrayToRGB.note)
  }

  private static func resized(_ opened: OpenedData, _ options: DataOptions) -> OpenedData {
    guard opened.kind != imageFiles, let resizer = options.resizer,
      let note = resizer.note(opened.dataset.shape)
    else { return opened }
    return opened.with(ResizedDataset(base: opened.dataset, resizer: resizer), note: note)
  }

  private static func limited(_ opened: OpenedData, _ options: DataOptions) -> OpenedData {
    let base = opened.dataset
    guard let limit = options.limit, limit < base.count else { return opened }
    let isSortedByClass = opened.kind == imageFiles && !base.classNames.isEmpty
    return opened.with(
      isSortedByClass ? base.spread(over: limit) : SubsetDataset(base: base, indices: Array(0..<limit)))
  }

  private static func withoutTrailingSlash(_ path: String) -> String {
    var path = path
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    return path
  }
}
