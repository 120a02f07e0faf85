/// Bias and ReLU over rows, and their backward. A row is the hidden activations of one position.

/// target ← max(0, source + bias), the activation of one position.
@inline(__always)
func rectify<S: Scalar>(
  _ source: UnsafePointer<S>, _ bias: UnsafePointer<S>, _ count: Int, into target: UnsafeMutablePointer<S>
) {
  var index = 0
  while index + 8 <= count {
    target.store(S.positivePart(source.vector(index) + bias.vector(index)), index)
    index += 8
  }
  while index < count {
    let value = source[index] + bias[index]
    target[index] = value < 0 ? 0 : value
    index += 1
  }
}

/// gradient ← 0 where activation ≤ 0; biasGradient += gradient.
@inline(__always)
func rectifyBackward<S: Scalar>(
  _ activation: UnsafePointer<S>, _ gradient: UnsafeMutablePointer<S>,
  _ biasGradient: UnsafeMutablePointer<S>, _ count: Int
) {
  var index = 0
  while index + 8 <= count {
    let value = S.select(gradient.vector(index), wherePositive: activation.vector(index))
    gradient.store(value, index)
    biasGradient.store(biasGradient.vector(index) + value, index)
    index += 8
  }
  while index < count {
    let value = activation[index] <= 0 ? 0 : gradient[index]
    gradient[index] = value
    biasGradient[index] += value
    index += 1
  }
}

/// values[r, :] ← max(0, values[r, :] + bias), with that of each row's class if there are classes; values is [rows, width].
@specialized(where S == Float)
@specialized(where S == Double)
package func addBiasAndRectify<S: Scalar>(
  _ values: UnsafeMutablePointer<S>, rows: Int, width: Int, bias: UnsafePointer<S>,
  _ classes: RowClasses? = nil
) {
  for row in 0..<rows {
    let line = values + row * width
    rectify(line, bias + (classes?[row] ?? 0) * width, width, into: line)
  }
}

/// Backward of `addBiasAndRectify`, in place: `gradient` comes as that of the activations and leaves as
/// that of the pre-activations, whose rows are added to `sums`, [width] or [classes, width].
@specialized(where S == Float)
@specialized(where S == Double)
package func rectifyBackward<S: Scalar>(
  activations: UnsafePointer<S>, gradient: UnsafeMutablePointer<S>, rows: Int, width: Int,
  sums: UnsafeMutablePointer<S>, _ classes: RowClasses? = nil
) {
  for row in 0..<rows {
    rectifyBackward(
      activations + row * width, gradient + row * width, sums + (classes?[row] ?? 0) * width, width)
  }
}

/// target ← max(0, values).
@specialized(where S == Float)
@specialized(where S == Double)
package func rectify<S: Scalar>(_ values: UnsafePointer<S>, count: Int, into target: UnsafeMutablePointer<S>)
{
  var index = 0
  while index + 8 <= count {
    target.store(S.positivePart(values.vector(index)), index)
    index += 8
  }
  while index < count {
    target[index] = values[index] < 0 ? 0 : values[index]
    index += 1
  }
}

/// sum ← sum + gradient where activation > 0: the backward of `rectify` where its input has another gradient too.
@specialized(where S == Float)
@specialized(where S == Double)
package func addRectifiedGradient<S: Scalar>(
  _ gradient: UnsafePointer<S>, activations: UnsafePointer<S>, count: Int, to sum: UnsafeMutablePointer<S>
) {
  var index = 0
  while index + 8 <= count {
    let value = S.select(gradient.vector(index), wherePositive: activations.vector(index))
    sum.store(sum.vector(index) + value, index)
    index += 8
  }
  while index < count {
    if !(activations[index] <= 0) { sum[index] += gradient[index] }
    index += 1
  }
}
