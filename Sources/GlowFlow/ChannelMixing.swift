import GlowKernels

/// An invertible linear map of the channels of a position: y = x·M for the row vector x.
///
/// `matrix` is the forward pass, `backward` its adjoint. Inverse and log-determinant are those of the
/// `ChannelMap` that it is folded into.
protocol ChannelMixing: Sendable {
  var channels: Int { get }

  /// M, [channels, channels], row-major, in Double.
  func matrix<S: Scalar>(_ values: UnsafePointer<S>) -> [Double]

  /// Adds the gradients of the parameters, given that of M.
  func backward<S: Scalar>(
    matrixGradient: [Double], values: UnsafePointer<S>, into gradients: UnsafeMutablePointer<S>)

  /// Writes the initial values.
  func initialize<S: Scalar>(_ values: UnsafeMutablePointer<S>, generator: Philox) throws
}

/// The mixing of one flow step, by kind. `prefix` names the step.
func makeChannelMixing(
  _ kind: PermutationKind, channels: Int, prefix: String, in list: inout ParameterList
) -> any ChannelMixing {
  switch kind {
  case .convolution: InvertibleConvolution(channels: channels, prefix: prefix, in: &list)
  case .factoredConvolution: FactoredConvolution(channels: channels, prefix: prefix, in: &list)
  case .shuffle: ChannelShuffle(channels: channels, prefix: prefix, in: &list)
  case .reverse: ChannelReversal(channels: channels)
  }
}
