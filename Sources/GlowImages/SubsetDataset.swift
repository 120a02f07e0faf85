extension Dataset {
  /// `count` of the images, evenly spaced; all if there are no more.
  package func spread(over count: Int) -> any Dataset {
    if count >= self.count { return self }
    return SubsetDataset(base: self, indices: (0..<count).map { $0 * self.count / count })
  }

  /// The images with these indices.
  package func images(_ range: Range<Int>) -> any Dataset {
    range == 0..<count ? self : SubsetDataset(base: self, indices: Array(range))
  }

  /// The first `count` images; all if there are no more.
  package func prefix(_ count: Int) -> any Dataset {
    SubsetDataset(base: self, indices: Array(0..<min(count, self.count)))
  }

  /// The first `count` images that can be read.
  package func readable(_ count: Int) -> any Dataset {
    SubsetDataset(
      base: self, indices: Array((0..<self.count).lazy.filter { (try? image($0)) != nil }.prefix(count)))
  }
}

/// Some of another data set's images.
struct SubsetDataset: Dataset {
  let base: any Dataset
  /// For each image its index in `base`.
  let indices: [Int]

  var shape: ImageShape { base.shape }
  var count: Int { indices.count }
  var classNames: [String] { base.classNames }
  func label(_ index: Int) -> Int? { base.label(indices[index]) }
  var attributeNames: [String] { base.attributeNames }
  func attributes(_ index: Int) -> [Bool]? { base.attributes(indices[index]) }
  func source(_ index: Int) -> String { base.source(indices[index]) }
  func fingerprint(_ index: Int) -> Int? { base.fingerprint(indices[index]) }
  func contentHash(_ index: Int) throws -> UInt64 { try base.contentHash(indices[index]) }
  func check(_ index: Int) throws -> ImageTraits { try base.check(indices[index]) }

  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    try base.read(indices[index], into: pixels)
  }
}
