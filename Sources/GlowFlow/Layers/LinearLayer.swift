import GlowKernels

/// The original's zero-initialized linear layer: y = (x·W + b)·exp(3·logs), x [in] and y [out].
///
/// As in `Convolution`, the scale is folded into weight and bias, which stand together as [in + 1, out], the
/// bias last.
struct LinearLayer: Sendable {
  let inCount: Int
  let outCount: Int
  /// [in, out]
  let weight: Parameter
  /// Bias and scale, [out] each.
  let actNorm: ActNorm
  /// [in + 1, out]
  let folded: WeightVector

  init(inCount: Int, outCount: Int, name: String, in blueprint: inout Blueprint) {
    self.inCount = inCount
    self.outCount = outCount
    weight = blueprint.parameter("\(name).weight", [inCount, outCount])
    actNorm = ActNorm(channels: outCount, prefix: name, in: &blueprint)
    folded = blueprint.vector((inCount + 1) * outCount)
  }

  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    for output in 0..<outCount {
      let scale = S(actNorm.scale(values, output))
      for input in 0...inCount {
        let stored = input < inCount ? values[weight] + input * outCount : values[actNorm.bias]
        weights[folded][input * outCount + output] = stored[output] * scale
      }
    }
  }

  /// dW = s·dW′, db = s·db′ and d logs = 3·Σ d′·folded, as in `Convolution.foldBackward`.
  func foldBackward<S: Scalar>(
    _ source: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    for output in 0..<outCount {
      let scale = S(actNorm.scale(source.values, output))
      for input in 0...inCount {
        let stored = input < inCount ? gradients[weight] + input * outCount : gradients[actNorm.bias]
        let index = input * outCount + output
        stored[output] += gradient[folded][index] * scale
        gradients[actNorm.logs][output] +=
          S(ActNorm.logsFactor) * gradient[folded][index] * source.weights[folded][index]
      }
    }
  }

  /// The folded weight, [in, out].
  func weight<S: Scalar>(_ weights: Weights<S>) -> Matrix<S> {
    Matrix(weights[folded], rows: inCount, columns: outCount)
  }

  /// The folded bias, [out].
  func bias<S: Scalar>(_ weights: Weights<S>) -> UnsafeMutablePointer<S> {
    weights[folded] + inCount * outCount
  }
}
