import CGlowKernels

/// An update of parameters by their gradients' moments, with the moving average of the parameters in the same pass:
///
///     m ← keepFirst·m + takeFirst·g
///     v ← max(keepSecond·v, |g|)            (Adamax)        v ← keepSecond·v + takeSecond·g²   (Adam)
///     w ← keepValue·w − rate·m/(v + ε)                       … m/(√v + ε)
///     average ← keepAverage·average + takeAverage·w
///
/// where g is the gradient times `scale`.
package struct MomentUpdate<S: Scalar> {
  package var values: UnsafeMutablePointer<S>
  package var gradients: UnsafePointer<S>
  package var first: UnsafeMutablePointer<S>
  package var second: UnsafeMutablePointer<S>
  package var average: UnsafeMutablePointer<S>?
  package var isAdamax = true
  package var scale: S = 1
  package var keepFirst: S = 0
  package var takeFirst: S = 1
  package var keepSecond: S = 0
  package var takeSecond: S = 1
  package var rate: S = 0
  package var epsilon: S = 0
  package var keepValue: S = 1
  package var keepAverage: S = 0
  package var takeAverage: S = 1

  package init(
    values: UnsafeMutablePointer<S>, gradients: UnsafePointer<S>, first: UnsafeMutablePointer<S>,
    second: UnsafeMutablePointer<S>, average: UnsafeMutablePointer<S>?
  ) {
    (self.values, self.gradients, self.first, self.second) = (values, gradients, first, second)
    self.average = average
  }

  /// Updates some of the parameters.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func apply(_ range: Range<Int>) {
    if let values = floats(values) {
      var update = glow_update(
        values: values, gradients: floats(gradients), first: floats(first), second: floats(second),
        average: average.flatMap(floats), scale: Float(scale), keep_first: Float(keepFirst),
        take_first: Float(takeFirst), keep_second: Float(keepSecond), take_second: Float(takeSecond),
        rate: Float(rate), epsilon: Float(epsilon), keep_value: Float(keepValue),
        keep_average: Float(keepAverage), take_average: Float(takeAverage))
      let apply = isAdamax ? glow_adamax : glow_adam
      apply(&update, range.lowerBound, range.count, InstructionSet.code)
      return
    }
    for index in range {
      let g = gradients[index] * scale
      let moment = keepFirst * first[index] + takeFirst * g
      first[index] = moment
      let kept = keepSecond * second[index]
      let size = isAdamax ? max(kept, abs(g)) : kept + takeSecond * g * g
      second[index] = size
      let value =
        keepValue * values[index] - rate * moment / ((isAdamax ? size : size.squareRoot()) + epsilon)
      values[index] = value
      if let average { average[index] = keepAverage * average[index] + takeAverage * value }
    }
  }
}

extension MomentUpdate {
  /// Updates a matrix as a whole (Jordan et al., Muon, 2024; the factor is that of Liu et al. 2025, equation 4, with which
  /// the root mean square of a change is about 0.2·rate, as with Adam):
  ///
  ///     m ← keepFirst·m + takeFirst·g
  ///     w ← keepValue·w − rate·0.2·√max(rows, columns)·orthogonalized(keepFirst·m + takeFirst·g)
  ///
  /// and the average as above.
  ///
  /// - Parameters:
  ///   - range: of the matrix.
  ///   - columns: of the matrix, which is row-major.
  ///   - kernels: what makes the products.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func applyOrthogonalized(_ range: Range<Int>, columns: Int, _ kernels: ProductKernels) {
    let rows = range.count / columns
    withScratch { scratch in
      let direction = Matrix(scratch.take(range.count, of: S.self), rows: rows, columns: columns)
      for (place, index) in range.enumerated() {
        let taken = takeFirst * (gradients[index] * scale)
        let moment = keepFirst * first[index] + taken
        first[index] = moment
        direction.base[place] = keepFirst * moment + taken
      }
      orthogonalize(direction, kernels)
      let rate = rate * 0.2 * S(max(rows, columns)).squareRoot()
      for (place, index) in range.enumerated() {
        let value = keepValue * values[index] - rate * direction.base[place]
        values[index] = value
        if let average { average[index] = keepAverage * average[index] + takeAverage * value }
      }
    }
  }
}

/// Σ values², in Double.
@specialized(where S == Float)
@specialized(where S == Double)
package func sumOfSquares<S: Scalar>(_ values: UnsafePointer<S>, count: Int) -> Double {
  let whole = count / 8
  var lanes = SIMD8<Double>()
  if let values = floats(values) {
    withUnsafeMutableBytes(of: &lanes) {
      glow_add_squares(
        values, whole, $0.baseAddress!.assumingMemoryBound(to: Double.self), InstructionSet.code)
    }
  } else {
    for vector in 0..<whole {
      let x = SIMD8<Double>(values.vector(8 * vector))
      lanes += x * x
    }
  }
  var sum = lanes.sum()
  for index in 8 * whole..<count { sum += Double(values[index]) * Double(values[index]) }
  return sum
}
