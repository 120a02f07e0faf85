/// values[r, :] += bias; values is [rows, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBias<S: Scalar>(
  _ values: UnsafeMutablePointer<S>, rows: Int, width: Int, bias: UnsafePointer<S>
) {
  for row in 0..<rows {
    let line = values + row * width
    for column in 0..<width { line[column] += bias[column] }
  }
}

/// Adds the bias of each position's border class. The rows are batch-interleaved: values is
/// [band positions, pictures, width]; bias is [borderClassCount, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBorderBias<S: Scalar>(
  _ values: UnsafeMutablePointer<S>, band: Band, pictures: Int, width: Int, bias: UnsafePointer<S>
) {
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let borderClass = band.borderClass(row: band.firstRow + row, column: column)
      addBias(
        values + (row * band.width + column) * pictures * width, rows: pictures, width: width,
        bias: bias + borderClass * width)
    }
  }
}

/// sums += Σ values[r, :]; values is [rows, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addRows<S: Scalar>(
  _ values: UnsafePointer<S>, rows: Int, width: Int, to sums: UnsafeMutablePointer<S>
) {
  for row in 0..<rows {
    let line = values + row * width
    for column in 0..<width { sums[column] += line[column] }
  }
}

/// Adjoint of `addBorderBias`: adds each position's row to the sum of its border class. The rows are batch-interleaved:
/// values is [band positions, pictures, width]; sums is [borderClassCount, width].
@specialized(where S == Float)
@specialized(where S == Double)
public func addBorderRows<S: Scalar>(
  _ values: UnsafePointer<S>, band: Band, pictures: Int, width: Int, to sums: UnsafeMutablePointer<S>
) {
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let borderClass = band.borderClass(row: band.firstRow + row, column: column)
      addRows(
        values + (row * band.width + column) * pictures * width, rows: pictures, width: width,
        to: sums + borderClass * width)
    }
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
