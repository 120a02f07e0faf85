import GlowKernels

/// A fixed random permutation of the channels: y[j] = x[indices[j]]. Its log-determinant is 0.
struct ChannelShuffle: ChannelMixing {
  let channels: Int
  /// [channels]
  let indices: Int

  init(channels: Int, prefix: String, in list: inout ParameterList) {
    self.channels = channels
    indices = list.add("\(prefix).shuffle.indices", [channels], isTrainable: false)
  }

  func matrix<S: Scalar>(_ values: UnsafePointer<S>) -> [Double] {
    permutationMatrix((0..<channels).map { Int(values[indices + $0]) })
  }

  func backward<S: Scalar>(
    matrixGradient: [Double], values: UnsafePointer<S>, into gradients: UnsafeMutablePointer<S>
  ) {}

  func initialize<S: Scalar>(_ values: UnsafeMutablePointer<S>, generator: Philox) {
    for (place, index) in generator.permutation(channels).enumerated() {
      values[indices + place] = S(index)
    }
  }
}

/// The reversal of the order of the channels: y[j] = x[channels − 1 − j]. Its log-determinant is 0.
struct ChannelReversal: ChannelMixing {
  let channels: Int

  func matrix<S: Scalar>(_ values: UnsafePointer<S>) -> [Double] {
    permutationMatrix((0..<channels).reversed())
  }

  func backward<S: Scalar>(
    matrixGradient: [Double], values: UnsafePointer<S>, into gradients: UnsafeMutablePointer<S>
  ) {}

  func initialize<S: Scalar>(_ values: UnsafeMutablePointer<S>, generator: Philox) {}
}

/// The matrix M with x·M = (x[indices[0]], x[indices[1]], …).
private func permutationMatrix(_ indices: [Int]) -> [Double] {
  let n = indices.count
  var matrix = [Double](repeating: 0, count: n * n)
  for (column, row) in indices.enumerated() { matrix[row * n + column] = 1 }
  return matrix
}
