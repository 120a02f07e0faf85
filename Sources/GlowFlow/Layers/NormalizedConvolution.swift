import GlowKernels

/// A convolution of kernel 1 or 3 with weight normalization (Salimans & Kingma 2016): the filter of an output channel is
/// g·v/‖v‖, the norm over its inputs and positions. The picture is padded with zeros.
struct NormalizedConvolution: Sendable {
  struct Shape {
    var inChannels: Int
    var outChannels: Int
    var kernel: Int
    var hasBias = true
  }

  let shape: Shape
  /// v [kernel, kernel, in, out]
  let direction: Parameter
  /// g [out]
  let length: Parameter
  /// [out]
  let bias: Parameter?
  /// [kernel²·in, out]
  let foldedWeight: WeightMatrix
  /// [out]
  let foldedBias: WeightVector?

  private var taps: Int { shape.kernel * shape.kernel }

  init(_ shape: Shape, prefix: String, in blueprint: inout Blueprint) {
    self.shape = shape
    let (input, output, kernel) = (shape.inChannels, shape.outChannels, shape.kernel)
    direction = blueprint.parameter("\(prefix).weight_v", [kernel, kernel, input, output])
    length = blueprint.parameter("\(prefix).weight_g", [output], .decayed)
    bias = shape.hasBias ? blueprint.parameter("\(prefix).bias", [output]) : nil
    foldedWeight = blueprint.matrix(kernel * kernel * input, output, taps: kernel * kernel)
    foldedBias = shape.hasBias ? blueprint.vector(output) : nil
    blueprint.product(inner: kernel * kernel * input, columns: output)
  }

  /// v and the bias are uniform within ±1/√(inputs of an output), and g = ‖v‖.
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) {
    let bound = 1 / S(foldedWeight.rows).squareRoot()
    for parameter in [direction, bias].compactMap({ $0 }) {
      let start = UnsafeMutableBufferPointer(start: values[parameter], count: parameter.count)
      noise.next().fillUniform(start)
      for index in start.indices { start[index] = bound * (2 * start[index] - 1) }
    }
    withScratch { scratch in
      let norms = scratch.take(shape.outChannels, of: Double.self)
      writeNorms(values, into: norms)
      for channel in 0..<shape.outChannels { values[length][channel] = S(norms[channel]) }
    }
  }

  /// Writes ‖v‖ of each output channel.
  private func writeNorms<S: Scalar>(
    _ values: ParameterValues<S>, into norms: UnsafeMutablePointer<Double>
  ) {
    let channels = shape.outChannels
    norms.update(repeating: 0, count: channels)
    for row in 0..<foldedWeight.rows {
      let v = values[direction] + row * channels
      for channel in 0..<channels { norms[channel] += Double(v[channel]) * Double(v[channel]) }
    }
    for channel in 0..<channels { norms[channel] = norms[channel].squareRoot() }
  }

  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    withScratch { scratch in
      let channels = shape.outChannels
      let factors = scratch.take(channels, of: Double.self)
      writeNorms(values, into: factors)
      for channel in 0..<channels { factors[channel] = Double(values[length][channel]) / factors[channel] }
      for row in 0..<foldedWeight.rows {
        let (v, w) = (values[direction] + row * channels, weights[foldedWeight][row])
        for channel in 0..<channels { w[channel] = S(Double(v[channel]) * factors[channel]) }
      }
    }
    if let bias, let foldedBias {
      weights[foldedBias].update(from: values[bias], count: shape.outChannels)
    }
  }

  /// With v̂ = v/‖v‖: dg = Σ dw·v̂ and dv = g/‖v‖·(dw − v̂·dg).
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    withScratch { scratch in
      let channels = shape.outChannels
      let norms = scratch.take(channels, of: Double.self)
      let dots = scratch.take(channels, of: Double.self)
      writeNorms(folded.values, into: norms)
      dots.update(repeating: 0, count: channels)
      for row in 0..<foldedWeight.rows {
        let (v, dw) = (folded.values[direction] + row * channels, gradient[foldedWeight][row])
        for channel in 0..<channels { dots[channel] += Double(dw[channel]) * Double(v[channel]) }
      }
      for channel in 0..<channels {
        dots[channel] /= norms[channel]
        gradients[length][channel] += S(dots[channel])
      }
      for row in 0..<foldedWeight.rows {
        let v = folded.values[direction] + row * channels
        let (dw, dv) = (gradient[foldedWeight][row], gradients[direction] + row * channels)
        for channel in 0..<channels {
          let unit = Double(v[channel]) / norms[channel]
          let factor = Double(folded.values[length][channel]) / norms[channel]
          dv[channel] += S(factor * (Double(dw[channel]) - unit * dots[channel]))
        }
      }
    }
    if let bias, let foldedBias {
      for channel in 0..<shape.outChannels { gradients[bias][channel] += gradient[foldedBias][channel] }
    }
  }
}
