import GlowKernels

/// z2 ← (z2 + shift)·scale with scale = exp(α·tanh(h/α)), α = 2: a scale that is bounded on both sides, e^−2 to e^2, and 1
/// where the conditioner's output h is 0; log-determinant Σ α·tanh(h/α).
///
/// The bounded exponential is that of Dinh et al. 2017 (RealNVP, section 3.2, whose tanh has a learned factor) and of Nielsen
/// et al. 2020 (SurVAE Flows), in the order shift, scale of Glow's affine coupling.
struct ExponentialTransform: CouplingTransform {
  static let name = "affine-exp"
  static let outputsPerValue = 2
  static let keptPlanes = 1

  /// The largest |ln scale|.
  static let bound = 2.0

  /// plane ← t = tanh(plane/α) over `count` values; returns Σ α·t.
  ///
  /// As 2·sigmoid(2·plane/α) − 1, whose error is that of a number near 1, which ln scale can bear.
  private static func tangent<S: Scalar>(_ plane: UnsafeMutablePointer<S>, count: Int) -> Double {
    forEachVector(plane, count: count, rest: 0) { $0 = 2 * S.sigmoid($0 * S(2 / bound)).value - 1 }
    var sum = 0.0
    for index in 0..<count { sum += Double(plane[index]) }
    return bound * sum
  }

  /// scale = exp(α·t) over a plane.
  private static func scale<S: Scalar>(_ plane: UnsafeMutablePointer<S>, count: Int) {
    exponentiate(plane, count: count, sign: S(bound))
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(
    _ z2: Matrix<S>, _ outputs: Planes<S>, kept: Planes<S>?
  ) -> Double {
    let scale = outputs[1]
    let logDeterminant = Self.tangent(scale.base, count: outputs.count)
    kept?[0].base.update(from: scale.base, count: outputs.count)
    Self.scale(scale.base, count: outputs.count)
    shiftAndScale(z2, outputs[0], scale)
    return logDeterminant
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ z2: Matrix<S>, _ outputs: Planes<S>) {
    let scale = outputs[1]
    _ = Self.tangent(scale.base, count: outputs.count)
    Self.scale(scale.base, count: outputs.count)
    undoShiftAndScale(z2, outputs[0], scale)
  }

  /// dz2 = dshift = dy2·scale and, because d ln scale/dh = 1 − t² with t = tanh(h/α), and z2 + shift = y2/scale,
  /// dh = (dy2·y2 + dlogdet)·(1 − t²). `kept` is t.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ site: TransformSite<S>) {
    let (channels, kept) = (site.gradient.columns, site.kept![0])
    for position in 0..<site.gradient.rows {
      let (y, dy) = (site.output[position], site.gradient[position])
      let (t, dh) = (kept[position], site.outputGradient[position])
      // The scale goes where the gradient of the shift will be.
      dh.update(from: t, count: channels)
      Self.scale(dh, count: channels)
      for channel in 0..<channels {
        let dz = dy[channel] * dh[channel]
        dh[channels + channel] =
          (dy[channel] * y[channel] + site.logDeterminantGradient) * (1 - t[channel] * t[channel])
        dh[channel] = dz
        dy[channel] = dz
      }
    }
  }
}

extension CouplingKind {
  /// A scale exp(s), bounded on both sides, and a translation.
  public static let exponential = CouplingKind(name: ExponentialTransform.name)
}
