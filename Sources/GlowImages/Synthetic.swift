import GlowKernels

/// Images without content, to try a model's scores on.
///
/// Image i depends on the kind, the shape, the seed, the part and i alone.
package struct SyntheticDataset: Dataset {
  package enum Kind: String, Sendable, CaseIterable {
    /// One color, drawn uniformly, all over the image.
    case constant
    /// Every value drawn uniformly from 0...255.
    case noise
  }

  package let kind: Kind
  package let shape: ImageShape
  package let count: Int
  package let seed: UInt64
  package let part: DataPart

  /// - Parameter count: at least 0.
  package init(_ kind: Kind, shape: ImageShape, count: Int, seed: UInt64, part: DataPart) {
    precondition(count >= 0, "a data set cannot hold \(count) images")
    self.kind = kind
    self.shape = shape
    self.count = count
    self.seed = seed
    self.part = part
  }

  package func source(_ index: Int) -> String { "\(kind.rawValue)#\(index)" }

  /// They are what their numbers say.
  package func fingerprint(_ index: Int) -> Int? { index }

  package func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) -> ImageTraits {
    let stream = UInt64(index) << 1 | (part == .test ? 1 : 0)
    let random = Philox(seed: seed, purpose: .synthetic, stream: stream)
    for position in 0..<shape.count {
      let value = kind == .noise ? position : position % shape.channels
      // 16 bytes of each four words.
      let word = random.words(value / 16)[value / 4 % 4]
      pixels[position] = UInt8(truncatingIfNeeded: word >> (8 * UInt32(value % 4)))
    }
    return []
  }
}
