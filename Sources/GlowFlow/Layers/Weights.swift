import GlowKernels

/// One of a model's parameters, as its layer knows it.
struct Parameter: Sendable {
  /// Where its values start in every slab that follows the model's list.
  let offset: Int
  let count: Int
}

/// The values of a model's parameters, or their gradients: a slab that follows the list.
struct ParameterValues<S: Scalar> {
  let base: UnsafeMutablePointer<S>
  /// Of gradients: those of filters (`Blueprint.filter`) hold nothing yet and are overwritten; the others are zero.
  var lacksFilters = false

  /// The values of one parameter, row-major.
  subscript(parameter: Parameter) -> UnsafeMutablePointer<S> { base + parameter.offset }
}

/// A matrix among a layer's folded weights. Its gradient is a product over the positions of each tile.
struct WeightMatrix: Sendable, Equatable {
  /// From the start of the layer's folded weights.
  fileprivate let offset: Int
  let rows: Int
  let columns: Int
  /// Of a convolution whose backward is a convolution too, the positions of its neighborhoods: row tap·in + i belongs to
  /// tap and input channel i. Then the panels for backward are those of the adjoint (`multiplyAdjoint`), not of the
  /// transpose.
  let taps: Int
  /// Where the panels of it and of its transpose are, from the start of those of the layer.
  fileprivate let panels: Int
  fileprivate let transposedPanels: Int

  fileprivate var range: Range<Int> { offset..<offset + rows * columns }
}

/// A part of a matrix's gradient that one thread makes.
struct GradientBlock: Sendable {
  let matrix: WeightMatrix
  let rows: Range<Int>
  let columns: Range<Int>

  /// A matrix in blocks of up to 128 × 128 values, for which both sides of the product are packed; with all rows in each where
  /// they are not to be cut.
  static func blocks(of matrix: WeightMatrix, cutsRows: Bool) -> [GradientBlock] {
    let rows = cuts(matrix.rows, cutsRows ? 128 : matrix.rows)
    return rows.flatMap { rows in
      cuts(matrix.columns, 128).map { GradientBlock(matrix: matrix, rows: rows, columns: $0) }
    }
  }

  /// As even as multiples of 16, the columns of a panel, are.
  private static func cuts(_ count: Int, _ most: Int) -> [Range<Int>] {
    let parts = (count + most - 1) / most
    let step = ((count + parts - 1) / parts + 15) / 16 * 16
    return stride(from: 0, to: count, by: step).map { $0..<min(count, $0 + step) }
  }

  /// Where the values of the matrix stand, from the start of the layer's folded weights.
  var range: Range<Int> { matrix.range }
}

/// Folded weights that positions add to themselves, such as biases. Their gradient is a sum over positions.
struct WeightVector: Sendable {
  fileprivate let offset: Int
  let count: Int
}

/// Some columns of a vector of folded weights that is [rows, width].
struct WeightColumns: Sendable {
  let vector: WeightVector
  let width: Int
  let columns: Range<Int>

  /// The second of the two planes that a prior's vector holds: mean, then logs.
  static func logs(_ vector: WeightVector, width: Int) -> WeightColumns {
    WeightColumns(vector: vector, width: width, columns: width / 2..<width)
  }
}

/// A layer's folded weights, or their gradient.
struct Weights<S: Scalar> {
  let base: UnsafeMutablePointer<S>
  /// The matrices, and their transposes, as products take them; nil if OpenBLAS makes the products.
  var panels: UnsafeMutablePointer<S>?
  var transposedPanels: UnsafeMutablePointer<S>?
  /// Of a gradient: its vectors are zero, and its matrices hold nothing yet.
  var isEmpty = false
  /// Of a gradient: the thread's room for `multiplyTransposed`; nil if OpenBLAS makes the products.
  var scratch: UnsafeMutablePointer<S>?

  subscript(matrix: WeightMatrix) -> Matrix<S> {
    Matrix(base + matrix.offset, rows: matrix.rows, columns: matrix.columns)
  }

  /// The right side of products with a matrix.
  func operand(_ matrix: WeightMatrix) -> Operand<S> {
    Operand(self[matrix], panels: panels.map { UnsafePointer($0 + matrix.panels) })
  }

  /// The right side of products with its transpose.
  func transposed(_ matrix: WeightMatrix) -> Operand<S> {
    Operand(
      self[matrix].transposed, panels: transposedPanels.map { UnsafePointer($0 + matrix.transposedPanels) })
  }

  /// Writes the panels of matrices, if there are any.
  func pack(_ matrices: [WeightMatrix]) {
    guard let panels else { return }
    for matrix in matrices { S.pack(self[matrix], into: panels + matrix.panels) }
  }

  /// Writes the panels of the transposes of matrices, if there are any.
  func packTransposed(_ matrices: [WeightMatrix]) {
    guard let transposedPanels else { return }
    for matrix in matrices {
      let panels = transposedPanels + matrix.transposedPanels
      if matrix.taps == 1 {
        S.pack(self[matrix].transposed, into: panels)
      } else {
        packAdjoint(matrix, panels)
      }
    }
  }

