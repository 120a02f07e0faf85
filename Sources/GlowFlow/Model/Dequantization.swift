import GlowKernels

/// Between bytes and the real values that the flow is a density of.
///
/// With b bits, a byte v is reduced to q = ⌊v / 2^(8−b)⌋ and becomes x = q/2^b − ½ + u/2^b with u uniform in
/// [0, 1): log p(x) plus the constant −D·ln 2^b bounds the log-probability of the discrete image from below
/// (section 2 of Kingma & Dhariwal 2018; Theis et al. 2016). A model with a dequantizer changes the noise before the flow
/// sees it (`Level.dequantizer`).
package struct Dequantization: Sendable {
  /// Bits a channel value, 1...8.
  package let bits: Int

  package init(bits: Int) {
    precondition((1...8).contains(bits))
    self.bits = bits
  }

  /// −ln 2^b for each of `dimensions` values.
  package func constant(dimensions: Int) -> Double { -Double(dimensions) * Double(bits) * Elementary.ln2 }

  /// x of each pixel value, with u from `noise`, or u = 0 without.
  ///
  /// - Parameter byParts: u is the middle of one of 2¹⁵ equal parts of [0, 1), so that it can be told from x, in `Float`
  ///   exactly, and is at neither end: for a dequantizer.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func apply<S: Scalar>(
    _ pixels: UnsafeBufferPointer<UInt8>, noise: Philox?, byParts: Bool = false,
    into values: UnsafeMutablePointer<S>
  ) {
    let target = UnsafeMutableBufferPointer(start: values, count: pixels.count)
    if let noise { noise.fillUniform(target) } else { target.update(repeating: 0) }
    if byParts {
      for index in target.indices {
        target[index] = ((target[index] * 0x1p15).rounded(.down) + 0.5) * 0x1p-15
      }
    }
    let step = S(1) / S(1 << bits)
    for index in pixels.indices {
      target[index] = (S(pixels[index] >> (8 - bits)) + target[index]) * step - 0.5
    }
  }

  /// The byte of each value: the level ⌊(x + ½)·2^b⌋ within range, levels spread evenly over 0…255, so that black and
  /// white are black and white; reduced again, the byte gives the same level. With u = 0 before, values are taken
  /// to the nearest level instead, so that small errors of the round trip do not matter.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func quantize<S: Scalar>(
    _ values: UnsafePointer<S>, toNearest: Bool = false, into pixels: UnsafeMutableBufferPointer<UInt8>
  ) {
    let levels = S(1 << bits)
    let distance = 255 / (levels - 1)
    for index in pixels.indices {
      let level = ((values[index] + 0.5) * levels + (toNearest ? 0.5 : 0)).rounded(.down)
      // Written so that a NaN becomes 0.
      let bounded = level > 0 ? min(level, levels - 1) : 0
      pixels[index] = (bounded * distance).rounded().byte
    }
  }

  /// A 64-bit digest of an image's bytes (FNV-1a), which keys its noise in evaluation: the score then depends
  /// on nothing but the image, the model and the seed. Two images of one digest, which chance gives to a pair in 2⁶⁴,
  /// would only share their noise.
  ///
  /// - Parameter draw: which of several draws of the noise; those after draw 0 have their number digested too.
  package static func digest(_ pixels: UnsafeBufferPointer<UInt8>, draw: Int = 0) -> UInt64 {
    func mix(_ digest: UInt64, _ byte: UInt8) -> UInt64 { (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digest = pixels.reduce(0xCBF2_9CE4_8422_2325, mix)
    return draw == 0 ? digest : withUnsafeBytes(of: draw.littleEndian) { $0.reduce(digest, mix) }
  }
}
