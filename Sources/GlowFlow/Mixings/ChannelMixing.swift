import GlowKernels

/// An invertible linear map of the channels of a position: y = x·M for the row vector x.
///
/// `write` is the forward pass, `backward` its adjoint. Inverse and log-determinant are those of the
/// `ChannelMap` that it is folded into.
protocol ChannelMixing: Sendable {
  /// What `--permutation` calls it.
  static var name: String { get }

  var channels: Int { get }

  /// - Parameter prefix: that of the parameters' names: the flow step's.
  init(channels: Int, prefix: String, in blueprint: inout Blueprint)

  /// Writes M, [channels, channels].
  func write<S: Scalar>(_ values: ParameterValues<S>, into matrix: Matrix<Double>)

  /// Adds the gradients of the parameters, given that of M.
  func backward<S: Scalar>(
    matrixGradient: Matrix<Double>, values: ParameterValues<S>, into gradients: ParameterValues<S>)

  /// Writes the initial values.
  func initialize<S: Scalar>(_ values: ParameterValues<S>, generator: Philox) throws
}

/// How the channels are mixed between two couplings (section 3.2 of Kingma & Dhariwal 2018).
public struct PermutationKind: Choice {
  /// All mixings that there are.
  static let registered: [any ChannelMixing.Type] = [
    InvertibleConvolution.self, FactoredConvolution.self, ChannelShuffle.self, ChannelReversal.self,
  ]

  public static var names: [String] { registered.map { $0.name } }
  public let rawValue: String
  public init(name: String) { rawValue = name }

  var mixing: any ChannelMixing.Type { PermutationKind.registered.first { $0.name == rawValue }! }
}
