/// Philox4x32-10, a counter-based random number generator: the same key and counter give the same four
/// words, on every machine and in any order.
///
/// Source: Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
package struct Philox: Sendable {
  /// What the numbers are for; part of the counter, so that no two uses share a stream.
  package enum Purpose: UInt32, Sendable {
    case weights, permutation, dequantization, evaluation, latents, order, flip, cropping, faces, synthetic
    case resampling
  }

  package let key: SIMD2<UInt32>
  let purpose: UInt32
  let stream: SIMD2<UInt32>

  /// A stream of its own for each (seed, purpose, stream index).
  package init(seed: UInt64, purpose: Purpose, stream: UInt64 = 0) {
    key = [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)]
    self.purpose = purpose.rawValue
    self.stream = [UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)]
  }

  /// Ten rounds of the bijection on a 128-bit counter.
  @inlinable
  package static func block(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var c0 = counter[0]
    var c1 = counter[1]
    var c2 = counter[2]
    var c3 = counter[3]
    var k0 = key[0]
    var k1 = key[1]
    for _ in 0..<10 {
      let p0 = 0xD251_1F53 &* UInt64(c0)
      let p1 = 0xCD9E_8D57 &* UInt64(c2)
      c0 = UInt32(truncatingIfNeeded: p1 >> 32) ^ c1 ^ k0
      c1 = UInt32(truncatingIfNeeded: p1)
      c2 = UInt32(truncatingIfNeeded: p0 >> 32) ^ c3 ^ k1
      c3 = UInt32(truncatingIfNeeded: p0)
      k0 = k0 &+ 0x9E37_79B9
      k1 = k1 &+ 0xBB67_AE85
    }
    return [c0, c1, c2, c3]
  }

  /// The `index`-th four words of this stream.
  package func words(_ index: Int) -> SIMD4<UInt32> {
    Philox.block(
      counter: [UInt32(truncatingIfNeeded: index), purpose, stream[0], stream[1]], key: key)
  }

  /// Fills `values` with numbers uniform in [0, 1), multiples of 2⁻²⁴, the same in Float and Double.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func fillUniform<S: Scalar>(_ values: UnsafeMutableBufferPointer<S>) {
    fill(values) { words in
      (
        Philox.double(words.0 &>> 8) * 0x1p-24, Philox.double(words.1 &>> 8) * 0x1p-24,
        Philox.double(words.2 &>> 8) * 0x1p-24, Philox.double(words.3 &>> 8) * 0x1p-24
      )
    }
  }

  /// Fills `values` with standard normal numbers (Box–Muller in Double), the same in Float and Double up
  /// to rounding.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func fillNormal<S: Scalar>(_ values: UnsafeMutableBufferPointer<S>) {
    fill(values) { words in
      let pairs = (Philox.normalPair(words.0, words.1), Philox.normalPair(words.2, words.3))
      return (pairs.0.0, pairs.0.1, pairs.1.0, pairs.1.1)
    }
  }

  /// A word of each of eight blocks, one in a lane, for all four words of a block.
  private typealias Words = (SIMD8<UInt64>, SIMD8<UInt64>, SIMD8<UInt64>, SIMD8<UInt64>)

  /// Fills `values` with what becomes of the words, in their order.
  @inline(__always)
  private func fill<S: Scalar>(
    _ values: UnsafeMutableBufferPointer<S>,
    _ numbers: (Words) -> (SIMD8<Double>, SIMD8<Double>, SIMD8<Double>, SIMD8<Double>)
  ) {
    for first in stride(from: 0, to: values.count, by: 32) {
      let (n0, n1, n2, n3) = numbers(eightBlocks(first / 4))
      for block in 0..<8 {
        let index = first + 4 * block
        if index < values.count { values[index] = S(n0[block]) }
        if index + 1 < values.count { values[index + 1] = S(n1[block]) }
        if index + 2 < values.count { values[index + 2] = S(n2[block]) }
        if index + 3 < values.count { values[index + 3] = S(n3[block]) }
      }
    }
  }

  /// Two independent normal numbers of two words.
  private static func normalPair(
    _ first: SIMD8<UInt64>, _ second: SIMD8<UInt64>
  ) -> (SIMD8<Double>, SIMD8<Double>) {
    // The half keeps the logarithm's argument off zero.
    let radius = (Elementary.log((double(first) + 0.5) * 0x1p-32) * -2).squareRoot()
    let (sine, cosine) = Elementary.sineAndCosine(turns: double(second) * 0x1p-32)
    return (radius * cosine, radius * sine)
  }

  /// Whole numbers below 2³²: in the low bits of 2⁵² they count ones.
  private static func double(_ words: SIMD8<UInt64>) -> SIMD8<Double> {
    unsafeBitCast(words | SIMD8(repeating: (0x1p52).bitPattern), to: SIMD8<Double>.self) - 0x1p52
  }

  /// The words of the `index`-th block and of the seven after it, block by block in the lanes.
  private func eightBlocks(_ index: Int) -> Words {
    // 64-bit lanes hold 32-bit words, whose products then need no widening.
    let low = SIMD8<UInt64>(repeating: 0xFFFF_FFFF)
    var c0 = (SIMD8(0, 1, 2, 3, 4, 5, 6, 7) &+ SIMD8(repeating: UInt64(truncatingIfNeeded: index))) & low
    var c1 = SIMD8(repeating: UInt64(purpose))
    var c2 = SIMD8(repeating: UInt64(stream[0]))
    var c3 = SIMD8(repeating: UInt64(stream[1]))
    var (k0, k1) = (key[0], key[1])
    for _ in 0..<10 {
      let p0 = (c0 & low) &* 0xD251_1F53
      let p1 = (c2 & low) &* 0xCD9E_8D57
      c0 = (p1 &>> 32) ^ c1 ^ SIMD8(repeating: UInt64(k0))
      c1 = p1 & low
      c2 = (p0 &>> 32) ^ c3 ^ SIMD8(repeating: UInt64(k1))
      c3 = p0 & low
      k0 = k0 &+ 0x9E37_79B9
      k1 = k1 &+ 0xBB67_AE85
    }
    return (c0, c1, c2, c3)
  }

  /// A random permutation of 0..<count (Fisher–Yates).
  package func permutation(_ count: Int) -> [Int] {
    var result = Array(0..<count)
    guard count > 1 else { return result }
    for last in stride(from: count - 1, to: 0, by: -1) {
      let block = words(last)
      // 64 random bits against at most 2^32 choices: the bias is below 2⁻³².
      let bits = UInt64(block[0]) << 32 | UInt64(block[1])
      result.swapAt(last, Int(bits.multipliedFullWidth(by: UInt64(last + 1)).high))
    }
    return result
  }
}
