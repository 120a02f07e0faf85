import GlowKernels

/// z2 ← z2 + shift; log-determinant 0 (section 3.3 of Kingma & Dhariwal 2018; Dinh et al. 2014).
struct AdditiveTransform: CouplingTransform {
  static let name = "additive"
  static let outputsPerValue = 1
  static let keptPlanes = 0

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(
    _ z2: Matrix<S>, _ outputs: Planes<S>, kept: Planes<S>?
  ) -> Double {
    for position in 0..<z2.rows {
      let (z, t) = (z2[position], outputs[0][position])
      for channel in 0..<z2.columns { z[channel] += t[channel] }
    }
    return 0
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ z2: Matrix<S>, _ outputs: Planes<S>) {
    for position in 0..<z2.rows {
      let (z, t) = (z2[position], outputs[0][position])
      for channel in 0..<z2.columns { z[channel] -= t[channel] }
    }
  }

  /// dz2 = dshift = dy2.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ site: TransformSite<S>) {
    for position in 0..<site.gradient.rows {
      let (dy, dh) = (site.gradient[position], site.outputGradient[position])
      for channel in 0..<site.gradient.columns { dh[channel] = dy[channel] }
    }
  }
}

extension CouplingKind {
  /// A translation alone, which keeps volumes.
  public static let additive = CouplingKind(name: AdditiveTransform.name)
}
