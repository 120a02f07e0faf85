import GlowKernels

/// Several matrices of one size in a row, each without gaps: what a conditioner puts out for the values of z2, or what a
/// transform keeps of them.
struct Planes<S: Scalar> {
  private let base: UnsafeMutablePointer<S>
  private let rows: Int
  private let columns: Int

  /// Planes of the size of `matrix`.
  init(_ base: UnsafeMutablePointer<S>, like matrix: Matrix<S>) {
    self.base = base
    rows = matrix.rows
    columns = matrix.columns
  }

  /// Values of a plane.
  var count: Int { rows * columns }

  subscript(plane: Int) -> Matrix<S> { Matrix(base + plane * count, rows: rows, columns: columns) }
}
