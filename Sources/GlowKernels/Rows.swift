import CGlowKernels

/// values[r, :] += bias, of each row's class if there are classes; values is [rows, width].
@specialized(where S == Float)
@specialized(where S == Double)
package func addBias<S: Scalar>(
  _ values: UnsafeMutablePointer<S>, rows: Int, width: Int, bias: UnsafePointer<S>,
  _ classes: RowClasses? = nil
) {
  for row in 0..<rows {
    add(bias + (classes?[row] ?? 0) * width, to: values + row * width, count: width)
  }
}

/// sums += Σ values[r, :], each row to that of its class if there are classes; values is [rows, width].
@specialized(where S == Float)
@specialized(where S == Double)
package func addRows<S: Scalar>(
  _ values: UnsafePointer<S>, rows: Int, width: Int, to sums: UnsafeMutablePointer<S>,
  _ classes: RowClasses? = nil
) {
  for row in 0..<rows {
    add(values + row * width, to: sums + (classes?[row] ?? 0) * width, count: width)
  }
}

/// sum ← Σ parts[p, :] in the order of p, in the columns of `range`; parts is [parts, stride].
@specialized(where S == Float)
@specialized(where S == Double)
package func addParts<S: Scalar>(
  _ parts: UnsafePointer<S>, _ count: Int, stride: Int, _ range: Range<Int>, into sum: UnsafeMutablePointer<S>
) {
  let (parts, sum) = (parts + range.lowerBound, sum + range.lowerBound)
  if let parts = floats(parts) {
    return glow_add_parts(parts, count, stride, floats(sum), range.count, InstructionSet.code)
  }
  for index in 0..<range.count {
    sum[index] = (1..<max(1, count)).reduce(parts[index]) { $0 + parts[$1 * stride + index] }
  }
}
