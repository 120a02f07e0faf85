/// Makes a matrix nearly orthogonal, in place: of U·S·Vᵀ nearly U·Vᵀ, with singular values of about 0.7 to 1.2 where they were
/// above a few thousandths of ‖X‖ = √Σx². A matrix of zeros stays one.
///
/// Five iterations of Newton and Schulz's kind, whose polynomial does not converge to 1 but grows fastest from small singular
/// values (Jordan et al., Muon, 2024):
///
///     X ← X/‖X‖        X ← X·(3.4445·I − 4.7750·A + 2.0315·A²),   A = Xᵀ·X
///
/// of the matrix or its transpose, so that A is the smaller of the two.
///
/// - Parameters:
///   - matrix: without gaps between its rows.
///   - kernels: what makes the products, on the caller's thread alone.
@specialized(where S == Float)
@specialized(where S == Double)
package func orthogonalize<S: Scalar>(_ matrix: Matrix<S>, _ kernels: ProductKernels) {
  precondition(matrix.stride == matrix.columns && !matrix.isTransposed, "a matrix with gaps")
  let isWide = matrix.columns > matrix.rows
  let (rows, size) = isWide ? (matrix.columns, matrix.rows) : (matrix.rows, matrix.columns)
  let norm = sumOfSquares(UnsafePointer(matrix.base), count: rows * size).squareRoot()
  // Nothing is lost if it is added to a norm that is not tiny.
  let scale = S(1 / (norm + 1e-30))
  for index in 0..<rows * size { matrix.base[index] *= scale }
  withScratch { scratch in
    func room(_ rows: Int, _ columns: Int) -> Matrix<S> {
      Matrix(scratch.take(rows * columns), rows: rows, columns: columns)
    }
    let isPacked = kernels == .packed && S.hasPackedProducts
    let panels = isPacked ? scratch.take(Operand<S>.panelCount(rows: size, columns: size), of: S.self) : nil
    let rowPanels = isPacked ? scratch.take(gradientScratchCount(columns: size), of: S.self) : nil
    func operand(_ matrix: Matrix<S>) -> Operand<S> {
      if let panels { S.pack(matrix, into: panels) }
      return Operand(matrix, panels: panels.map { UnsafePointer($0) })
    }
    let (gram, polynomial) = (room(size, size), room(size, size))
    var (x, next) = (isWide ? room(rows, size) : matrix, room(rows, size))
    if isWide { transpose(matrix, into: x) }
    for _ in 0..<5 {
      // [size × rows]·[rows × size] → [size × size]
      multiplyTransposed(x, x, into: gram, accumulate: false, scratch: rowPanels)
      // [size × size]·[size × size] → [size × size]
      multiply(gram, operand(gram), into: polynomial)
      for index in 0..<size * size {
        polynomial.base[index] = 2.0315 * polynomial.base[index] - 4.7750 * gram.base[index]
      }
      for index in 0..<size { polynomial[index][index] += 3.4445 }
      // [rows × size]·[size × size] → [rows × size]
      multiply(x, operand(polynomial), into: next)
      swap(&x, &next)
    }
    if isWide { transpose(x, into: matrix) } else { matrix.base.update(from: x.base, count: rows * size) }
  }
}

/// [rows × columns] → [columns × rows].
@inline(__always)
private func transpose<S: Scalar>(_ source: Matrix<S>, into target: Matrix<S>) {
  for row in 0..<source.rows {
    for column in 0..<source.columns { target[column][row] = source[row][column] }
  }
}
