import GlowFiles

/// Where the bytes of many images stand in an array.
package enum ArrayLayout: String, Sendable, CaseIterable {
  /// [images, height, width, channels]; [images, height, width] if gray; [height, width, channels] of one image; [images, height ×
  /// width × channels] of square images.
  case channelsLast = "NHWC"
  /// [images, channels, height, width]; [channels, height, width] of one image.
  case channelsFirst = "NCHW"
  /// [images, channels × height × width] of square images, one channel after the other as in CIFAR-10.
  case planes
  /// [height, width] of one gray image.
  case gray = "HW"
}

/// Images of one shape whose bytes are reached by steps of the same length.
struct ImageStrides: Sendable, Equatable {
  let count: Int
  let shape: ImageShape
  /// Bytes from an image, a row, a column or a channel to the next.
  let image: Int
  let row: Int
  let column: Int
  let channel: Int

  /// What an array of bytes of these dimensions holds.
  ///
  /// - Parameters:
  ///   - wanted: how to understand it; nil tells it from the dimensions where they can mean one thing only.
  ///   - note: what was taken for what where a person might think otherwise.
  /// - Throws: `FileError` with the dimensions if they do not fit, or can mean two things.
  init(
    dimensions: [Int], isFortranOrdered: Bool, as wanted: ArrayLayout?, path: String, note: inout String?
  ) throws {
    let refusal = { (reason: String) in FileError(path, "has shape \(dimensions)\(reason)") }
    if dimensions.contains(0) { throw refusal(", expected at least one value") }
    var strides = [Int](repeating: 1, count: dimensions.count)
    let order = isFortranOrdered ? Array(dimensions.indices) : dimensions.indices.reversed()
    for (inner, outer) in zip(order, order.dropFirst()) {
      strides[outer] = strides[inner] * dimensions[inner]
    }

    func isChannels(_ axis: Int) -> Bool { dimensions[axis] == 1 || dimensions[axis] == 3 }
    func isAlpha(_ axis: Int) -> Bool { dimensions[axis] == 2 || dimensions[axis] == 4 }
    /// - Parameter axes: of images, rows, columns and channels; nil where the array has none.
    func make(_ axes: [Int?]) -> ImageStrides {
      let sizes = axes.map { $0.map { dimensions[$0] } ?? 1 }
      let steps = axes.map { $0.map { strides[$0] } ?? 0 }
      return ImageStrides(
        count: sizes[0], shape: ImageShape(height: sizes[1], width: sizes[2], channels: sizes[3]),
        image: steps[0],
        row: steps[1], column: steps[2], channel: steps[3])
    }
    let choose = ": choose with --layout NHWC or NCHW"
    let withoutAlpha = "whose last channel is to be left out (a[..., :3], or [..., :1] if it is gray)"
    switch (dimensions.count, wanted) {
    case (4, nil) where isChannels(1) && isChannels(3):
      throw refusal(
        ", which may be [images, height, width, channels] or [images, channels, height, width]" + choose)
    case (4, nil) where isChannels(3), (4, .channelsLast) where isChannels(3): self = make([0, 1, 2, 3])
    case (4, nil) where isChannels(1), (4, .channelsFirst) where isChannels(1),
      (4, .planes) where isChannels(1):
      self = make([0, 2, 3, 1])
      note = "an array \(dimensions) is taken for [images, channels, height, width]"
    case (3, nil) where dimensions[0] == 3 && !isChannels(2):
      throw refusal(
        ", which may be three gray images (--layout NHWC) or one of [channels, height, width] (--layout NCHW)"
      )
    case (3, .channelsFirst) where isChannels(0): self = make([nil, 1, 2, 0])
    case (3, nil) where isChannels(2), (3, .channelsLast) where isChannels(2):
      self = make([nil, 0, 1, 2])
      note = "an array \(dimensions) is taken for one image [height, width, channels]"
    case (3, nil) where isAlpha(2) && dimensions[1] != dimensions[2]:
      throw refusal(
        ", which may be one image with transparency, \(withoutAlpha), or \(dimensions[0]) gray images of "
          + "\(dimensions[1])×\(dimensions[2]) (--layout NHWC)")
    case (3, nil) where max(dimensions[1], dimensions[2]) > 4 * min(dimensions[1], dimensions[2]):
      throw refusal(
        ", which may be one image of \(dimensions[2]) channels, or \(dimensions[0]) gray images of "
          + "\(dimensions[1])×\(dimensions[2]) (--layout NHWC)")
    case (3, nil), (3, .channelsLast): self = make([0, 1, 2, nil])
    case (2, .gray):
      self = make([nil, 0, 1, nil])
      note = "an array \(dimensions) is taken for one gray image"
    case (2, nil), (2, .planes), (2, .channelsFirst), (2, .channelsLast):
      let (channels, side) = Self.square(dimensions[1])
      guard side > 0 else {
        throw refusal(
          ", expected [images, values] of square images, or [images, height, width]; of one gray image with --layout HW"
        )
      }
      // A photograph is about as high as wide, or a few times as much; rows that are images are many more, or few.
      let isLikePhotograph = max(dimensions[0], dimensions[1]) <= 4 * min(dimensions[0], dimensions[1])
      if wanted == nil && (channels == 1 || isLikePhotograph) {
        throw refusal(
          ", which may be one gray image (--layout HW) or \(dimensions[0]) of \(side)×\(side)×\(channels) values (--layout "
            + "planes\(channels == 1 ? "" : ", or NHWC if the values of a pixel follow each other"))")
      }
      let step = strides[1]
      let isOfPlanes = wanted != .channelsLast
      self = ImageStrides(
        count: dimensions[0], shape: ImageShape(height: side, width: side, channels: channels),
        image: strides[0], row: step * side * (isOfPlanes ? 1 : channels),
        column: step * (isOfPlanes ? 1 : channels), channel: step * (isOfPlanes ? side * side : 1))
      note =
        "an array \(dimensions) is taken for [images, "
        + (isOfPlanes ? "channels × \(side) × \(side)]" : "\(side) × \(side) × channels]")
    case (4, _) where isAlpha(3) && !isChannels(1):
      throw refusal(
        ", expected [images, height, width, 1 or 3]: these may be images with transparency, \(withoutAlpha)")
    default:
      throw refusal(
        ", expected [images, height, width, 1 or 3], [images, 1 or 3, height, width], [images, height, width] or "
          + "[images, channels × side × side]" + (wanted.map { " that fits --layout \($0.rawValue)" } ?? ""))
    }
  }

