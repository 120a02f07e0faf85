import CGlowKernels

// What couplings, priors and folding do to each value by itself: of Float in C, for the processor at hand
// (CGlowKernels/elementwise.h), with the same operations in the same order as here.

/// sums ← sums + values, `count` of them.
@inline(__always)
package func add<S: Scalar>(_ values: UnsafePointer<S>, to sums: UnsafeMutablePointer<S>, count: Int) {
  if let values = floats(values) {
    glow_add(floats(sums), values, count, InstructionSet.code)
    return
  }
  for index in 0..<count { sums[index] += values[index] }
}

/// products ← values·factors, `count` of them.
@inline(__always)
package func scaleValues<S: Scalar>(
  _ values: UnsafePointer<S>, by factors: UnsafePointer<S>, into products: UnsafeMutablePointer<S>, count: Int
) {
  if let values = floats(values) {
    glow_scale(values, floats(factors), floats(products), count, InstructionSet.code)
    return
  }
  for index in 0..<count { products[index] = values[index] * factors[index] }
}

/// What goes into the backward of a scale, and where it is added.
package struct ScaleBackward<S: Scalar> {
  let gradient: UnsafePointer<S>
  let factors: UnsafePointer<S>
  let products: UnsafePointer<S>
  let sums: UnsafeMutablePointer<S>
  let factorSums: UnsafeMutablePointer<S>

  package init(
    _ gradient: UnsafePointer<S>, factors: UnsafePointer<S>, products: UnsafePointer<S>,
    sums: UnsafeMutablePointer<S>, factorSums: UnsafeMutablePointer<S>
  ) {
    (self.gradient, self.factors, self.products) = (gradient, factors, products)
    (self.sums, self.factorSums) = (sums, factorSums)
  }
}

/// The backward of `scaleValues` where factors belong to several rows: sums ← sums + gradient·factors and
/// factorSums ← factorSums + gradient·products, `count` of them.
@inline(__always)
package func scaleValuesBackward<S: Scalar>(_ scale: ScaleBackward<S>, count: Int) {
  if let gradient = floats(scale.gradient) {
    glow_scale_backward(
      gradient, floats(scale.factors), floats(scale.products), floats(scale.sums), floats(scale.factorSums),
      count, InstructionSet.code)
    return
  }
  for index in 0..<count {
    scale.sums[index] += scale.gradient[index] * scale.factors[index]
    scale.factorSums[index] += scale.gradient[index] * scale.products[index]
  }
}

/// `scaleValues` where value c·planes + p is of plane p, and everything else is one plane after the other.
@inline(__always)
package func scaleInterleaved<S: Scalar>(
  _ values: UnsafePointer<S>, by factors: UnsafePointer<S>, into products: UnsafeMutablePointer<S>,
  channels: Int, planes: Int
) {
  if planes == 1 { return scaleValues(values, by: factors, into: products, count: channels) }
  if planes == 2, let values = floats(values) {
    glow_scale_pairs(values, floats(factors), floats(products), channels, InstructionSet.code)
    return
  }
  for plane in 0..<planes {
    for channel in 0..<channels {
      let place = plane * channels + channel
      products[place] = values[channel * planes + plane] * factors[place]
    }
  }
}

/// The backward of `scaleInterleaved`, as `scaleValuesBackward`.
@inline(__always)
package func scaleInterleavedBackward<S: Scalar>(_ scale: ScaleBackward<S>, channels: Int, planes: Int) {
  if planes == 1 { return scaleValuesBackward(scale, count: channels) }
  if planes == 2, let gradient = floats(scale.gradient) {
    glow_scale_pairs_backward(
      gradient, floats(scale.factors), floats(scale.products), floats(scale.sums), floats(scale.factorSums),
      channels, InstructionSet.code)
    return
  }
  for plane in 0..<planes {
    for channel in 0..<channels {
      let place = plane * channels + channel
      scale.sums[channel * planes + plane] += scale.gradient[place] * scale.factors[place]
      scale.factorSums[place] += scale.gradient[place] * scale.products[place]
    }
  }
}

/// values ← exp(sign·values), `count` of them.
@specialized(where S == Float)
@specialized(where S == Double)
package func exponentiate<S: Scalar>(_ values: UnsafeMutablePointer<S>, count: Int, sign: S) {
  if let values = floats(values) {
    glow_exponentials(values, Float(sign), count, InstructionSet.code)
    return
  }
  forEachVector(values, count: count, rest: 0) { $0 = S.exp($0 * sign) }
}

