/// Height, width and channels of an image. Written "32×32×3".
public struct ImageShape: Sendable, Hashable, Codable, CustomStringConvertible {
  /// Pixels from top to bottom.
  public let height: Int
  /// Pixels from left to right.
  public let width: Int
  /// Values a pixel: 1 for gray, 3 for RGB.
  public let channels: Int

  /// A shape with these sides.
  public init(height: Int, width: Int, channels: Int) {
    self.height = height
    self.width = width
    self.channels = channels
  }

  /// Values of one image: height × width × channels.
  public var count: Int { height * width * channels }

  public var description: String { "\(height)×\(width)×\(channels)" }
}

/// An image of bytes as they were stored: no gamma, no premultiplied alpha.
public struct ByteImage: Sendable, Hashable {
  /// Height, width and channels.
  public let shape: ImageShape
  /// `[height, width, channels]`, row-major.
  ///
  /// - Precondition: there are `shape.count` of them; another number ends the program.
  public var pixels: [UInt8] { didSet { checkCount() } }

  /// An image of these bytes.
  ///
  /// - Precondition: there are `shape.count` of them; another number ends the program.
  public init(shape: ImageShape, pixels: [UInt8]) {
    self.shape = shape
    self.pixels = pixels
    checkCount()
  }

  private func checkCount() {
    precondition(pixels.count == shape.count, "an image of \(shape) has \(shape.count) bytes")
  }
}

/// The customary parts of a data set.
public enum DataPart: String, Sendable, CaseIterable {
  /// Images to learn from.
  case train
  /// Held-out images to choose a model by.
  case valid
  /// Held-out images to measure a model with.
  case test
}

/// Images of one shape in a fixed order, read when asked for. Safe to read from several threads.
package protocol Dataset: Sendable {
  var shape: ImageShape { get }
  var count: Int { get }

  /// Names of the classes, empty if the images are unlabeled.
  var classNames: [String] { get }
  /// The image's class as an index into `classNames`.
  func label(_ index: Int) -> Int?

  /// Names of the yes-or-no attributes (CelebA's convention), empty if there are none.
  var attributeNames: [String] { get }
  /// The image's attributes in the order of `attributeNames`.
  func attributes(_ index: Int) -> [Bool]?

  /// Where the image comes from: "dir/a.png", "dir/data_batch_1.bin#17", "faces#3".
  func source(_ index: Int) -> String

  /// What tells without reading it whether an image is the one that it was: a number made of the name and the size of its
  /// file, for instance. Nil if nothing does, as where images stand in one array.
  func fingerprint(_ index: Int) -> Int?

  /// A hash of an image as it is stored, whatever is done to it when it is read: of the bytes of its file, or of its pixels.
  ///
  /// - Throws: `FileError`.
  func contentHash(_ index: Int) throws -> UInt64

  /// Reads one image as `[height, width, channels]` into `pixels`, which has `shape.count` bytes.
  ///
  /// - Returns: what a person should know about the image, now that its pixels are known.
  /// - Throws: `FileError`.
  @discardableResult
  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits

  /// Checks the header of one image, which is cheap.
  ///
  /// - Returns: what a person should know about the image.
  /// - Throws: `FileError` if it does not fit.
  @discardableResult
  func check(_ index: Int) throws -> ImageTraits
}

extension Dataset {
  package var classNames: [String] { [] }
  package func label(_ index: Int) -> Int? { nil }
  package var attributeNames: [String] { [] }
  package func attributes(_ index: Int) -> [Bool]? { nil }
  package func fingerprint(_ index: Int) -> Int? { nil }
  package func contentHash(_ index: Int) throws -> UInt64 { ContentHash.of(try image(index).pixels) }
  package func check(_ index: Int) throws -> ImageTraits { [] }

  /// Checks the header of every image before a long job relies on them.
  ///
  /// - Parameter progress: is told how many images of how many are done.
  /// - Returns: what was found, for a person to read; nil if that is nothing.
  /// - Throws: `FileError` naming the first file that does not fit.
  @discardableResult
  package func checkAll(progress: (_ done: Int, _ count: Int) -> Void = { _, _ in }) throws -> String? {
    var found = TraitCounts()
    for index in 0..<count {
      found.add(try check(index))
      progress(index + 1, count)
    }
    return found.note
  }

  /// Reads one image.
  ///
  /// - Throws: `FileError`.
  package func image(_ index: Int) throws -> ByteImage { try imageAndTraits(index).image }

  /// Reads one image, with what a person should know about it.
  ///
  /// - Throws: `FileError`.
  func imageAndTraits(_ index: Int) throws -> (image: ByteImage, traits: ImageTraits) {
    var traits: ImageTraits = []
    let pixels = try [UInt8](unsafeUninitializedCapacity: shape.count) { buffer, count in
      traits = try read(index, into: UnsafeMutableBufferPointer(rebasing: buffer[..<shape.count]))
      count = shape.count
    }
    return (ByteImage(shape: shape, pixels: pixels), traits)
  }
}

extension Dataset {
  /// Whether half of the values or more are 0 or 255, as in digits and drawings, judged by a few images.
  package var isMostlyExtreme: Bool { (extremeShare ?? 0) >= 0.5 }

  /// The share of values that are 0 or 255 among 256 images that lie evenly among all, or all of fewer; nil if one of them
  /// cannot be read.
  package var extremeShare: Double? {
    let taken = min(256, count)
    var extremes = 0
    for place in 0..<taken {
      guard let pixels = try? image(place * count / taken).pixels else { return nil }
      extremes += pixels.count { $0 == 0 || $0 == 255 }
    }
    return taken == 0 ? nil : Double(extremes) / Double(taken * shape.count)
  }
}
