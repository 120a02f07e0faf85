/// Bias and ReLU over rows, and their backward. A row is the hidden activations of one position.

/// row ← max(0, row + bias), the activation of one position.
@inlinable @inline(__always)
func rectify<S: Scalar>(_ row: UnsafeMutablePointer<S>, _ bias: UnsafePointer<S>, _ count: Int) {
  var index = 0
  while index + 8 <= count {
    row.store(S.positivePart(row.vector(index) + bias.vector(index)), index)
    index += 8
  }
  while index < count {
    let value = row[index] + bias[index]
    row[index] = value < 0 ? 0 : value
    index += 1
  }
}

/// gradient ← gradient where activation > 0, else 0; biasGradient += gradient.
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
    let value = activation[index] > 0 ? gradient[index] : 0
    gradient[index] = value
    biasGradient[index] += value
    index += 1
  }
}

/// values[r, :] ← max(0, values[r, :] + bias); values is [rows, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBiasAndRectify<S: Scalar>(
  _ values: UnsafeMutablePointer<S>, rows: Int, width: Int, bias: UnsafePointer<S>
) {
  for row in 0..<rows { rectify(values + row * width, bias, width) }
}

/// The same with the bias of each position's border class; values is [band positions, width],
/// bias is [borderClassCount, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBorderBiasAndRectify<S: Scalar>(
  _ values: UnsafeMutablePointer<S>, band: Band, width: Int, bias: UnsafePointer<S>
) {
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let borderClass = band.borderClass(row: band.firstRow + row, column: column)
      rectify(values + (row * band.width + column) * width, bias + borderClass * width, width)
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
  activations: UnsafePointer<S>, gradient: UnsafeMutablePointer<S>, band: Band, width: Int,
  biasGradient: UnsafeMutablePointer<S>
) {
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let borderClass = band.borderClass(row: band.firstRow + row, column: column)
      let offset = (row * band.width + column) * width
      rectifyBackward(activations + offset, gradient + offset, biasGradient + borderClass * width, width)
    }
  }
}
