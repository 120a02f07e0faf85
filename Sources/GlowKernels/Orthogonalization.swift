/// Makes a matrix nearly orthogonal, in place: of U·S·Vᵀ nearly U·Vᵀ, with singular values of 0.73 to 1.27 where they were at
/// least a hundredth of ‖X‖ = √Σx², and smaller ones where they were less. A matrix of zeros stays one.
///
/// Three iterations
///
///     X ← X/‖X‖        X ← X·(a·I + b·A + c·A²),   A = Xᵀ·X
///
/// of the matrix or its transpose, so that A is the smaller of the two: Newton and Schulz's kind of iteration, with coefficients
/// that bring the singular values of [0.01, 1] as near to 1 as three odd polynomials of fifth degree can (Amsel et al., The Polar
/// Express, 2025, theorem 3.1; `docs/math.md`).
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
    let (gram, polynomial) = (room(size, size), room(size, size))
    var (x, next) = (isWide ? room(rows, size) : matrix, room(rows, size))
    if isWide { transpose(matrix, into: x) }
    for (a, b, c) in coefficients {
      multiplyByTranspose(x, into: gram, scratch: rowPanels)
      multiplyByTranspose(gram, into: polynomial, scratch: rowPanels)
      for index in 0..<size * size {
        polynomial.base[index] = S(c) * polynomial.base[index] + S(b) * gram.base[index]
      }
      for index in 0..<size { polynomial[index][index] += S(a) }
      if let panels { S.pack(polynomial, into: panels) }
      // [rows × size]·[size × size] → [rows × size]
      multiply(x, Operand(polynomial, panels: panels.map { UnsafePointer($0) }), into: next)
      swap(&x, &next)
    }
    if isWide { transpose(x, into: matrix) } else { matrix.base.update(from: x.base, count: rows * size) }
  }
}

/// Of each iteration: the polynomial with the least largest distance from 1 over what the one before makes of [0.01, 1].
private let coefficients = [
  (a: 8.09337, b: -23.62043, c: 17.44615), (3.63659, -2.72193, 0.53655), (2.6613, -1.97715, 0.45262),
]

/// A ← Xᵀ·X, half of it made by products: A is symmetric.
///
/// - Parameter scratch: as `multiplyTransposed` has it.
@inline(__always)
private func multiplyByTranspose<S: Scalar>(
  _ x: Matrix<S>, into target: Matrix<S>, scratch: UnsafeMutablePointer<S>?
) {
  let (size, step) = (x.columns, 64)
  for start in stride(from: 0, to: size, by: step) {
    let end = min(size, start + step)
    // [columns before the end × rows]·[rows × columns of the block]
    multiplyTransposed(
      x.columns(0..<end), x.columns(start..<end), into: target.rows(0..<end).columns(start..<end),
      accumulate: false, scratch: scratch)
  }
  for row in 0..<size {
    for column in 0..<row { target[row][column] = target[column][row] }
  }
}

/// [rows × columns] → [columns × rows].
@inline(__always)
private func transpose<S: Scalar>(_ source: Matrix<S>, into target: Matrix<S>) {
  for row in 0..<source.rows {
    for column in 0..<source.columns { target[column][row] = source[row][column] }
  }
}
