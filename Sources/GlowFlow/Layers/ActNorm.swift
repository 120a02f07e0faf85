import GlowKernels

/// Activation normalization (section 3.1 of Kingma & Dhariwal 2018): y = (x + b)·s with s = exp(3·logs), a
/// bias and a scale for each channel.
///
/// The log-determinant of a picture is H·W·Σ 3·logs. Forward, inverse and log-determinant are those of
/// the `ChannelMap` that it is folded into: matrix diag(s), bias b·s. The factor 3 is the original
/// implementation's and makes the scale learn faster than the bias.
struct ActNorm: Sendable {
  /// The factor on the stored logarithm of the scale.
  static let logsFactor = 3.0

  let channels: Int
  /// [channels]
  let bias: Parameter
  /// [channels]
  let logs: Parameter

  init(channels: Int, prefix: String, in blueprint: inout Blueprint) {
    self.channels = channels
    bias = blueprint.parameter("\(prefix).bias", [channels])
    logs = blueprint.parameter("\(prefix).logs", [channels])
  }

  /// s = exp(3·logs) of one channel.
  func scale<S: Scalar>(_ values: ParameterValues<S>, _ channel: Int) -> Double {
    Elementary.exp(ActNorm.logsFactor * Double(values[logs][channel]))
  }

  /// Writes s of all channels.
  func writeScales<S: Scalar>(_ values: ParameterValues<S>, into scales: UnsafeMutablePointer<Double>) {
    let logs = values[logs]
    for start in stride(from: 0, to: channels, by: 8) {
      let count = min(8, channels - start)
      var vector = SIMD8<Double>()
      for lane in 0..<count { vector[lane] = ActNorm.logsFactor * Double(logs[start + lane]) }
      vector = Elementary.exp(vector)
      for lane in 0..<count { scales[start + lane] = vector[lane] }
    }
  }

  /// Data-dependent initialization: afterwards y has mean 0 and variance 1 over the batch in each channel.
  ///
  /// b = −mean, logs = ln(1/(√mean((x + b)²) + 10⁻⁶))/3.
  func initialize<S: Scalar>(_ values: ParameterValues<S>, from moments: Moments) {
    for channel in 0..<channels {
      let deviation = moments.variance(channel).squareRoot()
      values[bias][channel] = S(-moments.mean(channel))
      values[logs][channel] = S(Elementary.log(1 / (deviation + 1e-6)) / ActNorm.logsFactor)
    }
  }

  /// Lets its input pass: b = 0, s = 1.
  func reset<S: Scalar>(_ values: ParameterValues<S>) {
    values[bias].clear(channels)
    values[logs].clear(channels)
  }
}
