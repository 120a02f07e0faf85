/// The built-in data set: cartoon faces drawn when asked for, with attributes and without classes.
///
/// Image i depends on the seed, the part and i alone; a larger count only adds images at the end.
package struct FaceDataset: Dataset {
  package let count: Int
  package let seed: UInt64
  package let part: DataPart

  /// - Parameter count: How many faces, at least 0.
  package init(count: Int, seed: UInt64, part: DataPart) {
    precondition(count >= 0, "a data set cannot hold \(count) faces")
    self.count = count
    self.seed = seed
    self.part = part
  }

  package var shape: ImageShape { FaceDrawing.shape }
  package var classNames: [String] { [] }
  package func label(_ index: Int) -> Int? { nil }

  /// Named as in the list of CelebA (Liu et al., ICCV 2015).
  package var attributeNames: [String] {
    ["Smiling", "Blond_Hair", "Eyeglasses", "Long_Hair", "Open_Mouth"]
  }

  /// In the order of `attributeNames`; independent of each other, each true for half of the faces.
  package func attributes(_ index: Int) -> [Bool]? {
    let face = face(index)
    return [face.isSmiling, face.isBlond, face.glasses != nil, face.hasLongHair, face.hasOpenMouth]
  }

  package func source(_ index: Int) -> String { "faces#\(index)" }

  /// The parameters of the face at `index` in 0..<count.
  package func face(_ index: Int) -> Face {
    precondition(index >= 0 && index < count, "face \(index) of \(count)")
    return Face(seed: seed, part: part, index: index)
  }

  /// They are what their numbers say.
  package func fingerprint(_ index: Int) -> Int? { index }

  package func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) -> ImageTraits {
    FaceDrawing.draw(face(index), into: pixels)
    return []
  }
}
