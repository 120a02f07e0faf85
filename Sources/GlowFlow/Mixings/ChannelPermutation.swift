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
  func matrix<S: Scalar>(_ values: ParameterValues<S>) -> [Double] {
    permutationMatrix((0..<channels).map { Int(values[indices][$0]) })
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(
    matrixGradient: [Double], values: ParameterValues<S>, into gradients: ParameterValues<S>
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
  func matrix<S: Scalar>(_ values: ParameterValues<S>) -> [Double] {
    permutationMatrix((0..<channels).reversed())
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(
    matrixGradient: [Double], values: ParameterValues<S>, into gradients: ParameterValues<S>
  ) {}

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, generator: Philox) {}
}

/// The matrix M with x·M = (x[indices[0]], x[indices[1]], …).
private func permutationMatrix(_ indices: [Int]) -> [Double] {
  let n = indices.count
  var matrix = [Double](repeating: 0, count: n * n)
  for (column, row) in indices.enumerated() { matrix[row * n + column] = 1 }
  return matrix
}

extension PermutationKind {
  /// A fixed random permutation of the channels.
  public static let shuffle = PermutationKind(name: ChannelShuffle.name)
}

extension PermutationKind {
  /// The reversal of the order of the channels.
  public static let reverse = PermutationKind(name: ChannelReversal.name)
}
