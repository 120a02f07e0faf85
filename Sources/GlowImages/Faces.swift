/// The built-in data set: cartoon faces drawn when asked for, with attributes and without classes.
///
/// Image i depends on the seed, the part and i alone; a larger count only adds images at the end.
public struct FaceDataset: Dataset {
  public let count: Int
  public let seed: UInt64
  public let part: DataPart

  /// - Parameter count: How many faces, at least 0.
  public init(count: Int, seed: UInt64, part: DataPart) {
    precondition(count >= 0, "a data set cannot hold \(count) faces")
    self.count = count
    self.seed = seed
    self.part = part
  }

  public var shape: ImageShape { FaceDrawing.shape }
  public var classNames: [String] { [] }
  public func label(_ index: Int) -> Int? { nil }

  /// Named as in the list of CelebA (Liu et al., ICCV 2015).
  public var attributeNames: [String] {
    ["Smiling", "Blond_Hair", "Eyeglasses", "Long_Hair", "Open_Mouth"]
  }

  /// In the order of `attributeNames`; independent of each other, each true for half of the faces.
  public func attributes(_ index: Int) -> [Bool]? {
    let face = face(index)
    return [face.isSmiling, face.isBlond, face.glasses != nil, face.hasLongHair, face.hasOpenMouth]
  }

  public func source(_ index: Int) -> String { "faces#\(index)" }

  /// The parameters of the face at `index` in 0..<count.
  public func face(_ index: Int) -> Face {
    precondition(index >= 0 && index < count, "face \(index) of \(count)")
    return Face(seed: seed, part: part, index: index)
  }

  /// They are what their numbers say.
  public func fingerprint(_ index: Int) -> Int? { index }

  public func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) {
    FaceDrawing.draw(face(index), into: pixels)
  }
}
