extension Dataset {
  /// The same images with their classes numbered as a model numbers them.
  ///
  /// - Parameters:
  ///   - classNames: the model's classes.
  ///   - places: of each class of these images, its place among those; nil for one that is none of them.
  public func relabeled(_ classNames: [String], places: [Int?]) -> any Dataset {
    RelabeledDataset(base: self, classNames: classNames, places: places)
  }
}

/// Another data set's images under other class numbers.
struct RelabeledDataset: Dataset {
  let base: any Dataset
  let classNames: [String]
  /// Of each class of `base`, its place in `classNames`.
  let places: [Int?]

  var shape: ImageShape { base.shape }
  var count: Int { base.count }
  func label(_ index: Int) -> Int? { base.label(index).flatMap { places[$0] } }
  var attributeNames: [String] { base.attributeNames }
  func attributes(_ index: Int) -> [Bool]? { base.attributes(index) }
  func source(_ index: Int) -> String { base.source(index) }
  func fingerprint(_ index: Int) -> Int? { base.fingerprint(index) }
  func check(_ index: Int) throws { try base.check(index) }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws {
    try base.read(index, into: pixels)
  }
}
