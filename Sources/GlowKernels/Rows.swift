/// values[r, :] += bias, of each row's class if there are classes; values is [rows, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBias<S: Scalar>(
  _ values: UnsafeMutablePointer<S>, rows: Int, width: Int, bias: UnsafePointer<S>,
  _ classes: RowClasses? = nil
) {
  for row in 0..<rows {
    let line = values + row * width
    let bias = bias + (classes?[row] ?? 0) * width
    for column in 0..<width { line[column] += bias[column] }
  }
}

/// sums += Σ values[r, :], each row to that of its class if there are classes; values is [rows, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addRows<S: Scalar>(
  _ values: UnsafePointer<S>, rows: Int, width: Int, to sums: UnsafeMutablePointer<S>,
  _ classes: RowClasses? = nil
) {
  for row in 0..<rows {
    let line = values + row * width
    let sum = sums + (classes?[row] ?? 0) * width
    for column in 0..<width { sum[column] += line[column] }
  }
}

/// Adds the inner part of a bordered band, [rows + 2, width + 2, channels], to the positions of a picture,
/// which lie `stride` apart.
@specialized(where S == Float)
@specialized(where S == Double)
public func addInner<S: Scalar>(
  _ bordered: UnsafePointer<S>, band: Band, channels: Int, to positions: UnsafeMutablePointer<S>,
  stride: Int
) {
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let from = bordered + ((row + 1) * (band.width + 2) + column + 1) * channels
      let to = positions + (row * band.width + column) * stride
      for channel in 0..<channels { to[channel] += from[channel] }
    }
  }
}

/// sum ← Σ parts[p, :] in the order of p, in the columns of `range`; parts is [parts, stride].
@specialized(where S == Float)
@specialized(where S == Double)
public func addParts<S: Scalar>(
  _ parts: UnsafePointer<S>, _ count: Int, stride: Int, _ range: Range<Int>, into sum: UnsafeMutablePointer<S>
) {
  (sum + range.lowerBound).update(from: parts + range.lowerBound, count: range.count)
  for part in 1..<max(1, count) {
    let values = parts + part * stride
    for index in range { sum[index] += values[index] }
  }
}
