/// How a camera was held, as EXIF writes it (tag 274): what brings the stored image upright.
enum Orientation: Int {
  case upright = 1
  case mirrored, halfTurn, flipped, transposed, quarterRight, transversed, quarterLeft

  /// Whether height and width change places.
  var swapsSides: Bool { rawValue >= 5 }

  /// Reads the first directory of an EXIF block, which is a small TIFF file.
  ///
  /// - Parameter block: what follows "Exif\0\0".
  /// - Returns: nil if there is none that can be understood.
  init?(exif block: Slice<UnsafeRawBufferPointer>) {
    let bytes = UnsafeRawBufferPointer(rebasing: block)
    guard bytes.count >= 8 else { return nil }
    let isBigEndian = bytes.starts(with: "MM".utf8)
    if !isBigEndian && !bytes.starts(with: "II".utf8) { return nil }
    func number(_ start: Int, _ size: Int) -> Int? {
      guard start >= 0, start <= bytes.count - size else { return nil }
      let digits = bytes[start..<start + size]
      return (isBigEndian ? Array(digits) : digits.reversed()).reduce(0) { $0 << 8 | Int($1) }
    }
    guard number(2, 2) == 42, let directory = number(4, 4), let count = number(directory, 2) else {
      return nil
    }
    for entry in 0..<count {
      let start = directory + 2 + 12 * entry
      guard let tag = number(start, 2) else { return nil }
      if tag == 274, number(start + 2, 2) == 3, let value = number(start + 8, 2) {
        self.init(rawValue: value)
        return
      }
    }
    return nil
  }

  /// A shape as it is when it is upright, of the stored one; or the reverse.
  func turned(_ shape: ImageShape) -> ImageShape {
    swapsSides ? ImageShape(height: shape.width, width: shape.height, channels: shape.channels) : shape
  }

  /// Puts what `decode` writes, an image as it is stored, upright into `pixels`.
  ///
  /// - Parameter shape: of the image upright.
  func putUpright(
    _ shape: ImageShape, into pixels: UnsafeMutableBufferPointer<UInt8>,
    _ decode: (UnsafeMutableBufferPointer<UInt8>) throws -> Void
  ) rethrows {
    if self == .upright { return try decode(pixels) }
    var samples = [UInt8](repeating: 0, count: shape.count)
    try samples.withUnsafeMutableBufferPointer { try decode($0) }
    _ = pixels.update(fromContentsOf: apply(ByteImage(shape: turned(shape), pixels: samples)).pixels)
  }

  /// The image upright.
  func apply(_ image: ByteImage) -> ByteImage {
    if self == .upright { return image }
    let old = image.shape
    let shape = turned(old)
    var pixels: [UInt8] = []
    pixels.reserveCapacity(shape.count)
    for row in 0..<shape.height {
      for column in 0..<shape.width {
        let (bottom, right) = (old.height - 1, old.width - 1)
        let (y, x) =
          switch self {
          case .upright: (row, column)
          case .mirrored: (row, right - column)
          case .halfTurn: (bottom - row, right - column)
          case .flipped: (bottom - row, column)
          case .transposed: (column, row)
          case .quarterRight: (bottom - column, row)
          case .transversed: (bottom - column, right - row)
          case .quarterLeft: (column, right - row)
          }
        let start = (y * old.width + x) * old.channels
        pixels += image.pixels[start..<start + old.channels]
      }
    }
    return ByteImage(shape: shape, pixels: pixels)
  }
}
