import GlowKernels

/// Sums over positions from which the mean and the variance of each channel follow, in Double.
struct Moments {
  private(set) var count = 0
  private var sums: [Double]
  private var squares: [Double]

  init(channels: Int) {
    sums = [Double](repeating: 0, count: channels)
    squares = sums
  }

  func mean(_ channel: Int) -> Double { sums[channel] / Double(count) }

  /// mean((x − mean)²)
  func variance(_ channel: Int) -> Double {
    let mean = self.mean(channel)
    return max(0, squares[channel] / Double(count) - mean * mean)
  }

  /// Adds `rows` positions of [rows, channels].
  @specialized(where S == Float)
  @specialized(where S == Double)
  mutating func add<S: Scalar>(_ values: UnsafePointer<S>, rows: Int) {
    let channels = sums.count
    for row in 0..<rows {
      for channel in 0..<channels {
        let value = Double(values[row * channels + channel])
        sums[channel] += value
        squares[channel] += value * value
      }
    }
    count += rows
  }

  /// Adds up the parts of several tiles, in order.
  static func total(_ parts: [Moments]) -> Moments {
    parts.dropFirst().reduce(into: parts[0]) { total, part in
      total.count += part.count
      for channel in total.sums.indices {
        total.sums[channel] += part.sums[channel]
        total.squares[channel] += part.squares[channel]
      }
    }
  }
}
