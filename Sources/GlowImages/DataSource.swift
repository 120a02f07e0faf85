import Foundation
import GlowFiles

/// What the user may ask of any data set.
public struct DataOptions: Sendable {
  /// Bring every image to this height and width; nil leaves them as they are.
  public var imageSize: Int?
  public var resizing: Resizing = .box
  /// Use at most so many images: the first ones, or evenly spaced ones where the images stand class by class.
  public var limit: Int?
  /// Seed of the built-in faces.
  public var seed: UInt64 = 0

  public init() {}
}

/// A data set and what a person should know about it.
public struct OpenedData: Sendable {
  public let dataset: any Dataset
  /// The part that was opened, or nil if the data have no parts and everything is in `dataset`.
  public let part: DataPart?
  /// For instance "28×28 images are padded to 32×32: bits/dim is over the padded size".
  public let note: String?
  /// "CIFAR-10", "IDX", "images", ".npy" or "faces".
  public let kind: String
}

/// Opens data by looking at what is there.
public enum DataSource {
  static let recognised =
    "CIFAR-10 batches (data_batch_1.bin, test_batch.bin), IDX files (train-images-idx3-ubyte[.gz], "
    + "t10k-images-idx3-ubyte[.gz]), PNG images in one folder or one folder a class, a .npy file of bytes, "
    + "or the word 'faces'"

  /// - Parameter location: a folder of CIFAR-10 batches, of IDX files or of PNG images; a .npy file; or the
  ///   word "faces" for the built-in faces ("./faces" is a folder of that name).
  /// - Throws: `FileError`.
  public static func open(
    _ location: String, part: DataPart, options: DataOptions = DataOptions()
  ) throws -> OpenedData {
    if let size = options.imageSize, !(1...largestSize).contains(size) {
      throw FileError(location, "cannot be brought to image size \(size), expected 1 to \(largestSize)")
    }
    if let limit = options.limit, limit < 1 {
      throw FileError(location, "cannot be limited to \(limit) images, expected at least 1")
    }
    let opened = try find(withoutTrailingSlash(location), part: part, options: options)
    return limited(resized(opened, options), options)
  }

  private static let largestSize = 16384
  private static let faceCounts: [DataPart: Int] = [.train: 10_000, .test: 1_000]

  private static func find(_ location: String, part: DataPart, options: DataOptions) throws -> OpenedData {
    if location == "faces" {
      let count = options.limit ?? faceCounts[part]!
      let faces = FaceDataset(count: count, seed: options.seed, part: part)
      return OpenedData(dataset: faces, part: part, note: nil, kind: "faces")
    }
    if !FileManager.default.fileExists(atPath: location) {
      throw FileError(location, "no such file or folder")
    }
    if isFolder(location) { return try findInFolder(location, part: part, options: options) }
    if location.hasSuffix(".npy") {
      return OpenedData(dataset: try NumpyDataset(location), part: nil, note: nil, kind: ".npy")
    }
    throw FileError(location, "is not recognised, expected \(recognised)")
  }

  private static func findInFolder(
    _ folder: String, part: DataPart, options: DataOptions
  ) throws -> OpenedData {
    let names = try list(folder)
    if CIFARDataset.recognises(names) {
      let batches = try CIFARDataset(folder: folder, names: names, part: part)
      return OpenedData(dataset: batches, part: part, note: nil, kind: "CIFAR-10")
    }
    if IDXDataset.recognises(names) {
      let files = try IDXDataset(folder: folder, names: names, part: part)
      return OpenedData(dataset: files, part: part, note: nil, kind: "IDX")
    }
    // Files may differ in size, so a folder of images resizes them itself, before they have one shape.
    let resizer = options.imageSize.map { Resizer(size: $0, resizing: options.resizing) }
    let images = try ImageFolderDataset(folder: folder, names: names, part: part, resizer: resizer)
    let note = resizer?.note(images.firstShape)
    return OpenedData(dataset: images, part: images.part, note: note, kind: "images")
  }

  private static func resized(_ opened: OpenedData, _ options: DataOptions) -> OpenedData {
    guard let size = options.imageSize else { return opened }
    let resizer = Resizer(size: size, resizing: options.resizing)
    guard let note = resizer.note(opened.dataset.shape) else { return opened }
    let dataset = ResizedDataset(base: opened.dataset, resizer: resizer)
    return OpenedData(dataset: dataset, part: opened.part, note: note, kind: opened.kind)
  }

  private static func limited(_ opened: OpenedData, _ options: DataOptions) -> OpenedData {
    let base = opened.dataset
    guard let limit = options.limit, limit < base.count else { return opened }
    let isSortedByClass = opened.kind == "images" && !base.classNames.isEmpty
    let indices = (0..<limit).map { isSortedByClass ? $0 * base.count / limit : $0 }
    let subset = SubsetDataset(base: base, indices: indices)
    return OpenedData(dataset: subset, part: opened.part, note: opened.note, kind: opened.kind)
  }

  private static func withoutTrailingSlash(_ path: String) -> String {
    var path = path
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    return path
  }
}
