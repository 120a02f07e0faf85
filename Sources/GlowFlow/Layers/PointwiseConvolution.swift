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
    self.weight = blueprint.filter("\(weight).weight", [channels, channels])
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
      let scales = scratch.take(channels, of: Double.self)
      actNorm.writeScales(values, into: scales)
      for column in 0..<channels {
        s[column] = S(scales[column])
        weights[foldedBias][column] = S(Double(values[actNorm.bias][column]) * scales[column])
      }
      scaling(factors: s, stored: values[weight], scaled: weights[foldedWeight].base).apply()
    }
  }

  /// A matrix and the one that it is folded into; or the gradient of the one and the other itself.
  private func scaling<S: Scalar>(
    factors: UnsafePointer<S>, stored: UnsafeMutablePointer<S>, scaled: UnsafeMutablePointer<S>
  ) -> RowScaling<S> {
    RowScaling(
      rows: channels, (channels, planes: 1), factors: factors, stored: (stored, step: channels),
      scaled: (scaled, step: channels))
  }

  /// dW = s·dW′, db = s·db′ and d logs = 3·(Σ dW′·W′ + db′·b′), as in `Convolution.foldBackward`.
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    withScratch { scratch in
      let (s, sums) = (scratch.take(channels, of: S.self), scratch.take(channels, of: S.self))
      let (bias, biasGradient) = (folded.weights[foldedBias], gradient[foldedBias])
      let scales = scratch.take(channels, of: Double.self)
      actNorm.writeScales(folded.values, into: scales)
      for column in 0..<channels {
        s[column] = S(scales[column])
        sums[column] = biasGradient[column] * bias[column]
      }
      scaling(factors: s, stored: gradients[weight], scaled: folded.weights[foldedWeight].base)
        .backward(gradient[foldedWeight].base, factorSums: sums, overwrites: gradients.lacksFilters)
      for column in 0..<channels {
        gradients[actNorm.bias][column] += s[column] * biasGradient[column]
        gradients[actNorm.logs][column] += S(ActNorm.logsFactor) * sums[column]
      }
    }
  }
}
