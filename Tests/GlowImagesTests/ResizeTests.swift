import Testing

@testable import GlowImages

@Suite("Resizing")
struct ResizeTests {
  /// Every old pixel is cut into size×size equal pieces, which are then simply averaged.
  private func slowAverage(_ image: ByteImage, size: Int) -> ByteImage {
    let (side, channels) = (image.shape.height, image.shape.channels)
    var pixels: [UInt8] = []
    for row in 0..<size {
      for column in 0..<size {
        for channel in 0..<channels {
          var sum = 0.0
          for y in 0..<side {
            for x in 0..<side {
              let old = ((row * side + y) / size * side + (column * side + x) / size) * channels + channel
              sum += Double(image.pixels[old])
            }
          }
          pixels.append(UInt8((sum / Double(side * side) + 0.5).rounded(.down)))
        }
      }
    }
    return ByteImage(shape: ImageShape(height: size, width: size, channels: channels), pixels: pixels)
  }

  @Test("the box filter is the mean over areas", arguments: [(8, 4), (7, 3), (13, 12), (5, 1), (9, 9)])
  func box(side: Int, size: Int) {
    let image = testImage(side, side, 3)
    #expect(Resizer(size: size, resizing: .box).resize(image) == slowAverage(image, size: size))
  }

  @Test("an oblong image is first cut to its center square")
  func centerSquare() {
    let image = testImage(4, 7, 1)
    var square: [UInt8] = []
    for row in 0..<4 { square += image.pixels[row * 7 + 1..<row * 7 + 5] }
    let shape = ImageShape(height: 4, width: 4, channels: 1)
    let expected = slowAverage(ByteImage(shape: shape, pixels: square), size: 2)
    #expect(Resizer(size: 2, resizing: .box).resize(image) == expected)
  }

  @Test(
    "smaller images are padded in the middle, larger ones cut", arguments: [(2, 5), (5, 2), (3, 6), (7, 7)])
  func padAndCrop(height: Int, width: Int) {
    let size = 4
    let image = testImage(height, width, 3)
    let resized = Resizer(size: size, resizing: .crop).resize(image)
    func floorHalf(_ value: Int) -> Int { value >= 0 ? value / 2 : -((-value) / 2) }
    for row in 0..<size {
      for column in 0..<size {
        let (y, x) = (row + floorHalf(height - size), column + floorHalf(width - size))
        let isInside = (0..<height).contains(y) && (0..<width).contains(x)
        for channel in 0..<3 {
          let expected = isInside ? image.pixels[(y * width + x) * 3 + channel] : 0
          #expect(resized.pixels[(row * size + column) * 3 + channel] == expected)
        }
      }
    }
  }

  @Test("padding is said to count in bits/dim")
  func notes() {
    func note(_ height: Int, _ width: Int, _ size: Int, _ resizing: Resizing = .box) -> String? {
      Resizer(size: size, resizing: resizing).note(ImageShape(height: height, width: width, channels: 1))
    }
    #expect(note(28, 28, 28) == nil)
    #expect(note(28, 28, 32) == "28×28 images are padded to 32×32: bits/dim is over the padded size")
    #expect(note(218, 178, 64) == "218×178 images are cropped to 178×178 and averaged to 64×64")
    #expect(note(218, 178, 64, .crop) == "218×178 images are cropped to 64×64")
    #expect(note(20, 50, 32)?.hasPrefix("20×50 images are cropped and padded to 32×32") == true)
  }

  @Test("data sets of one size are resized and limited")
  func datasets() throws {
    let folder = try TestFolder()
    let images = (1...4).map { testImage(4, 4, 1, seed: $0) }
    let header = NumpyHeader(dataType: "|u1", shape: [4, 4, 4])
    let path = try folder.write(header.encoded() + images.flatMap(\.pixels), "a.npy")
    var options = DataOptions()
    options.imageSize = 2
    options.limit = 2
    let opened = try DataSource.open(path, part: .train, options: options)
    #expect(opened.dataset.count == 2 && opened.note == "4×4 images are averaged to 2×2")
    #expect(try opened.dataset.image(1) == slowAverage(images[1], size: 2))
  }
}

@Suite("Grids")
struct ImageGridTests {
  @Test("every pixel is where it belongs and the rest is zero", arguments: [(5, nil), (5, 2), (1, 4)])
  func arrange(count: Int, columns: Int?) {
    let images = (0..<count).map { testImage(2, 3, 3, seed: $0 + 1) }
    let (scale, spacing) = (2, 1)
    let grid = ImageGrid.arrange(images, columns: columns, scale: scale, spacing: spacing)
    let across = min(columns ?? 3, count)
    let down = (count + across - 1) / across
    #expect(grid.shape == ImageShape(height: down * 5 - 1, width: across * 7 - 1, channels: 3))
    for y in 0..<grid.shape.height {
      for x in 0..<grid.shape.width {
        let index = y / 5 * across + x / 7
        let isImage = y % 5 < 4 && x % 7 < 6 && index < count
        for channel in 0..<3 {
          let expected = isImage ? images[index].pixels[(y % 5 / 2 * 3 + x % 7 / 2) * 3 + channel] : 0
          #expect(grid.pixels[(y * grid.shape.width + x) * 3 + channel] == expected)
        }
      }
    }
  }

  @Test("a grid comes apart into the images that it was made of", arguments: [1, 2, 5, 16])
  func split(count: Int) throws {
    let images = (0..<count).map { testImage(2, 3, 3, seed: $0 + 1) }
    let parts = try #require(ImageGrid.split(ImageGrid.arrange(images, columns: 4), into: images[0].shape))
    #expect(Array(parts.prefix(count)) == images)
    #expect(parts.dropFirst(count).allSatisfy { $0.pixels.allSatisfy { $0 == 0 } })
  }

  @Test("what the images do not fill exactly is no grid of them")
  func misfits() {
    let grid = ImageGrid.arrange((0..<4).map { testImage(2, 3, 3, seed: $0) })
    for (height, width, channels) in [(2, 4, 3), (3, 3, 3), (2, 3, 1), (100, 100, 3)] {
      let shape = ImageShape(height: height, width: width, channels: channels)
      #expect(ImageGrid.split(grid, into: shape) == nil, "\(shape)")
    }
  }
}
