/// Stands in until the generator of faces is merged.
public struct FaceDataset: Dataset {
  public let shape = ImageShape(height: 32, width: 32, channels: 3)
  public let count: Int

  public init(count: Int, seed: UInt64, part: DataPart) { self.count = count }

  public func source(_ index: Int) -> String { "faces#\(index)" }

  public func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws {
    pixels.update(repeating: 0)
  }
}
