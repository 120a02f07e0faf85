/// How an image that is larger than wanted becomes smaller.
package enum Resizing: String, Sendable, CaseIterable {
  /// The center square is averaged over areas.
  case box
  /// The center is cut out.
  case crop
}

/// Brings images to a square of `size`: larger ones by `resizing`, and sides that are smaller are padded with
/// zeros on both sides, the odd one at the end. An image with one side smaller is cut, not averaged.
package struct Resizer: Sendable {
  package let size: Int
  package let resizing: Resizing
  /// The side of a square in the center that alone is used; nil uses the image as it is.
  package let crop: Int?

  package init(size: Int, resizing: Resizing, crop: Int? = nil) {
    self.size = size
    self.resizing = resizing
    self.crop = crop
  }

  /// The shape that images of `shape` are brought to.
  func shape(_ shape: ImageShape) -> ImageShape {
    ImageShape(height: size, width: size, channels: shape.channels)
  }

  package func resize(_ image: ByteImage) -> ByteImage {
    let image = crop.map { centered(image, height: $0, width: $0) } ?? image
    let shape = image.shape
    if shape.height == size && shape.width == size { return image }
    let side = min(shape.height, shape.width)
    if resizing == .box && side > size { return averaged(centered(image, height: side, width: side)) }
    return centered(image, height: size, width: size)
  }

  /// What happens to images of `shape`, for a person to read; nil if nothing does.
  package func note(_ shape: ImageShape) -> String? {
    if let crop, (shape.height, shape.width) != (crop, crop) {
      let rest = Resizer(size: size, resizing: resizing).note(
        ImageShape(height: crop, width: crop, channels: shape.channels))
      let how = min(shape.height, shape.width) < crop ? "cropped and padded" : "cropped"
      return "\(shape.height)×\(shape.width) images are \(how) to \(crop)×\(crop)"
        + (rest.map { ", and then \($0)" } ?? "")
    }
    if shape.height == size && shape.width == size { return nil }
    let (from, to) = ("\(shape.height)×\(shape.width) images are", "to \(size)×\(size)")
    let side = min(shape.height, shape.width)
    if side > size && resizing == .box && shape.height != shape.width {
      return "\(from) cropped to \(side)×\(side) and averaged \(to)"
    }
    if side >= size {
      let how = resizing == .crop || side == size ? "cropped" : "averaged"
      return "\(from) \(how) \(to)"
    }
    let how = max(shape.height, shape.width) > size ? "cropped and padded" : "padded"
    return "\(from) \(how) \(to): bits/dim is over the padded size"
  }

  /// What happens to images of `shape`, as `note` has it.
  func traits(_ shape: ImageShape) -> ImageTraits {
    let (least, most) = (min(shape.height, shape.width), max(shape.height, shape.width))
    func centered(_ side: Int) -> ImageTraits {
      var traits: ImageTraits = []
      if most > side { traits.insert(.cut) }
      if least < side { traits.insert(.padded) }
      return traits
    }
    if let crop, (shape.height, shape.width) != (crop, crop) {
      let square = ImageShape(height: crop, width: crop, channels: shape.channels)
      return centered(crop).union(Resizer(size: size, resizing: resizing).traits(square))
    }
    if resizing == .box && least > size { return centered(least).union(.reduced) }
    return centered(size)
  }

  /// The center of the image on a ground of zeros.
  private func centered(_ image: ByteImage, height: Int, width: Int) -> ByteImage {
    let (old, channels) = (image.shape, image.shape.channels)
    let rows = Overlap(old.height, height)
    let columns = Overlap(old.width, width)
    let shape = ImageShape(height: height, width: width, channels: channels)
    var pixels = [UInt8](repeating: 0, count: shape.count)
    let length = columns.count * channels
    pixels.withUnsafeMutableBytes { pixels in
      image.pixels.withUnsafeBytes { source in
        for row in 0..<rows.count {
          let from = ((rows.source + row) * old.width + columns.source) * channels
          let target = ((rows.target + row) * width + columns.target) * channels
          UnsafeMutableRawBufferPointer(rebasing: pixels[target..<target + length]).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: source[from..<from + length]))
        }
      }
    }
    return ByteImage(shape: shape, pixels: pixels)
  }

  /// Where the center of a line of `source` values lies in a line of `target` ones.
  private struct Overlap {
    let source: Int
    let target: Int
    let count: Int

    init(_ source: Int, _ target: Int) {
      count = min(source, target)
      self.source = (source - count) / 2
      self.target = (target - count) / 2
    }
  }

  /// Each pixel is the mean over the area it covers in a square image, rounded to the nearest. In whole numbers:
  /// with lengths in units of 1/size of an old pixel, a new one is `side` long and an old one `size`.
  private func averaged(_ image: ByteImage) -> ByteImage {
    // The largest sum is 255·side².
    image.shape.height <= 4096 ? averaged(image, UInt32.self) : averaged(image, UInt64.self)
  }

  private func averaged<Sum: FixedWidthInteger & UnsignedInteger>(_ image: ByteImage, _: Sum.Type)
    -> ByteImage
  {
    let (side, channels) = (image.shape.height, image.shape.channels)
    // The old pixels that each new one covers, and how much of each.
    let spans = (0..<size).map { position in
      position * side / size..<((position + 1) * side - 1) / size + 1
    }
    let weights = spans.enumerated().map { position, span in
      span.map { old in
        Sum(min((old + 1) * size, (position + 1) * side) - max(old * size, position * side))
      }
    }
    let shape = ImageShape(height: size, width: size, channels: channels)
    let (area, half) = (Sum(side * side), Sum(side * side / 2))
    let pixels = [UInt8](unsafeUninitializedCapacity: shape.count) { pixels, count in
      image.pixels.withUnsafeBufferPointer { old in
        // One row of sums over the height, then sums of those over the width.
        withUnsafeTemporaryAllocation(of: Sum.self, capacity: side * channels) { sums in
          for (rows, rowWeights) in zip(spans, weights) {
            sums.initialize(repeating: 0)
            for (row, weight) in zip(rows, rowWeights) {
              let from = UnsafeBufferPointer(
                rebasing: old[row * side * channels..<(row + 1) * side * channels])
              for index in 0..<side * channels {
                sums[index] &+= weight &* Sum(truncatingIfNeeded: from[index])
              }
            }
            for (columns, columnWeights) in zip(spans, weights) {
              columnWeights.withUnsafeBufferPointer { weights in
                for channel in 0..<channels {
                  var sum = half
                  for place in 0..<weights.count {
                    sum &+= weights[place] &* sums[(columns.lowerBound + place) * channels + channel]
                  }
                  pixels[count] = UInt8(truncatingIfNeeded: sum / area)
                  count += 1
                }
              }
            }
          }
        }
      }
    }
    return ByteImage(shape: shape, pixels: pixels)
  }
}

/// Another data set's images, brought to one square size.
struct ResizedDataset: Dataset {
  let base: any Dataset
  let resizer: Resizer

  var shape: ImageShape { resizer.shape(base.shape) }
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
    _ = pixels.update(fromContentsOf: resizer.resize(image).pixels)
    return traits
  }
}