/// values ← sigmoid(max(values + 2, least)), `count` of them; returns Σ ln values.
///
/// The logarithms of 64 factors 1 + e^−|x|, each between 1 and 2, are taken at once as that of their product.
@specialized(where S == Float)
@specialized(where S == Double)
package func sigmoidScale<S: Scalar>(_ values: UnsafeMutablePointer<S>, count: Int, least: S) -> Double {
  var sum = 0.0
  for first in stride(from: 0, to: count, by: 512) {
    let part = min(512, count - first)
    var (negative, product) = (SIMD8<S>(repeating: 0), SIMD8<S>(repeating: 1))
    if let values = floats(values) {
      (negative, product) = withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { sums in
        let sums = sums.baseAddress!
        glow_sigmoids(values + first, Float(least), part, sums, sums + 8, InstructionSet.code)
        let lanes = UnsafeRawPointer(sums).assumingMemoryBound(to: S.self)
        return (lanes.vector(0), lanes.vector(8))
      }
    } else {
      // Where there is nothing, 2 + 88: its sigmoid is exactly 1.
      forEachVector(values + first, count: part, rest: 88) { x in
        let argument = S.maximum(x + 2, least)
        let (value, onePlusExponential) = S.sigmoid(argument)
        negative += S.positivePart(SIMD8(repeating: 0) - argument)
        product *= onePlusExponential
        x = value
      }
    }
    var logarithms = SIMD8<Double>()
    for lane in 0..<8 { logarithms[lane] = Double(product[lane]) }
    logarithms = Elementary.log(logarithms)
    for lane in 0..<8 { sum -= Double(negative[lane]) + logarithms[lane] }
  }
  return sum
}

/// z ← (z + shift)·scale; shift and scale have no gaps.
@specialized(where S == Float)
@specialized(where S == Double)
package func shiftAndScale<S: Scalar>(_ z: Matrix<S>, _ shift: Matrix<S>, _ scale: Matrix<S>) {
  if let z = glow_rows(z) {
    glow_shift_and_scale(z, floats(shift.base), floats(scale.base), InstructionSet.code)
    return
  }
  for position in 0..<z.rows {
    let (z, t, s) = (z[position], shift[position], scale[position])
    for channel in 0..<shift.columns { z[channel] = (z[channel] + t[channel]) * s[channel] }
  }
}

/// z ← z/scale − shift; shift and scale have no gaps.
@specialized(where S == Float)
@specialized(where S == Double)
package func undoShiftAndScale<S: Scalar>(_ z: Matrix<S>, _ shift: Matrix<S>, _ scale: Matrix<S>) {
  if let z = glow_rows(z) {
    glow_undo_shift_and_scale(z, floats(shift.base), floats(scale.base), InstructionSet.code)
    return
  }
  for position in 0..<z.rows {
    let (z, t, s) = (z[position], shift[position], scale[position])
    for channel in 0..<shift.columns { z[channel] = z[channel] / s[channel] - t[channel] }
  }
}

/// The backward of `shiftAndScale` by a sigmoid: dz = dy·scale takes dy's place and, beside it in `outputGradient`
/// [dz | (dy·y + logDeterminantGradient)·(1 − scale)], whose second half is 0 where the scale is not above its floor.
@specialized(where S == Float)
@specialized(where S == Double)
package func shiftAndScaleBackward<S: Scalar>(
  _ dy: Matrix<S>, y: Matrix<S>, _ scale: (values: Matrix<S>, floor: S), logDeterminantGradient: S,
  outputGradient: Matrix<S>
) {
  if let dy = glow_rows(dy) {
    glow_affine_backward(
      dy, glow_rows(y)!, floats(scale.values.base), Float(scale.floor), Float(logDeterminantGradient),
      glow_rows(outputGradient)!, InstructionSet.code)
    return
  }
  let channels = dy.columns
  for position in 0..<dy.rows {
    let (y, dy) = (y[position], dy[position])
    let (s, dh) = (scale.values[position], outputGradient[position])
    for channel in 0..<channels {
      let dz = dy[channel] * s[channel]
      let slope = s[channel] > scale.floor ? 1 - s[channel] : 0
      dh[channels + channel] = (dy[channel] * y[channel] + logDeterminantGradient) * slope
      dh[channel] = dz
      dy[channel] = dz
    }
  }
}

/// Replaces values, eight at a time, by what `body` makes of them; beyond the last they are `rest`.
@inline(__always)
package func forEachVector<S: Scalar>(
  _ values: UnsafeMutablePointer<S>, count: Int, rest: S, _ body: (inout SIMD8<S>) -> Void
) {
  for index in stride(from: 0, to: count, by: 8) {
    if index + 8 <= count {
      var vector = values.vector(index)
      body(&vector)
      values.store(vector, index)
      continue
    }
    var vector = SIMD8(repeating: rest)
    for lane in 0..<(count - index) { vector[lane] = values[index + lane] }
    body(&vector)
    for lane in 0..<(count - index) { values[index + lane] = vector[lane] }
  }
}

extension glow_rows {
  fileprivate init?<S: Scalar>(_ matrix: Matrix<S>) {
    guard let base = floats(matrix.base) else { return nil }
    self.init(values: base, rows: matrix.rows, columns: matrix.columns, stride: matrix.stride)
  }
}
