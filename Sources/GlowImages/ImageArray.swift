/// A data set of images in memory.
package struct ImageArray: Dataset {
  package let shape: ImageShape
  package let images: [ByteImage]
  private let label: Int?

  /// - Parameters:
  ///   - images: at least one; all of one shape.
  ///   - label: the class of all of them.
  package init(_ images: [ByteImage], label: Int? = nil) {
    precondition(!images.isEmpty && images.allSatisfy { $0.shape == images[0].shape })
    shape = images[0].shape
    self.images = images
    self.label = label
  }

  package var count: Int { images.count }
  package var classNames: [String] { [] }
  package var attributeNames: [String] { [] }
  package func label(_ index: Int) -> Int? { label }
  package func attributes(_ index: Int) -> [Bool]? { nil }
  package func source(_ index: Int) -> String { "image \(index)" }

  package func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) -> ImageTraits {
    _ = pixels.update(fromContentsOf: images[index].pixels)
    return []
  }
}
