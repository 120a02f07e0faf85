import Foundation

/// How the quality of what is trained grows with the work: bits/dim ≈ floor + scale·work^−exponent, along the envelope
/// of all measured runs on the same images (the form of Hestness et al. 2017, with an irreducible part).
///
/// It tells nothing of other images, nor of runs so long that the model learns its training images by heart.
package struct ScalingLaw: Sendable {
  package let floor, scale, exponent: Double
  /// TFLOP of the runs that it was fitted to: beyond them it is a guess.
  package let measured: ClosedRange<Double>

  /// The least squares over points; nil of fewer than four, through which too many such curves pass.
  ///
  /// - Parameter points: TFLOP, and bits/dim after so much work.
  package init?(_ points: [(work: Double, bitsPerDimension: Double)]) {
    guard points.count >= 4, let least = points.map(\.work).min(), let most = points.map(\.work).max() else {
      return nil
    }
    // With a given exponent this is a straight line through (work^−exponent, bits/dim).
    let fits = stride(from: 0.05, through: 1.5, by: 0.005).map { exponent in
      let line = StraightLine(points.map { (pow($0.work, -exponent), $0.bitsPerDimension) })
      return (exponent: exponent, line: line)
    }
    let best = fits.min { $0.line.squaredError < $1.line.squaredError }!
    (floor, scale, exponent) = (best.line.intercept, best.line.slope, best.exponent)
    measured = least...most
  }

  /// Of those of some runs on the same images, with the same kind of noise, that are the best for their work; nil if they
  /// are too few.
  ///
  /// - Throws: `ConfigurationError` if a run has a model that cannot be.
  package init?(of runs: [MeasuredRun]) throws {
    self.init(try MeasuredRun.envelope(of: runs).map { ($0.work, $0.run.bitsPerDimension) })
  }

  /// - Parameter work: TFLOP.
  package func bitsPerDimension(after work: Double) -> Double { floor + scale * pow(work, -exponent) }
}

/// y ≈ intercept + slope·x, by least squares.
private struct StraightLine {
  let intercept, slope, squaredError: Double

  init(_ points: [(x: Double, y: Double)]) {
    let count = Double(points.count)
    let meanX = points.reduce(0) { $0 + $1.x } / count
    let meanY = points.reduce(0) { $0 + $1.y } / count
    let covariance = points.reduce(0) { $0 + ($1.x - meanX) * ($1.y - meanY) }
    let variance = points.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
    let slope = variance > 0 ? covariance / variance : 0
    let intercept = meanY - slope * meanX
    self.slope = slope
    self.intercept = intercept
    squaredError = points.reduce(0) {
      let error = $1.y - intercept - slope * $1.x
      return $0 + error * error
    }
  }
}
