/// Repeats the one channel of gray images three times, for models of RGB images.
enum GrayToRGB {
  static let note = "gray images are repeated in three channels"

  static func shape(_ shape: ImageShape) -> ImageShape {
    ImageShape(height: shape.height, width: shape.width, channels: 3)
  }

  static func convert(_ image: ByteImage) -> ByteImage {
    if image.shape.channels == 3 { return image }
    return ByteImage(shape: shape(image.shape), pixels: image.pixels.flatMap { [$0, $0, $0] })
  }

  /// The gray image that an RGB one is made of; nil if it has colors.
  static func invert(_ image: ByteImage) -> ByteImage? {
    if image.shape.channels == 1 { return image }
    let pixels = image.pixels
    for start in stride(from: 0, to: pixels.count, by: 3) {
      if pixels[start] != pixels[start + 1] || pixels[start] != pixels[start + 2] { return nil }
    }
    let shape = ImageShape(height: image.shape.height, width: image.shape.width, channels: 1)
    return ByteImage(shape: shape, pixels: stride(from: 0, to: pixels.count, by: 3).map { pixels[$0] })
  }
}

extension ByteImage {
  /// The same image with three channels, or with one if it has no colors; nil if that cannot be.
  public func with(channels: Int) -> ByteImage? {
    switch channels {
    case 1: GrayToRGB.invert(self)
    case 3: GrayToRGB.convert(self)
    default: nil
    }
  }
}

/// Another data set's gray images as RGB ones.
struct GrayToRGBDataset: Dataset {
  let base: any Dataset

  var shape: ImageShape { GrayToRGB.shape(base.shape) }
  var count: Int { base.count }
  var classNames: [String] { base.classNames }
  func label(_ index: Int) -> Int? { base.label(index) }
  var attributeNames: [String] { base.attributeNames }
  func attributes(_ index: Int) -> [Bool]? { base.attributes(index) }
  func source(_ index: Int) -> String { base.source(index) }
  func fingerprint(_ index: Int) -> Int? { base.fingerprint(index) }
  func contentHash(_ index: Int) throws -> UInt64 { try base.contentHash(index) }
  func check(_ index: Int) throws -> ImageTraits { try base.check(index) }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    let (image, traits) = try base.imageAndTraits(index)
    _ = pixels.update(fromContentsOf: GrayToRGB.convert(image).pixels)
    return traits
  }
}