  init(count: Int, shape: ImageShape, image: Int, row: Int, column: Int, channel: Int) {
    self.count = count
    self.shape = shape
    (self.image, self.row, self.column, self.channel) = (image, row, column, channel)
  }

  /// Channels and side of a square image of so many values; a side of 0 if there is none.
  private static func square(_ count: Int) -> (channels: Int, side: Int) {
    for channels in [3, 1] where count % channels == 0 {
      let side = Int(Double(count / channels).squareRoot().rounded())
      if side * side == count / channels { return (channels, side) }
    }
    return (1, 0)
  }

  /// Copies one image as `[height, width, channels]`.
  ///
  /// - Parameter bytes: of all images.
  func copy(_ index: Int, of bytes: UnsafeRawBufferPointer, into pixels: UnsafeMutableBufferPointer<UInt8>) {
    precondition((0..<count).contains(index) && pixels.count >= shape.count)
    let start = index * image
    if channel == 1 || shape.channels == 1, column == shape.channels, row == shape.width * shape.channels {
      UnsafeMutableRawBufferPointer(pixels).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + shape.count]))
      return
    }
    var target = 0
    for y in 0..<shape.height {
      for x in 0..<shape.width {
        let pixel = start + y * row + x * column
        for c in 0..<shape.channels {
          pixels[target] = bytes[pixel + c * channel]
          target += 1
        }
      }
    }
  }
}
