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
    length = blueprint.parameter("\(prefix).weight_g", [output])
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
    for (channel, norm) in norms(values).enumerated() { values[length][channel] = S(norm) }
  }

  /// ‖v‖ of each output channel.
  private func norms<S: Scalar>(_ values: ParameterValues<S>) -> [Double] {
    var squares = [Double](repeating: 0, count: shape.outChannels)
    for row in 0..<foldedWeight.rows {
      let v = values[direction] + row * shape.outChannels
      for channel in squares.indices { squares[channel] += Double(v[channel]) * Double(v[channel]) }
    }
    return squares.map { $0.squareRoot() }
  }

  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    let factors = norms(values).enumerated().map { Double(values[length][$0]) / $1 }
    for row in 0..<foldedWeight.rows {
      let (v, w) = (values[direction] + row * shape.outChannels, weights[foldedWeight][row])
      for channel in factors.indices { w[channel] = S(Double(v[channel]) * factors[channel]) }
    }
    if let bias, let foldedBias {
      weights[foldedBias].update(from: values[bias], count: shape.outChannels)
    }
  }

  /// With v̂ = v/‖v‖: dg = Σ dw·v̂ and dv = g/‖v‖·(dw − v̂·dg).
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    let norms = norms(folded.values)
    var dots = [Double](repeating: 0, count: norms.count)
    for row in 0..<foldedWeight.rows {
      let (v, dw) = (folded.values[direction] + row * norms.count, gradient[foldedWeight][row])
      for channel in norms.indices { dots[channel] += Double(dw[channel]) * Double(v[channel]) }
    }
    for channel in norms.indices {
      dots[channel] /= norms[channel]
      gradients[length][channel] += S(dots[channel])
    }
    for row in 0..<foldedWeight.rows {
      let v = folded.values[direction] + row * norms.count
      let (dw, dv) = (gradient[foldedWeight][row], gradients[direction] + row * norms.count)
      for channel in norms.indices {
        let unit = Double(v[channel]) / norms[channel]
        let factor = Double(folded.values[length][channel]) / norms[channel]
        dv[channel] += S(factor * (Double(dw[channel]) - unit * dots[channel]))
      }
    }
    if let bias, let foldedBias {
      for channel in norms.indices { gradients[bias][channel] += gradient[foldedBias][channel] }
    }
  }
}
