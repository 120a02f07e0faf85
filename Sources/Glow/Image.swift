import GlowImages

/// An image of bytes: `pixels` are [height, width, channels], row by row.
public typealias Image = ByteImage

extension ByteImage {
  /// Reads a PNG, JPEG or WebP file.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - size: the height and width to bring the image to, as `ImageSet` does; nil leaves it as it is.
  /// - Throws: an error that names the file and what is wrong with it.
  public init(contentsOf path: String, size: Int? = nil) throws {
    self = try ImageFile.read(path)
    guard let size else { return }
    let sizes = 1...PNG.maximumSide
    if !sizes.contains(size) {
      throw GlowError("\(path): cannot be brought to size \(size), expected 1 to \(sizes.upperBound)")
    }
    self = Resizer(size: size, resizing: .box).resize(self)
  }

  /// Writes a PNG file: the whole one, or none.
  ///
  /// - Throws: an error that names the file and what is wrong.
  public func write(to path: String) throws { try PNG.write(self, to: path) }

  /// Images of one shape side by side, row by row, two pixels apart.
  ///
  /// - Precondition: there is an image, and all are of one shape; `columns` and `scale` are at least 1.
  /// - Parameters:
  ///   - images: at least one.
  ///   - columns: images in a row; nil makes the grid nearly square.
  ///   - scale: height and width on the grid of one pixel.
  public static func grid(_ images: [ByteImage], columns: Int? = nil, scale: Int = 1) -> ByteImage {
    ImageGrid.arrange(images, columns: columns, scale: scale)
  }
}
