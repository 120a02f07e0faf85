import Foundation

/// Bits/dim of a set of images: 8 bytes an image are kept.
package struct Score: Sendable, CustomStringConvertible {
  package let images: Int
  /// The mean.
  package let bitsPerDimension: Double
  /// Of the mean, from the spread over the images; nil of one image.
  package let standardError: Double?
  /// Of the images, in rising order.
  private let sorted: [Double]

  package init(_ bitsPerDimension: [Double]) {
    images = bitsPerDimension.count
    sorted = bitsPerDimension.sorted()
    // Summed in rising order, the mean does not depend on that of the images.
    let mean = sorted.reduce(0, +) / Double(images)
    self.bitsPerDimension = mean
    let squares = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    standardError = images > 1 ? (squares / Double(images - 1) / Double(images)).squareRoot() : nil
  }

  /// "4.0090 ± 0.0080 (standard error)".
  package var description: String { Score.text(bitsPerDimension, error: standardError) }

  package static func text(_ bitsPerDimension: Double, error: Double?) -> String {
    String(format: "%.4f", bitsPerDimension)
      + (error.map { String(format: " ± %.4f (standard error)", $0) } ?? "")
  }

  /// The value that a fraction of the images does not exceed, interpolated linearly between neighbors
  /// (definition 7 of Hyndman & Fan 1996).
  ///
  /// - Parameter fraction: 0 (smallest) to 1 (largest).
  package func quantile(_ fraction: Double) -> Double {
    precondition(images > 0 && (0...1).contains(fraction))
    let position = fraction * Double(images - 1)
    let below = Int(position)
    let above = min(below + 1, images - 1)
    return sorted[below] + (position - Double(below)) * (sorted[above] - sorted[below])
  }
}
