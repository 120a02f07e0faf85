import GlowKernels

/// Diagonal Gaussians of latents: z ~ N(mean, exp(logs)²), written with the standardized
/// ε = (z − mean)·exp(−logs), which is N(0, 1).
///
/// The density of z is that of ε less the log-determinant Σ logs of the standardization. z is [positions, channels];
/// mean, logs and ε are planes of the same size.
enum Gaussian {
  static let logTwoPi = Elementary.log(2 * Double.pi)

  /// Standardizes z into `epsilon`, turns `logs` into exp(−logs) and returns ln N(z; mean, exp(logs)²).
  static func standardize<S: Scalar>(
    _ z: Matrix<S>, mean: UnsafePointer<S>, logs: UnsafeMutablePointer<S>, epsilon: UnsafeMutablePointer<S>
  ) -> Double {
    let count = z.rows * z.columns
    var logDensity = -0.5 * logTwoPi * Double(count)
    for index in 0..<count { logDensity -= Double(logs[index]) }
    exponentiate(logs, count: count, sign: -1)
    var squares = 0.0
    for position in 0..<z.rows {
      let row = z[position]
      for channel in 0..<z.columns {
        let index = position * z.columns + channel
        let e = (row[channel] - mean[index]) * logs[index]
        epsilon[index] = e
        squares += Double(e) * Double(e)
      }
    }
    return logDensity - 0.5 * squares
  }

  /// z = mean + exp(logs)·ε; `logs` becomes exp(logs).
  static func restore<S: Scalar>(
    _ z: Matrix<S>, mean: UnsafePointer<S>, logs: UnsafeMutablePointer<S>, epsilon: UnsafePointer<S>
  ) {
    exponentiate(logs, count: z.rows * z.columns, sign: 1)
    for position in 0..<z.rows {
      let row = z[position]
      for channel in 0..<z.columns {
        let index = position * z.columns + channel
        row[channel] = mean[index] + logs[index] * epsilon[index]
      }
    }
  }

  /// Gradients of `weight`·ln N(z; mean, exp(logs)²): dz = −weight·ε·exp(−logs) into `gradient` and, as one row
  /// [mean | logs] a position, dmean = −dz and dlogs = weight·(ε² − 1) into `priorGradient`.
  static func backward<S: Scalar>(
    epsilon: UnsafePointer<S>, inverseDeviation: UnsafePointer<S>, weight: S, into gradient: Matrix<S>,
    priorGradient: Matrix<S>
  ) {
    let channels = gradient.columns
    for position in 0..<gradient.rows {
      let row = gradient[position]
      let prior = priorGradient[position]
      for channel in 0..<channels {
        let index = position * channels + channel
        let e = epsilon[index]
        let dz = -weight * e * inverseDeviation[index]
        row[channel] = dz
        prior[channel] = -dz
        prior[channels + channel] = weight * (e * e - 1)
      }
    }
  }
}
