/// A view of a row-major matrix of `rows × columns` values that lie `stride` apart from row to row.
///
/// The view does not own its memory. `transposed` turns it without moving a value.
@usableFromInline
package struct Matrix<S: Scalar> {
  @usableFromInline package let base: UnsafeMutablePointer<S>
  @usableFromInline package let rows: Int
  @usableFromInline package let columns: Int
  /// Values from the start of one stored row to the start of the next.
  @usableFromInline package let stride: Int
  /// True if the stored rows are this matrix's columns.
  @usableFromInline package let isTransposed: Bool

  @inlinable
  package init(_ base: UnsafeMutablePointer<S>, rows: Int, columns: Int, stride: Int? = nil) {
    self.init(base, rows, columns, stride ?? columns, false)
  }

  @usableFromInline
  init(_ base: UnsafeMutablePointer<S>, _ rows: Int, _ columns: Int, _ stride: Int, _ isTransposed: Bool) {
    self.base = base
    self.rows = rows
    self.columns = columns
    self.stride = stride
    self.isTransposed = isTransposed
  }

  /// The start of a stored row. Bounds are checked in debug builds.
  @inlinable @inline(__always)
  package subscript(row: Int) -> UnsafeMutablePointer<S> {
    assert(!isTransposed && (0..<max(1, rows)).contains(row), "row \(row) of \(rows)")
    return base + row * stride
  }

  /// Some of the rows.
  @inlinable @inline(__always)
  package func rows(_ range: Range<Int>) -> Matrix {
    assert(!isTransposed && range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
    return Matrix(base + range.lowerBound * stride, range.count, columns, stride, false)
  }

  /// Some of the columns.
  @inlinable @inline(__always)
  package func columns(_ range: Range<Int>) -> Matrix {
    assert(
      !isTransposed && range.lowerBound >= 0 && range.upperBound <= columns, "columns \(range) of \(columns)")
    return Matrix(base + range.lowerBound, rows, range.count, stride, false)
  }

  /// One value.
  @inlinable @inline(__always)
  func value(_ row: Int, _ column: Int) -> S {
    isTransposed ? base[column * stride + row] : base[row * stride + column]
  }

  /// The same memory read as [columns × rows].
  @inlinable
  package var transposed: Matrix { Matrix(base, columns, rows, stride, !isTransposed) }
}

/// C ← C + A·B for a few values, [M × K]·[K × N] → [M × N], each summed over K in order.
///
/// A and B may be transposed views.
@specialized(where S == Float)
@specialized(where S == Double)
package func addProduct<S: Scalar>(_ a: Matrix<S>, _ b: Matrix<S>, to c: Matrix<S>) {
  precondition(
    a.columns == b.rows && c.rows == a.rows && c.columns == b.columns && !c.isTransposed,
    "matrix shapes do not fit")
  for i in 0..<c.rows {
    for j in 0..<c.columns {
      for k in 0..<a.columns { c[i][j] += a.value(i, k) * b.value(k, j) }
    }
  }
}

/// C ← A·B, or C ← C + A·B, by OpenBLAS: [M × K]·[K × N] → [M × N].
///
/// A and B may be transposed views. Calls `Scalar.gemm`, on the caller's thread alone.
@inlinable
package func multiply<S: Scalar>(
  _ a: Matrix<S>, _ b: Matrix<S>, into c: Matrix<S>, accumulate: Bool = false
) {
  precondition(
    a.columns == b.rows && c.rows == a.rows && c.columns == b.columns && !c.isTransposed,
    "matrix shapes do not fit")
  S.gemm(
    a.isTransposed, b.isTransposed, c.rows, c.columns, a.columns, a.base, a.stride, b.base, b.stride,
    accumulate ? 1 : 0, c.base, c.stride)
}
