import Foundation
import GlowFiles

/// What the user may ask of any data set.
public struct DataOptions: Sendable {
  /// Bring every image to this height and width; nil leaves them as they are.
  public var imageSize: Int?
  public var resizing: Resizing = .box
  /// Use at most so many images: the first ones, or evenly spaced ones where the images stand class by class.
  public var limit: Int?
  /// Seed of the built-in faces and of the synthetic images.
  public var seed: UInt64 = 0
  /// The shape of the model that the images are for. Unless `imageSize` says otherwise, images of another size are
  /// brought to its side, if it is square and they are all of one size; a gray image is repeated in three channels
  /// if it is RGB. A folder then opens even if its first file cannot be read.
  public var modelShape: ImageShape?
  /// Read the list of attributes beside a folder of images, which must then name all of them.
  public var readsAttributes = false

  public init() {}

  /// What brings images to one size, if anything does.
  var resizer: Resizer? {
    let side = modelShape.flatMap { $0.height == $0.width ? $0.height : nil }
    return (imageSize ?? side).map { Resizer(size: $0, resizing: resizing) }
  }
}

/// A data set and what a person should know about it.
public struct OpenedData: Sendable {
  public let dataset: any Dataset
  /// The part that was opened, or nil if the data have no parts and everything is in `dataset`.
  public let part: DataPart?
  /// For instance "28×28 images are padded to 32×32: bits/dim is over the padded size".
  public let note: String?
  /// "CIFAR-10", "IDX", "images", ".npy", "faces", "constant" or "noise".
  public let kind: String

  /// The same knowledge about another view of the images.
  public func with(_ dataset: any Dataset) -> OpenedData {
    OpenedData(dataset: dataset, part: part, note: note, kind: kind)
  }
}

/// Opens data by looking at what is there.
public enum DataSource {
  static let recognized =
    "CIFAR-10 batches (data_batch_1.bin, test_batch.bin), IDX files (train-images-idx3-ubyte[.gz], "
    + "t10k-images-idx3-ubyte[.gz]), PNG images in one folder or one folder a class, a .npy file of bytes, "
    + "or one of the words 'faces', 'constant' and 'noise'"

  /// - Parameter location: a folder of CIFAR-10 batches, of IDX files or of PNG images; a .npy file; or one of the
  ///   words "faces" for the built-in faces, "constant" for images of one color and "noise" for uniform noise, these
  ///   two of the model's shape or 32×32×3 ("./faces" is a folder of that name).
  /// - Throws: `FileError`.
  public static func open(
    _ location: String, part: DataPart, options: DataOptions = DataOptions()
  ) throws -> OpenedData {
    if let size = options.imageSize, !(1...PNG.maximumSide).contains(size) {
      throw FileError(location, "cannot be brought to image size \(size), expected 1 to \(PNG.maximumSide)")
    }
    if let limit = options.limit, limit < 1 {
      throw FileError(location, "cannot be limited to \(limit) images, expected at least 1")
    }
    let opened = try find(withoutTrailingSlash(location), part: part, options: options)
    return limited(resized(repeated(opened, options), options), options)
  }

  private static let builtInCounts: [DataPart: Int] = [.train: 10_000, .test: 1_000]

  private static func find(_ location: String, part: DataPart, options: DataOptions) throws -> OpenedData {
    if location == "faces" {
      let count = options.limit ?? builtInCounts[part]!
      let faces = FaceDataset(count: count, seed: options.seed, part: part)
      return OpenedData(dataset: faces, part: part, note: nil, kind: "faces")
    }
    if let kind = SyntheticDataset.Kind(rawValue: location) {
      let images = SyntheticDataset(
        kind, shape: options.modelShape ?? ImageShape(height: 32, width: 32, channels: 3),
        count: options.limit ?? builtInCounts[part]!, seed: options.seed, part: part)
      return OpenedData(dataset: images, part: part, note: nil, kind: location)
    }
    if !FileManager.default.fileExists(atPath: location) {
      throw FileError(location, "no such file or folder")
    }
    if RawPath(location).isFolder { return try findInFolder(location, part: part, options: options) }
    if location.hasSuffix(".npy") {
      return OpenedData(dataset: try NumpyDataset(location), part: nil, note: nil, kind: ".npy")
    }
    throw FileError(location, "is not recognized, expected \(recognized)")
  }

  private static func findInFolder(
    _ folder: String, part: DataPart, options: DataOptions
  ) throws -> OpenedData {
    let names = try RawPath(folder).list()
    let others = (0..<names.count).filter { !ImageFolderDataset.isPNG(names.bytes($0)) }.map { names[$0] }
    if CIFARDataset.recognizes(others) {
      let batches = try CIFARDataset(folder: folder, names: others, part: part)
      return OpenedData(dataset: batches, part: part, note: nil, kind: "CIFAR-10")
    }
    if IDXDataset.recognizes(others) {
      let files = try IDXDataset(folder: folder, names: others, part: part)
      return OpenedData(dataset: files, part: part, note: nil, kind: "IDX")
    }
    // Files may differ in size, so a folder of images converts them itself, before they have one shape.
    let images = try ImageFolderDataset(folder: folder, names: names, part: part, options: options)
    return OpenedData(dataset: images, part: images.part, note: images.note, kind: "images")
  }

  /// Gray images for an RGB model.
  private static func repeated(_ opened: OpenedData, _ options: DataOptions) -> OpenedData {
    guard options.modelShape?.channels == 3, opened.dataset.shape.channels == 1 else { return opened }
    return OpenedData(
      dataset: GrayToRGBDataset(base: opened.dataset), part: opened.part, note: GrayToRGB.note,
      kind: opened.kind)
  }

  private static func resized(_ opened: OpenedData, _ options: DataOptions) -> OpenedData {
    guard let resizer = options.resizer, let note = resizer.note(opened.dataset.shape) else { return opened }
    let dataset = ResizedDataset(base: opened.dataset, resizer: resizer)
    let notes = [opened.note, note].compactMap { $0 }.joined(separator: "; ")
    return OpenedData(dataset: dataset, part: opened.part, note: notes, kind: opened.kind)
  }

  private static func limited(_ opened: OpenedData, _ options: DataOptions) -> OpenedData {
    let base = opened.dataset
    guard let limit = options.limit, limit < base.count else { return opened }
    let isSortedByClass = opened.kind == "images" && !base.classNames.isEmpty
    let subset =
      isSortedByClass ? base.spread(over: limit) : SubsetDataset(base: base, indices: Array(0..<limit))
    return OpenedData(dataset: subset, part: opened.part, note: opened.note, kind: opened.kind)
  }

  private static func withoutTrailingSlash(_ path: String) -> String {
    var path = path
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    return path
  }
}
