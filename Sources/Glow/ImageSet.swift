import GlowImages

/// Images that a program makes or reads by itself. Asked from several threads at once.
public protocol ImageSource: Sendable {
  /// Of every image.
  var shape: ImageShape { get }
  /// Images in all.
  var count: Int { get }
  /// Names of the classes; by default there are none.
  var classNames: [String] { get }

  /// The image at a place, the same one each time.
  ///
  /// - Throws: whatever there is to say of an image that cannot be read.
  func image(_ index: Int) throws -> Image

  /// The image's class as an index into `classNames`; by default none.
  func label(_ index: Int) -> Int?

  /// What the image is called where one speaks of it; by default "image 17".
  func name(_ index: Int) -> String
}

extension ImageSource {
  public var classNames: [String] { [] }
  public func label(_ index: Int) -> Int? { nil }
  public func name(_ index: Int) -> String { "image \(index)" }
}

/// Images of one shape in a fixed order: to train on, or to score.
public struct ImageSet: Sendable {
  /// The customary parts of a data set.
  public typealias Part = DataPart

  let dataset: any Dataset

  init(_ dataset: any Dataset) { self.dataset = dataset }

  /// Opens images by looking at what is there: a folder, .zip or .tar of PNG, JPEG or WebP images, of CIFAR's batches, IDX
  /// files, SVHN's .mat or TFRecords; a .npy or .npz file; or one of the words "faces", "constant" and "noise" for
  /// built-in images.
  ///
  /// - Parameters:
  ///   - path: a folder, a file, or the name of built-in images.
  ///   - part: of data that have parts.
  ///   - size: the height and width to bring every image to; nil leaves them as they are.
  ///   - limit: use at most so many.
  /// - Throws: an error that says what was found and what was expected.
  public init(contentsOf path: String, part: Part = .train, size: Int? = nil, limit: Int? = nil) throws {
    var options = DataOptions()
    options.imageSize = size
    options.limit = limit
    dataset = try DataSource.open(path, part: part, options: options).dataset
  }

  /// Images of a program's own.
  public init(_ source: some ImageSource) { dataset = SourceDataset(source: source) }

  /// Images in memory.
  ///
  /// - Throws: if there is none, or they are not of one shape.
  public init(_ images: [Image]) throws {
    guard let first = images.first else { throw GlowError("a set needs an image at least") }
    if let other = images.first(where: { $0.shape != first.shape }) {
      throw GlowError("images of \(first.shape) and of \(other.shape) are no set: give all of one shape")
    }
    dataset = ImageArray(images)
  }

  /// Of every image.
  public var shape: ImageShape { dataset.shape }
  /// Images in all.
  public var count: Int { dataset.count }
  /// Names of the classes; empty if there are none.
  public var classNames: [String] { dataset.classNames }
  /// Names of the yes-or-no attributes; empty if there are none.
  public var attributeNames: [String] { dataset.attributeNames }

  /// The image at a place.
  ///
  /// - Precondition: the place is 0 to `count` − 1.
  /// - Throws: an error that names the image and what is wrong with it.
  public subscript(index: Int) -> Image { get throws { try dataset.image(index) } }

  /// The image's class as an index into `classNames`, if it has one.
  public func label(_ index: Int) -> Int? { dataset.label(index) }

  /// Where the image comes from: "dir/a.png", "dir/data_batch_1.bin#17".
  public func name(_ index: Int) -> String { dataset.source(index) }
}

/// What the other modules see of an image source.
struct SourceDataset: Dataset {
  let source: any ImageSource

  var shape: ImageShape { source.shape }
  var count: Int { source.count }
  var classNames: [String] { source.classNames }
  func label(_ index: Int) -> Int? { source.label(index) }
  func source(_ index: Int) -> String { source.name(index) }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    let image = try source.image(index)
    if image.shape != shape {
      throw GlowError("\(source.name(index)): is an image of \(image.shape), expected \(shape)")
    }
    _ = pixels.update(fromContentsOf: image.pixels)
    return []
  }
}
