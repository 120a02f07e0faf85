import Foundation
import GlowKernels

/// Diagonal Gaussians of latents: z ~ N(mean, exp(logs)²), written with the standardized
/// ε = (z − mean)·exp(−logs), which is N(0, 1).
///
/// The density of z is that of ε less the log-determinant Σ logs of the standardization. z lies `stride` apart
/// from position to position; mean, logs and ε are planes [positions, channels].
enum Gaussian {
  static let logTwoPi = log(2 * Double.pi)

  /// plane ← exp(sign·plane) over `count` values.
  static func exponentiate<S: Scalar>(_ plane: UnsafeMutablePointer<S>, count: Int, sign: S) {
    var index = 0
    while index + 8 <= count {
      plane.store(S.exp(plane.vector(index) * sign), index)
      index += 8
    }
    if index < count {
      var rest = SIMD8<S>(repeating: 0)
      for lane in 0..<(count - index) { rest[lane] = plane[index + lane] * sign }
      rest = S.exp(rest)
      for lane in 0..<(count - index) { plane[index + lane] = rest[lane] }
    }
  }

  /// Standardizes z into `epsilon`, turns `logs` into exp(−logs) and returns ln N(z; mean, exp(logs)²).
  static func standardize<S: Scalar>(
    _ z: UnsafePointer<S>, stride: Int, positions: Int, channels: Int, mean: UnsafePointer<S>,
    logs: UnsafeMutablePointer<S>, epsilon: UnsafeMutablePointer<S>
  ) -> Double {
    let count = positions * channels
    var logDensity = -0.5 * logTwoPi * Double(count)
    for index in 0..<count { logDensity -= Double(logs[index]) }
    exponentiate(logs, count: count, sign: -1)
    var squares = 0.0
    for position in 0..<positions {
      for channel in 0..<channels {
        let index = position * channels + channel
        let e = (z[position * stride + channel] - mean[index]) * logs[index]
        epsilon[index] = e
        squares += Double(e) * Double(e)
      }
    }
    return logDensity - 0.5 * squares
  }

  /// z = mean + exp(logs)·ε; `logs` becomes exp(logs).
  static func restore<S: Scalar>(
    _ z: UnsafeMutablePointer<S>, stride: Int, positions: Int, channels: Int, mean: UnsafePointer<S>,
    logs: UnsafeMutablePointer<S>, epsilon: UnsafePointer<S>
  ) {
    exponentiate(logs, count: positions * channels, sign: 1)
    for position in 0..<positions {
      for channel in 0..<channels {
        let index = position * channels + channel
        z[position * stride + channel] = mean[index] + logs[index] * epsilon[index]
      }
    }
  }

  /// Gradients of `weight`·ln N(z; mean, exp(logs)²): dz = −weight·ε·exp(−logs) and, as one row
  /// [mean | logs] a position, dmean = −dz and dlogs = weight·(ε² − 1).
  static func backward<S: Scalar>(
    epsilon: UnsafePointer<S>, inverseDeviation: UnsafePointer<S>, weight: S, positions: Int, channels: Int,
    gradient: UnsafeMutablePointer<S>, stride: Int, priorGradient: UnsafeMutablePointer<S>
  ) {
    for position in 0..<positions {
      for channel in 0..<channels {
        let index = position * channels + channel
        let e = epsilon[index]
        let dz = -weight * e * inverseDeviation[index]
        gradient[position * stride + channel] = dz
        priorGradient[position * 2 * channels + channel] = -dz
        priorGradient[position * 2 * channels + channels + channel] = weight * (e * e - 1)
      }
    }
  }
}
