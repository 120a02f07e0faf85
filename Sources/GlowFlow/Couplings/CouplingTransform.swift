import GlowKernels

/// What a coupling does to z2, given the outputs of its conditioner on z1 (section 3.3 of Kingma & Dhariwal 2018).
///
/// A transform acts on each value of z2 by itself, invertibly for any outputs. z2 is [positions, channels]; the
/// conditioner's outputs are `outputsPerValue` planes of the same size, in which a transform may compute. As in `Layer`, the functions carry `@specialized` lines.
protocol CouplingTransform: Sendable {
  /// What `--coupling` calls it.
  static var name: String { get }
  /// How many outputs of the conditioner each value of z2 needs. All zero must mean a harmless transform: the
  /// conditioner's last convolution starts at zero.
  static var outputsPerValue: Int { get }
  /// How many planes of the size of z2 backward needs that forward has computed.
  static var keptPlanes: Int { get }

  init()

  /// z2 ← f(z2). Returns the log-determinant.
  ///
  /// - Parameter kept: to be written for backward if it is not nil.
  func forward<S: Scalar>(
    _ z2: Matrix<S>, _ outputs: Planes<S>, kept: Planes<S>?
  ) -> Double

  /// z2 ← f⁻¹(z2).
  func inverse<S: Scalar>(_ z2: Matrix<S>, _ outputs: Planes<S>)

  /// Turns the gradient at the transformed z2 into that at z2 and at the conditioner's outputs.
  func backward<S: Scalar>(_ site: TransformSite<S>)
}

/// What the backward of a transform works with; each matrix has a row for each position.
struct TransformSite<S: Scalar> {
  /// z2 after forward.
  let output: Matrix<S>
  /// The gradient at `output`, to become that at z2.
  let gradient: Matrix<S>
  /// What forward kept, if it keeps anything.
  let kept: Planes<S>?
  /// The gradient of the picture's log-determinant.
  let logDeterminantGradient: S
  /// To be written: the gradient of the outputs, [positions, outputsPerValue·channels], for the conditioner's products by
  /// position: that of plane i stands in columns i·channels and following.
  let outputGradient: Matrix<S>
}

/// How the second half of the channels is changed by a flow step.
public struct CouplingKind: Choice {
  /// All transforms that there are.
  static let registered: [any CouplingTransform.Type] = [
    AffineTransform.self, AdditiveTransform.self, ExponentialTransform.self,
  ]

  public static var names: [String] { registered.map { $0.name } }
  public let rawValue: String
  public init(name: String) { rawValue = name }

  var transform: any CouplingTransform.Type { CouplingKind.registered.first { $0.name == rawValue }! }
}
