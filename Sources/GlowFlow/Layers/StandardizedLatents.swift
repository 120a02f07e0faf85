import GlowKernels

/// What a prior keeps of the latents that leave: ε, and for backward exp(−logs), [positions, channels] each (`Gaussian`).
struct StandardizedLatents: Sendable {
  private let epsilon: Buffer
  private let inverseDeviation: Buffer

  init(channels: Int, in blueprint: inout Blueprint) {
    epsilon = blueprint.buffer(columns: channels, .latents)
    inverseDeviation = blueprint.buffer(columns: channels, .kept)
  }

  /// ε of z, whose ln N(z; mean, exp(logs)²) is added to the density of a picture of the tile.
  ///
  /// - Parameters:
  ///   - z: of the tile's part of the picture.
  ///   - prior: mean, then logs, which are changed.
  func standardize<S: Scalar>(_ z: Matrix<S>, _ prior: Planes<S>, image: Int, _ site: Site<S>) {
    let logs = prior[1].base
    site.add(
      logDensity: Gaussian.standardize(
        z, mean: prior[0].base, logs: logs, epsilon: site[epsilon].part(image).base), image: image)
    if site.isKept(inverseDeviation) {
      site[inverseDeviation].part(image).base.update(from: logs, count: prior.count)
    }
  }

  /// z of ε.
  func restore<S: Scalar>(_ z: Matrix<S>, _ prior: Planes<S>, image: Int, _ site: Site<S>) {
    Gaussian.restore(z, mean: prior[0].base, logs: prior[1].base, epsilon: site[epsilon].part(image).base)
  }

  /// The gradient of the picture's density, at z and at (mean, logs), [positions, 2·channels].
  func backward<S: Scalar>(
    image: Int, into gradient: Matrix<S>, priorGradient: Matrix<S>, _ site: Site<S>
  ) {
    Gaussian.backward(
      epsilon: site[epsilon].part(image).base, inverseDeviation: site[inverseDeviation].part(image).base,
      weight: site.likelihoodWeight(image), into: gradient, priorGradient: priorGradient)
  }
}
