import GlowKernels

/// What a coupling does to z2, given the outputs of its conditioner on z1 (section 3.3 of Kingma & Dhariwal 2018).
///
/// A transform acts on each value of z2 by itself, invertibly for any outputs. z2 is [positions, channels]; the
/// conditioner's outputs are `outputsPerValue` planes of the same size, one after the other, in which a transform may
/// compute. As in `Layer`, the functions carry `@specialized` lines.
protocol CouplingTransform: Sendable {
  /// What `--coupling` calls it.
  static var name: String { get }
  /// How many outputs of the conditioner each value of z2 needs. All zero must mean a harmless transform: the
  /// conditioner's last convolution starts at zero.
  static var outputsPerValue: Int { get }
  /// Whether backward needs a value that forward has computed for each value of z2, its `kept` plane.
  static var keepsPlane: Bool { get }

  init()

  /// z2 ← f(z2). Returns the log-determinant.
  ///
  /// - Parameter kept: to be written for backward if it is not nil.
  func forward<S: Scalar>(
    _ z2: Matrix<S>, _ outputs: UnsafeMutablePointer<S>, kept: UnsafeMutablePointer<S>?
  ) -> Double

  /// z2 ← f⁻¹(z2).
  func inverse<S: Scalar>(_ z2: Matrix<S>, _ outputs: UnsafeMutablePointer<S>)

  /// Turns the gradient at the transformed z2 into that at z2 and at the conditioner's outputs.
  func backward<S: Scalar>(_ site: TransformSite<S>)
}

/// What the backward of a transform works with; each matrix has a row for each position.
struct TransformSite<S: Scalar> {
  /// z2 after forward.
  let output: Matrix<S>
  /// The gradient at `output`, to become that at z2.
  let gradient: Matrix<S>
  /// What forward kept; `output` if it keeps nothing.
  let kept: Matrix<S>
  /// The gradient of the picture's log-determinant.
  let logDeterminantGradient: S
  /// To be written: [positions, outputsPerValue·channels], a row's planes one after the other.
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
