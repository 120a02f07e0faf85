/// Many images on one.
package enum ImageGrid {
  /// Puts images of one shape side by side, row by row from the top left, on a ground of zeros.
  ///
  /// - Parameters:
  ///   - images: at least one.
  ///   - columns: images in a row; nil makes the grid nearly square.
  ///   - scale: height and width on the grid of one pixel.
  ///   - spacing: pixels of the grid between neighboring images.
  package static func arrange(
    _ images: [ByteImage], columns: Int? = nil, scale: Int = 1, spacing: Int = 2
  ) -> ByteImage {
    precondition(!images.isEmpty, "a grid needs an image")
    precondition(scale >= 1 && spacing >= 0 && columns ?? 1 >= 1)
    let shape = images[0].shape
    precondition(images.allSatisfy { $0.shape == shape }, "images of a grid have one shape")
    let columns = min(columns ?? Int(Double(images.count).squareRoot().rounded(.up)), images.count)
    let rows = (images.count + columns - 1) / columns
    let (height, width) = (shape.height * scale, shape.width * scale)
    let grid = ImageShape(
      height: rows * (height + spacing) - spacing, width: columns * (width + spacing) - spacing,
      channels: shape.channels)
    var pixels = [UInt8](repeating: 0, count: grid.count)
    for (index, image) in images.enumerated() {
      let top = index / columns * (height + spacing)
      let left = index % columns * (width + spacing)
      for row in 0..<height {
        for column in 0..<width {
          let source = (row / scale * shape.width + column / scale) * shape.channels
          let target = ((top + row) * grid.width + left + column) * shape.channels
          for channel in 0..<shape.channels { pixels[target + channel] = image.pixels[source + channel] }
        }
      }
    }
    return ByteImage(shape: grid, pixels: pixels)
  }

  /// Takes a grid apart that `arrange` made with scale 1, its images in order and empty places with them.
  ///
  /// - Returns: nil if images of `shape` do not fill the grid exactly.
  package static func split(_ grid: ByteImage, into shape: ImageShape, spacing: Int = 2) -> [ByteImage]? {
    let (rows, restBelow) = (grid.shape.height + spacing).quotientAndRemainder(
      dividingBy: shape.height + spacing)
    let (columns, restBeside) = (grid.shape.width + spacing).quotientAndRemainder(
      dividingBy: shape.width + spacing)
    guard restBelow == 0, restBeside == 0, grid.shape.channels == shape.channels else { return nil }
    return (0..<rows * columns).map { index in
      let (top, left) = (
        index / columns * (shape.height + spacing), index % columns * (shape.width + spacing)
      )
      let pixels = (top..<top + shape.height).flatMap { row in
        let start = (row * grid.shape.width + left) * shape.channels
        return grid.pixels[start..<start + shape.width * shape.channels]
      }
      return ByteImage(shape: shape, pixels: pixels)
    }
  }
}
