import GlowKernels

/// A fixed random permutation of the channels: y[j] = x[indices[j]]. Its log-determinant is 0.
struct ChannelShuffle: ChannelMixing {
  static let name = "shuffle"

  let channels: Int
  /// [channels]
  let indices: Parameter

  init(channels: Int, prefix: String, in blueprint: inout Blueprint) {
    self.channels = channels
    indices = blueprint.parameter("\(prefix).shuffle.indices", [channels], .fixed)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func write<S: Scalar>(_ values: ParameterValues<S>, into matrix: Matrix<Double>) {
    writePermutation(into: matrix) { Int(values[indices][$0]) }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(
    matrixGradient: Matrix<Double>, values: ParameterValues<S>, into gradients: ParameterValues<S>
  ) {}

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, generator: Philox) {
    for (place, index) in generator.permutation(channels).enumerated() {
      values[indices][place] = S(index)
    }
  }
}

/// The reversal of the order of the channels: y[j] = x[channels − 1 − j]. Its log-determinant is 0.
struct ChannelReversal: ChannelMixing {
  static let name = "reverse"

  let channels: Int

  init(channels: Int, prefix: String, in blueprint: inout Blueprint) { self.channels = channels }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func write<S: Scalar>(_ values: ParameterValues<S>, into matrix: Matrix<Double>) {
    writePermutation(into: matrix) { channels - 1 - $0 }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(
    matrixGradient: Matrix<Double>, values: ParameterValues<S>, into gradients: ParameterValues<S>
  ) {}

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, generator: Philox) {}
}

/// Writes the matrix M with x·M = (x[index(0)], x[index(1)], …).
private func writePermutation(into matrix: Matrix<Double>, _ index: (Int) -> Int) {
  matrix.base.update(repeating: 0, count: matrix.rows * matrix.columns)
  for column in 0..<matrix.columns { matrix[index(column)][column] = 1 }
}

extension PermutationKind {
  /// A fixed random permutation of the channels.
  public static let shuffle = PermutationKind(name: ChannelShuffle.name)
}

extension PermutationKind {
  /// The reversal of the order of the channels.
  public static let reverse = PermutationKind(name: ChannelReversal.name)
}
