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

  /// The values of one parameter, row-major.
  subscript(parameter: Parameter) -> UnsafeMutablePointer<S> { base + parameter.offset }
}

/// A matrix among a layer's folded weights. Its gradient is a product over the positions of each tile.
struct WeightMatrix: Sendable {
  /// From the start of the layer's folded weights.
  fileprivate let offset: Int
  let rows: Int
  let columns: Int
  /// Where the panels of it and of its transpose are, from the start of those of the layer.
  fileprivate let panels: Int
  fileprivate let transposedPanels: Int
}

/// Folded weights that positions add to themselves, such as biases. Their gradient is a sum over positions.
struct WeightVector: Sendable {
  fileprivate let offset: Int
  let count: Int
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
      S.pack(self[matrix].transposed, into: transposedPanels + matrix.transposedPanels)
    }
  }

  subscript(vector: WeightVector) -> UnsafeMutablePointer<S> { base + vector.offset }

  /// Adds a tile's product Aᵀ·B to a matrix of a gradient. To each matrix once a tile: the first one overwrites.
  func add(_ a: Matrix<S>, _ b: Matrix<S>, to matrix: WeightMatrix) {
    multiplyTransposed(a, b, into: self[matrix], accumulate: !isEmpty, scratch: scratch)
  }

  /// Makes a gradient of vectors zero.
  func clear(_ vectors: [WeightVector]) {
    for vector in vectors { self[vector].update(repeating: 0, count: vector.count) }
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

  mutating func matrix(_ rows: Int, _ columns: Int) -> WeightMatrix {
    let matrix = WeightMatrix(
      offset: reservation.reserve(rows * columns), rows: rows, columns: columns,
      panels: panels.reserve(Operand<Float>.panelCount(rows: rows, columns: columns)),
      transposedPanels: transposedPanels.reserve(Operand<Float>.panelCount(rows: columns, columns: rows)))
    matrices.append(matrix)
    return matrix
  }

  mutating func vector(_ count: Int) -> WeightVector {
    let vector = WeightVector(offset: reservation.reserve(count), count: count)
    vectors.append(vector)
    return vector
  }
}
