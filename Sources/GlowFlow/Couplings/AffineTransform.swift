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

  /// scale ← sigmoid(max(scale + 2, −69)) over a plane of `count` values; returns Σ ln scale.
  ///
  /// The logarithms of 64 factors 1 + e^−|x|, each between 1 and 2, are taken at once as that of their product.
  static func scale<S: Scalar>(_ plane: UnsafeMutablePointer<S>, count: Int) -> Double {
    var logDeterminant = 0.0
    var negative = SIMD8<S>(repeating: 0)
    var product = SIMD8<S>(repeating: 1)
    var factors = 0
    func flush() {
      var wide = SIMD8<Double>()
      for lane in 0..<8 { wide[lane] = Double(product[lane]) }
      let logarithms = Elementary.log(wide)
      for lane in 0..<8 { logDeterminant -= Double(negative[lane]) + logarithms[lane] }
      negative = SIMD8(repeating: 0)
      product = SIMD8(repeating: 1)
      factors = 0
    }
    var index = 0
    while index < count {
      // A last vector that is not full reads 2 + 88 where there is nothing, whose sigmoid is exactly 1.
      var x = SIMD8<S>(repeating: 88)
      let isWhole = index + 8 <= count
      if isWhole {
        x = plane.vector(index)
      } else {
        for lane in 0..<(count - index) { x[lane] = plane[index + lane] }
      }
      x = S.maximum(x + 2, S(leastArgument))
      let (value, onePlusExponential) = S.sigmoid(x)
      negative += S.positivePart(SIMD8(repeating: 0) - x)
      product *= onePlusExponential
      factors += 1
      if factors == 64 { flush() }
      if isWhole {
        plane.store(value, index)
      } else {
        for lane in 0..<(count - index) { plane[index + lane] = value[lane] }
      }
      index += 8
    }
    flush()
    return logDeterminant
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
    let floor = AffineTransform.floor(S.self)
    let (channels, kept) = (site.gradient.columns, site.kept![0])
    for position in 0..<site.gradient.rows {
      let (y, dy) = (site.output[position], site.gradient[position])
      let (s, dh) = (kept[position], site.outputGradient[position])
      for channel in 0..<channels {
        let dz = dy[channel] * s[channel]
        let slope = s[channel] > floor ? 1 - s[channel] : 0
        dh[channels + channel] = (dy[channel] * y[channel] + site.logDeterminantGradient) * slope
        dh[channel] = dz
        dy[channel] = dz
      }
    }
  }
}

extension CouplingKind {
  /// A scale sigmoid(s + 2) and a translation, as in the paper.
  public static let affine = CouplingKind(name: AffineTransform.name)
}
