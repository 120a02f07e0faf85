/// A data set of images in memory.
public struct ImageArray: Dataset {
  public let shape: ImageShape
  public let images: [ByteImage]
  private let label: Int?

  /// - Parameters:
  ///   - images: at least one; all of one shape.
  ///   - label: the class of all of them.
  public init(_ images: [ByteImage], label: Int? = nil) {
    precondition(!images.isEmpty && images.allSatisfy { $0.shape == images[0].shape })
    shape = images[0].shape
    self.images = images
    self.label = label
  }

  public var count: Int { images.count }
  public var classNames: [String] { [] }
  public var attributeNames: [String] { [] }
  public func label(_ index: Int) -> Int? { label }
  public func attributes(_ index: Int) -> [Bool]? { nil }
  public func source(_ index: Int) -> String { "image \(index)" }

  public func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) {
    _ = pixels.update(fromContentsOf: images[index].pixels)
  }
}
