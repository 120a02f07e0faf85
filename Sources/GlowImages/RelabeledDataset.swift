extension Dataset {
  /// The same images with their classes numbered as a model numbers them.
  ///
  /// - Parameters:
  ///   - classNames: the model's classes.
  ///   - places: of each class of these images, its place among those; nil for one that is none of them.
  package func relabeled(_ classNames: [String], places: [Int?]) -> any Dataset {
    RelabeledDataset(base: self, classNames: classNames) {
      $0.flatMap { places.indices.contains($0) ? places[$0] : nil }
    }
  }

  /// The same images, all of one class.
  package func labeled(_ label: Int, of classNames: [String]) -> any Dataset {
    RelabeledDataset(base: self, classNames: classNames) { _ in label }
  }
}

/// Another data set's images under other class numbers.
struct RelabeledDataset: Dataset {
  let base: any Dataset
  let classNames: [String]
  /// The place in `classNames` of an image that has this class in `base`.
  let place: @Sendable (Int?) -> Int?

  var shape: ImageShape { base.shape }
  var count: Int { base.count }
  func label(_ index: Int) -> Int? { place(base.label(index)) }
  var attributeNames: [String] { base.attributeNames }
  func attributes(_ index: Int) -> [Bool]? { base.attributes(index) }
  func source(_ index: Int) -> String { base.source(index) }
  func fingerprint(_ index: Int) -> Int? { base.fingerprint(index) }
  func contentHash(_ index: Int) throws -> UInt64 { try base.contentHash(index) }
  func check(_ index: Int) throws -> ImageTraits { try base.check(index) }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    try base.read(index, into: pixels)
  }
}
