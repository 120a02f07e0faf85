import GlowImages

/// The built-in faces in any shape: nearest pixels, the first channels, and classes in turn.
struct Pictures: Dataset {
  let shape: ImageShape
  let classCount: Int
  let faces: FaceDataset

  init(_ shape: ImageShape, classCount: Int, count: Int, part: DataPart) {
    self.shape = shape
    self.classCount = classCount
    faces = FaceDataset(count: count, seed: 0, part: part)
  }

  var count: Int { faces.count }
  var classNames: [String] { (0..<classCount).map { "class \($0)" } }
  func label(_ index: Int) -> Int? { classCount > 0 ? index % classCount : nil }
  func source(_ index: Int) -> String { faces.source(index) }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    let face = try faces.image(index)
    for row in 0..<shape.height {
      for column in 0..<shape.width {
        let source =
          row * face.shape.height / shape.height * face.shape.width
          + column * face.shape.width / shape.width
        for channel in 0..<shape.channels {
          pixels[(row * shape.width + column) * shape.channels + channel] =
            face.pixels[source * face.shape.channels + channel]
        }
      }
    }
    return []
  }
}
