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

/// Rows of weights as they are stored, and scaled by a factor for each of their values.
package struct RowScaling<S: Scalar> {
  package let rows: Int
  /// Value c·planes + p of a stored row belongs to channel c of plane p; in a scaled one, one plane comes after the other.
  package let channels: Int
  package let planes: Int
  /// [planes, channels]
  package let factors: UnsafePointer<S>
  /// Rows and the values from one to the next.
  package let stored: (base: UnsafeMutablePointer<S>, step: Int)
  package let scaled: (base: UnsafeMutablePointer<S>, step: Int)

  package init(
    rows: Int, _ shape: (channels: Int, planes: Int), factors: UnsafePointer<S>,
    stored: (UnsafeMutablePointer<S>, step: Int), scaled: (UnsafeMutablePointer<S>, step: Int)
  ) {
    self.rows = rows
    (channels, planes) = shape
    self.factors = factors
    self.stored = stored
    self.scaled = scaled
  }

  /// For C, which knows one plane and two.
  private var inC: glow_scaling? {
    guard planes <= 2, let factors = floats(factors) else { return nil }
    return glow_scaling(
      rows: rows, channels: channels, planes: planes, factors: factors, stored: floats(stored.base),
      stored_step: stored.step, scaled: floats(scaled.base), scaled_step: scaled.step)
  }

  /// Calls `body` with each value's place among the stored and among the scaled ones, and its factor's.
  private func forEachValue(_ body: (_ stored: Int, _ scaled: Int, _ factor: Int) -> Void) {
    for row in 0..<rows {
      for plane in 0..<planes {
        for channel in 0..<channels {
          let place = plane * channels + channel
          body(row * stored.step + channel * planes + plane, row * scaled.step + place, place)
        }
      }
    }
  }

  /// scaled ← stored·factors
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func apply() {
    if var scaling = inC { return glow_scale(&scaling, InstructionSet.code) }
    forEachValue { scaled.base[$1] = stored.base[$0] * factors[$2] }
  }

  /// Given the gradient of what is scaled, in rows like its own: factorSums ← factorSums + gradient·scaled, [planes, channels];
  /// and to the stored values, whose gradient they are here, gradient·factors is added, or that overwrites them.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func backward(
    _ gradient: UnsafePointer<S>, factorSums: UnsafeMutablePointer<S>, overwrites: Bool
  ) {
    if var scaling = inC {
      return glow_scale_backward(
        &scaling, floats(gradient), floats(factorSums), overwrites ? 0 : 1, InstructionSet.code)
    }
    forEachValue { place, scaledPlace, factor in
      let product = gradient[scaledPlace] * factors[factor]
      stored.base[place] = overwrites ? product : stored.base[place] + product
      factorSums[factor] += gradient[scaledPlace] * scaled.base[scaledPlace]
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
