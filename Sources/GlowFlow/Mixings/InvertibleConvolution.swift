import GlowKernels

/// The invertible 1×1 convolution (section 3.2 of Kingma & Dhariwal 2018): M = W, a free matrix.
///
/// The log-determinant of a picture is H·W·ln |det W|. W starts as a random rotation.
struct InvertibleConvolution: ChannelMixing {
  static let name = "invconv"

  let channels: Int
  /// [channels in, channels out]
  let weight: Parameter

  init(channels: Int, prefix: String, in blueprint: inout Blueprint) {
    self.channels = channels
    weight = blueprint.parameter("\(prefix).invconv.weight", [channels, channels])
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func write<S: Scalar>(_ values: ParameterValues<S>, into matrix: Matrix<Double>) {
    for index in 0..<weight.count { matrix.base[index] = Double(values[weight][index]) }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(
    matrixGradient: Matrix<Double>, values: ParameterValues<S>, into gradients: ParameterValues<S>
  ) {
    for index in 0..<weight.count { gradients[weight][index] += S(matrixGradient.base[index]) }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, generator: Philox) throws {
    let rotation = try Factorization.randomRotation(size: channels, generator: generator)
    for index in rotation.indices { values[weight][index] = S(rotation[index]) }
  }
}

extension PermutationKind {
  /// An invertible 1×1 convolution with a free matrix W.
  public static let convolution = PermutationKind(name: InvertibleConvolution.name)
}
