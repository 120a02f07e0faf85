/// Bias and ReLU over rows, and their backward. A row is the hidden activations of one position.

/// target ← max(0, source + bias), the activation of one position.
@inlinable @inline(__always)
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
@inlinable @inline(__always)
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

/// target[r, :] ← max(0, values[r, :] + bias); values and target, which may be the same, are [rows, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBiasAndRectify<S: Scalar>(
  _ values: UnsafePointer<S>, rows: Int, width: Int, bias: UnsafePointer<S>,
  into target: UnsafeMutablePointer<S>
) {
  for row in 0..<rows { rectify(values + row * width, bias, width, into: target + row * width) }
}

/// The same with the bias of each position's border class. The rows are batch-interleaved: values and target are
/// [band positions, pictures, width]; bias is [borderClassCount, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBorderBiasAndRectify<S: Scalar>(
  _ values: UnsafePointer<S>, band: Band, pictures: Int, width: Int, bias: UnsafePointer<S>,
  into target: UnsafeMutablePointer<S>
) {
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let bias = bias + band.borderClass(row: band.firstRow + row, column: column) * width
      let first = (row * band.width + column) * pictures
      for offset in stride(from: first * width, to: (first + pictures) * width, by: width) {
        rectify(values + offset, bias, width, into: target + offset)
      }
    }
  }
}

/// Backward of `addBiasAndRectify`, in place: `gradient` comes as that of the activations and leaves as
/// that of the pre-activations, whose sum over rows is added to `biasGradient` [width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBiasAndRectifyBackward<S: Scalar>(
  activations: UnsafePointer<S>, gradient: UnsafeMutablePointer<S>, rows: Int, width: Int,
  biasGradient: UnsafeMutablePointer<S>
) {
  for row in 0..<rows {
    rectifyBackward(activations + row * width, gradient + row * width, biasGradient, width)
  }
}

/// Backward of `addBorderBiasAndRectify`, in place; `biasGradient` is [borderClassCount, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBorderBiasAndRectifyBackward<S: Scalar>(
  activations: UnsafePointer<S>, gradient: UnsafeMutablePointer<S>, band: Band, pictures: Int, width: Int,
  biasGradient: UnsafeMutablePointer<S>
) {
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let biasGradient = biasGradient + band.borderClass(row: band.firstRow + row, column: column) * width
      let first = (row * band.width + column) * pictures
      for offset in stride(from: first * width, to: (first + pictures) * width, by: width) {
        rectifyBackward(activations + offset, gradient + offset, biasGradient, width)
      }
    }
  }
}

/// target ← max(0, values).
@specialized(where S == Float)
@specialized(where S == Double)
public func rectify<S: Scalar>(_ values: UnsafePointer<S>, count: Int, into target: UnsafeMutablePointer<S>) {
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
public func addRectifiedGradient<S: Scalar>(
  _ gradient: UnsafePointer<S>, activations: UnsafePointer<S>, count: Int, to sum: UnsafeMutablePointer<S>
) {
  var index = 0
  while index + 8 <= count {
    let value = S.select(gradient.vector(index), wherePositive: activations.vector(index))
    sum.store(sum.vector(index) + value, index)
    index += 8
  }
  while index < count {
    if activations[index] > 0 { sum[index] += gradient[index] }
    index += 1
  }
}
