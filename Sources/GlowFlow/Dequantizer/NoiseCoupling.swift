import GlowKernels

/// [c | z] → [c | (z + shift)·scale] where a network makes shift and scale of the images' levels c around: noise that was
/// uniform, and whose logits z are so logistic, becomes that of a conditional logistic density.
struct NoiseCoupling: Layer {
  let name = "dequantizer"
  let title = "the dequantizer"
  let coupling: Coupling
  var isSetFromData: Bool { true }

  init(_ configuration: GlowConfiguration, _ shape: LevelShape, in blueprint: inout Blueprint) {
    coupling = Coupling(
      .exponential, channels: (shape.channels / 2, shape.channels / 2),
      NetworkSettings(
        kind: .plain, width: configuration.dequantizerWidth, blocks: 1, kernel: 1,
        padding: configuration.padding, readsConstants: true), prefix: "\(name).coupling", in: &blueprint)
  }

  func stages(_ direction: Direction) -> [Stage] { coupling.stages(direction) }

  // MARK: Parameters

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) throws {
    coupling.conditioner.initialize(values, noise: &noise)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(from data: DataPass<S>) throws {
    data.forEachTile { copyRows($0.input.positions, to: $0.output.positions) }
    try coupling.conditioner.initialize(from: data)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {
    coupling.conditioner.fold(values, into: weights)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {
    coupling.conditioner.foldBackward(folded, gradient: gradient, into: gradients)
  }

  // MARK: Passes

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start: copyRows(site.input.positions, to: site.output.positions)
    case .conditioner(let round):
      if !site.images.areFinal { coupling.conditioner.forward(round: round, site) }
    case .batch: break
    case .finish: if !site.images.areFinal { coupling.forward(site) }
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start, .batch: break
    case .conditioner(let round):
      if !site.images.areFinal { coupling.conditioner.forward(round: round, site) }
    case .finish:
      if !site.images.areFinal { coupling.inverse(site) }
      copyRows(site.output.positions, to: site.input.positions)
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start: coupling.beginBackward(site)
    case .conditioner(let round): coupling.backward(round: round, site)
    case .batch: break
    case .finish: coupling.endBackward(site)
    }
  }
}
