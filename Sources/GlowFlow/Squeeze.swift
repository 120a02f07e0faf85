import GlowKernels

/// Squeeze (section 3.6 of Kingma & Dhariwal 2018): each 2×2 block of positions becomes one position of four
/// times the channels, in the order channel·4 + dy·2 + dx.
///
/// It only moves values: its log-determinant is 0 and its backward is its inverse.
enum Squeeze {
  /// output [shape.height, shape.width, shape.channels] ← input [2·height, 2·width, channels/4], whose
  /// positions lie `stride` apart.
  static func forward<S: Scalar>(
    _ input: UnsafePointer<S>, stride: Int, into output: UnsafeMutablePointer<S>, shape: LevelShape
  ) {
    forEachBlock(shape, stride: stride) { whole, blocks in
      output[whole] = input[blocks]
    }
  }

  /// The inverse: output [2·height, 2·width, channels/4], positions `stride` apart, ← input.
  static func inverse<S: Scalar>(
    _ input: UnsafePointer<S>, into output: UnsafeMutablePointer<S>, stride: Int, shape: LevelShape
  ) {
    forEachBlock(shape, stride: stride) { whole, blocks in
      output[blocks] = input[whole]
    }
  }

  /// Calls `body(offset in the squeezed picture, offset in the other)` for every value.
  @inline(__always)
  private static func forEachBlock(_ shape: LevelShape, stride: Int, _ body: (Int, Int) -> Void) {
    let inner = shape.channels / 4
    for y in 0..<shape.height {
      for x in 0..<shape.width {
        let whole = (y * shape.width + x) * shape.channels
        for dy in 0..<2 {
          for dx in 0..<2 {
            let blocks = ((2 * y + dy) * 2 * shape.width + 2 * x + dx) * stride
            for channel in 0..<inner { body(whole + channel * 4 + dy * 2 + dx, blocks + channel) }
          }
        }
      }
    }
  }
}
