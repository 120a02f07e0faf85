import GlowKernels

/// z2 ← (z2 + shift)·scale with scale = sigmoid(h + 2); log-determinant Σ ln scale (section 3.3 of Kingma & Dhariwal
/// 2018, in the form of the original implementation).
///
/// The scale has a floor of sigmoid(−69) ≈ 10⁻³⁰, below which h has no more effect: the sigmoid of a smaller
/// argument soon is no normal Float, and the division by it in the inverse no finite one. Forward, inverse,
/// log-determinant and gradient (0 at the floor) all follow the function with its floor.
struct AffineTransform: CouplingTransform {
  static let name = "affine"
  static let outputsPerValue = 2
  static let keptPlanes = 1

  /// The least argument of the sigmoid.
  static let leastArgument = -69.0

  /// The scale at its floor, as `scale(_:count:)` computes it.
  private static func floor<S: Scalar>(_: S.Type) -> S {
    S.sigmoid(SIMD8(repeating: S(leastArgument))).value[0]
  }

  /// scale ← sigmoid(max(scale + 2, −69)) over a plane; returns Σ ln scale.
  static func scale<S: Scalar>(_ plane: UnsafeMutablePointer<S>, count: Int) -> Double {
    sigmoidScale(plane, count: count, least: S(leastArgument))
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(
    _ z2: Matrix<S>, _ outputs: Planes<S>, kept: Planes<S>?
  ) -> Double {
    let scale = outputs[1]
    let logDeterminant = AffineTransform.scale(scale.base, count: outputs.count)
    kept?[0].base.update(from: scale.base, count: outputs.count)
    shiftAndScale(z2, outputs[0], scale)
    return logDeterminant
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ z2: Matrix<S>, _ outputs: Planes<S>) {
    let scale = outputs[1]
    _ = AffineTransform.scale(scale.base, count: outputs.count)
    undoShiftAndScale(z2, outputs[0], scale)
  }

  /// dz2 = dshift = dy2·scale and, because scale′ = scale·(1 − scale) and z2 + shift = y2/scale,
  /// dh = (dy2·y2 + dlogdet)·(1 − scale), or 0 where the scale is at its floor.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ site: TransformSite<S>) {
    shiftAndScaleBackward(
      site.gradient, y: site.output, (site.kept![0], AffineTransform.floor(S.self)),
      logDeterminantGradient: site.logDeterminantGradient, outputGradient: site.outputGradient)
  }
}

extension CouplingKind {
  /// A scale sigmoid(s + 2) and a translation, as in the paper.
  public static let affine = CouplingKind(name: AffineTransform.name)
}
