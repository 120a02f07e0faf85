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
}

/// Folded weights that positions add to themselves, such as biases. Their gradient is a sum over positions.
struct WeightVector: Sendable {
  fileprivate let offset: Int
  let count: Int
}

/// A layer's folded weights, or their gradient.
struct Weights<S: Scalar> {
  let base: UnsafeMutablePointer<S>
  /// Of a gradient: its vectors are zero, and its matrices hold nothing yet.
  var isEmpty = false

  subscript(matrix: WeightMatrix) -> Matrix<S> {
    Matrix(base + matrix.offset, rows: matrix.rows, columns: matrix.columns)
  }

  subscript(vector: WeightVector) -> UnsafeMutablePointer<S> { base + vector.offset }

  /// Adds a tile's product to a matrix of a gradient. To each matrix once a tile: the first one overwrites.
  func add(_ a: Matrix<S>, _ b: Matrix<S>, to matrix: WeightMatrix) {
    multiply(a, b, into: self[matrix], accumulate: !isEmpty)
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

  /// Values booked so far.
  var count: Int { reservation.count }

  mutating func matrix(_ rows: Int, _ columns: Int) -> WeightMatrix {
    WeightMatrix(offset: reservation.reserve(rows * columns), rows: rows, columns: columns)
  }

  mutating func vector(_ count: Int) -> WeightVector {
    let vector = WeightVector(offset: reservation.reserve(count), count: count)
    vectors.append(vector)
    return vector
  }
}
