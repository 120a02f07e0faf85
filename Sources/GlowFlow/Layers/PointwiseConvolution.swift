import GlowKernels

/// A 1×1 convolution of a conditioner's hidden channels and the actnorm after it: y = (x·W + b)·exp(3·logs).
///
/// The scale is folded into the weights, as in `Convolution`.
struct PointwiseConvolution: Sendable {
  let channels: Int
  /// [channels in, channels out]
  let weight: Parameter
  let actNorm: ActNorm
  /// [channels, channels]
  let foldedWeight: WeightMatrix
  /// [channels]
  let foldedBias: WeightVector

  /// - Parameters:
  ///   - weight: the name of the matrix, less `.weight`.
  ///   - actNorm: the name of bias and logs, less `.bias` and `.logs`.
  init(channels: Int, weight: String, actNorm: String, in blueprint: inout Blueprint) {
    self.channels = channels
    self.weight = blueprint.parameter("\(weight).weight", [channels, channels])
    self.actNorm = ActNorm(channels: channels, prefix: actNorm, in: &blueprint)
    foldedWeight = blueprint.matrix(channels, channels)
    foldedBias = blueprint.vector(channels)
  }

  /// N(0, 0.05²).
  func initialize<S: Scalar>(_ values: ParameterValues<S>, generator: Philox) {
    fillNormal(values[weight], count: channels * channels, deviation: 0.05, generator: generator)
  }

  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    withScratch { scratch in
      let s = scratch.take(channels, of: S.self)
      for column in 0..<channels {
        let scale = actNorm.scale(values, column)
        s[column] = S(scale)
        weights[foldedBias][column] = S(Double(values[actNorm.bias][column]) * scale)
      }
      for row in 0..<channels {
        let (from, to) = (values[weight] + row * channels, weights[foldedWeight][row])
        scaleValues(from, by: s, into: to, count: channels)
      }
    }
  }

  /// dW = s·dW′, db = s·db′ and d logs = 3·(Σ dW′·W′ + db′·b′), as in `Convolution.foldBackward`.
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    withScratch { scratch in
      let (s, sums) = (scratch.take(channels, of: S.self), scratch.take(channels, of: S.self))
      let (bias, biasGradient) = (folded.weights[foldedBias], gradient[foldedBias])
      for column in 0..<channels {
        s[column] = S(actNorm.scale(folded.values, column))
        sums[column] = biasGradient[column] * bias[column]
      }
      for row in 0..<channels {
        let from = gradient[foldedWeight][row]
        let weights = folded.weights[foldedWeight][row]
        let to = gradients[weight] + row * channels
        scaleValuesBackward(
          ScaleBackward(from, factors: s, products: weights, sums: to, factorSums: sums), count: channels)
      }
      for column in 0..<channels {
        gradients[actNorm.bias][column] += s[column] * biasGradient[column]
        gradients[actNorm.logs][column] += S(ActNorm.logsFactor) * sums[column]
      }
    }
  }
}
