import GlowKernels

/// What the dequantizer's network sees of the levels of a 2×2 block: mean and differences of its four pixels, and of its
/// colors, the differences enlarged.
///
/// The slope of ln p, to which the noise should lean, depends on differences of a few levels between neighbors, which
/// are small beside the levels themselves: of those a network would need weights of hundreds. The transform is linear
/// and loses nothing; its factors are powers of two, so that levels come back exactly in `Float` too.
///
/// Channels are those of a squeezed image: c·4 + dy·2 + dx.
struct PixelDifferences: Sendable {
  private let channels: Int
  /// Of the mean of a block of brightness or of a single channel, of its differences, and the same of differences
  /// between colors, which vary less. A difference of one level comes to an eighth, and to a quarter.
  private let gains: (bright: (mean: Double, difference: Double), color: (mean: Double, difference: Double))

  /// - Parameters:
  ///   - channels: of the image.
  ///   - bits: b; levels are 2^−b apart.
  init(channels: Int, bits: Int) {
    self.channels = channels
    let levels = Double(1 << bits)
    gains = ((4, levels / 8), (8, levels / 4))
  }

  private var hasColors: Bool { channels == 3 }

  private func gains<S: Scalar>(_ channel: Int) -> (mean: S, difference: S) {
    let gains = hasColors && channel != 1 ? gains.color : gains.bright
    return (S(gains.mean), S(gains.difference))
  }

  /// Levels of a position → what the network sees: of red, green and blue the differences red − green and
  /// blue − green beside green, then of each mean and differences of the block.
  @inline(__always)
  func forward<S: Scalar>(_ row: UnsafeMutablePointer<S>) {
    if hasColors {
      for place in 0..<4 {
        row[place] -= row[4 + place]
        row[8 + place] -= row[4 + place]
      }
    }
    for channel in 0..<channels {
      let (mean, difference): (S, S) = gains(channel)
      turn(row + 4 * channel, mean / 4, difference / 4)
    }
  }

  /// The opposite.
  @inline(__always)
  func inverse<S: Scalar>(_ row: UnsafeMutablePointer<S>) {
    for channel in 0..<channels {
      let (mean, difference): (S, S) = gains(channel)
      let block = row + 4 * channel
      block[0] /= mean
      for place in 1..<4 { block[place] /= difference }
      turn(block, 1, 1)
    }
    if hasColors {
      for place in 0..<4 {
        row[place] += row[4 + place]
        row[8 + place] += row[4 + place]
      }
    }
  }

  /// Hadamard's matrix of four, its first row times `first` and the others times `others`.
  @inline(__always)
  private func turn<S: Scalar>(_ block: UnsafeMutablePointer<S>, _ first: S, _ others: S) {
    let (a, b, c, d) = (block[0], block[1], block[2], block[3])
    block[0] = (a + b + c + d) * first
    block[1] = (a - b + c - d) * others
    block[2] = (a + b - c - d) * others
    block[3] = (a - b - c + d) * others
  }
}