  /// Writes the panels of the filter that takes the gradient back: the taps in reverse, each transposed.
  private func packAdjoint(_ matrix: WeightMatrix, _ panels: UnsafeMutablePointer<S>) {
    let (inputs, outputs) = (matrix.rows / matrix.taps, matrix.columns)
    withScratch { scratch in
      let adjoint = scratch.take(matrix.rows * outputs, of: S.self)
      for row in 0..<matrix.rows {
        let (tap, input) = row.quotientAndRemainder(dividingBy: inputs)
        let from = self[matrix][row]
        let to = adjoint + (matrix.taps - 1 - tap) * outputs * inputs + input
        for output in 0..<outputs { to[output * inputs] = from[output] }
      }
      S.pack(Matrix(adjoint, rows: matrix.taps * outputs, columns: inputs), into: panels)
    }
  }

  /// C ← neighborhoods·adjoint, [rows, taps·out]·[taps·out, in] → [rows, in]: of the gradient at the outputs of a
  /// convolution that at its inputs. As y[p] = Σ_δ x[p + δ]·w[δ], dx[q] = Σ_δ dy[q + δ]·w[−δ]ᵀ.
  func multiplyAdjoint(_ neighborhoods: ProductRows<S>, _ matrix: WeightMatrix, into c: Matrix<S>) {
    let (inputs, outputs, taps) = (matrix.rows / matrix.taps, matrix.columns, matrix.taps)
    if let transposedPanels {
      // Of the adjoint itself only the shape is read.
      let shape = Matrix(base + matrix.offset, rows: taps * outputs, columns: inputs)
      multiply(
        neighborhoods, Operand(shape, panels: transposedPanels + matrix.transposedPanels), into: c)
      return
    }
    for tap in 0..<taps {
      let reversed = taps - 1 - tap
      multiply(
        neighborhoods.matrix!.columns(tap * outputs..<(tap + 1) * outputs),
        Operand(self[matrix].rows(reversed * inputs..<(reversed + 1) * inputs).transposed), into: c,
        Epilogue(accumulates: tap > 0))
    }
  }

  subscript(vector: WeightVector) -> UnsafeMutablePointer<S> { base + vector.offset }

  /// The first value of some columns that is not of a size up to `largest`.
  func firstBeyond(_ largest: S, in part: WeightColumns) -> S? {
    let start = self[part.vector]
    return (0..<part.vector.count).lazy.filter { part.columns.contains($0 % part.width) }.map { start[$0] }
      .first { !(abs($0) <= largest) }
  }

  /// Adds a tile's product Aᵀ·B to a matrix of a gradient. To each matrix once a tile: the first one overwrites.
  func add(_ a: Matrix<S>, _ b: Matrix<S>, to matrix: WeightMatrix) {
    add(ProductRows(a), b, to: matrix)
  }

  func add(_ a: ProductRows<S>, _ b: Matrix<S>, to matrix: WeightMatrix) {
    multiplyTransposed(a, b, into: self[matrix], accumulate: !isEmpty, scratch: scratch)
  }

  /// Adds a tile's product Aᵀ·B to a block of the gradient of a matrix.
  func add(_ a: ProductRows<S>, _ b: Matrix<S>, to block: GradientBlock) {
    multiplyTransposed(
      a, b, into: self[block.matrix].rows(block.rows).columns(block.columns), accumulate: !isEmpty,
      scratch: scratch)
  }

  /// Makes a gradient of vectors zero.
  func clear(_ vectors: [WeightVector]) {
    for vector in vectors { self[vector].clear(vector.count) }
  }
}

/// A layer's parameters, what they were folded into, and the factors of its channel map, if it has one.
struct Folded<S: Scalar> {
  let values: ParameterValues<S>
  let weights: Weights<S>
  let map: Factorization?
}

/// Books folded weights while a layer is being made.
struct WeightReservation: Sendable {
  private var reservation = Reservation()
  private(set) var vectors: [WeightVector] = []
  private(set) var matrices: [WeightMatrix] = []
  private var panels = Reservation()
  private var transposedPanels = Reservation()

  /// Values booked so far.
  var count: Int { reservation.count }

  /// Values of the panels of all matrices, and of those of their transposes.
  var panelCount: Int { panels.count }
  var transposedPanelCount: Int { transposedPanels.count }

  mutating func matrix(_ rows: Int, _ columns: Int, taps: Int = 1) -> WeightMatrix {
    let matrix = WeightMatrix(
      offset: reservation.reserve(rows * columns), rows: rows, columns: columns, taps: taps,
      panels: panels.reserve(Operand<Float>.panelCount(rows: rows, columns: columns)),
      transposedPanels: transposedPanels.reserve(
        Operand<Float>.panelCount(rows: taps * columns, columns: rows / taps)))
    matrices.append(matrix)
    return matrix
  }

  mutating func vector(_ count: Int) -> WeightVector {
    let vector = WeightVector(offset: reservation.reserve(count), count: count)
    vectors.append(vector)
    return vector
  }
}
