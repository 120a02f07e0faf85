import GlowKernels

/// Batch normalization as a map of the flow (section 3.7 of Dinh et al. 2017): y = (x − μ)/√(v + ε) for each channel. The
/// log-determinant of a picture is −½·Σ ln(v + ε) over its values.
///
/// In training μ and v are those of the batch, and the gradient goes through them, that of the log-determinant too: x has
/// an influence on the whole batch there. Everything else takes those that training has kept, with which the map is linear
/// and has an inverse.
struct InvertibleNormalization: Layer {
  let name: String
  private let normalization: BatchNormalization

  init(channels: Int, name: String, in blueprint: inout Blueprint) {
    self.name = name
    normalization = BatchNormalization(channels: channels, prefix: name, isAffine: false, in: &blueprint)
  }

  func stages(_ direction: Direction) -> [Stage] {
    switch direction {
    case .forward, .backward: [.start, .batch(round: 0), .finish]
    case .inverse: [.batch(round: 0), .finish]
    }
  }

  // MARK: Parameters

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) throws {
    normalization.initialize(values)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {
    normalization.fold(values, into: weights)
  }

  func append(_ statistics: StatisticsMemory, to values: inout [Double]) {
    normalization.append(statistics, to: &values)
  }

  // MARK: Passes

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    site.clock.start()
    let x = site.input.positions
    switch stage {
    case .start: normalization.add(x, site)
    case .conditioner: break
    case .batch: normalization.settle(site)
    case .finish:
      normalization.normalize(x, into: site.output.positions, rectifies: false, site)
      let logDeterminant = Double(site.tile.positionsPerImage) * normalization.logDeterminant(site)
      for image in 0..<site.tile.imageCount { site.add(logDeterminant: logDeterminant, image: image) }
    }
    site.clock.lap(.elementwise)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    site.clock.start()
    switch stage {
    case .start, .conditioner: break
    case .batch: normalization.settle(site)
    case .finish: normalization.denormalize(site.output.positions, into: site.input.positions, site)
    }
    site.clock.lap(.elementwise)
  }

  /// With g the gradient at y, w that of a picture's log-determinant and means over the batch:
  /// dx = (g − mean(g) − y·mean(g·y + w))/√(v + ε), and with the statistics that are kept g/√(v + ε).
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    site.clock.start()
    let (x, gradient) = (site.input.positions, site.gradient!.positions)
    switch stage {
    case .start: normalization.addBackward(gradient, x, site)
    case .conditioner: break
    case .batch: normalization.settleBackward(site, logDeterminantGradient: meanLikelihoodWeight(site))
    case .finish: normalization.backward(gradient, x, site)
    }
    site.clock.lap(.elementwise)
  }

  /// Over the pictures of the batch.
  private func meanLikelihoodWeight<S: Scalar>(_ site: Site<S>) -> Double {
    let images = site.statistics!.positions / site.tile.shape.positions
    return (0..<images).reduce(0) { $0 + Double(site.images.weights[$1]) } / Double(images)
  }
}
