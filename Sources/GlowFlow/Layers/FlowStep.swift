import GlowKernels

/// One step of the flow (figure 2 of Kingma & Dhariwal 2018): actnorm, channel mixing, coupling.
///
/// The coupling changes the second half of the channels, z2, by a transform whose parameters the conditioner makes of the
/// first, z1. Forward keeps a tile in the cache from the channel map to the coupling.
struct FlowStep: Layer {
  let name: String
  let map: ChannelMap
  let transform: any CouplingTransform
  let conditioner: any Conditioner
  var isSetFromData: Bool { true }
  /// Channels of z1 and of z2.
  let half: Int

  /// The conditioner's outputs for a picture, as planes.
  private let outputs: Buffer
  /// What the transform keeps for backward, if anything.
  private let kept: Buffer?
  private let outputGradient: Buffer
  private let mapGradient: Buffer

  init(_ configuration: GlowConfiguration, channels: Int, name: String, in blueprint: inout Blueprint) {
    self.name = name
    half = channels / 2
    let kind = configuration.coupling.transform
    transform = kind.init()
    map = ChannelMap(configuration.permutation, channels: channels, prefix: name, in: &blueprint)
    let shape = ConditionerShape(
      inChannels: half, values: half, outputsPerValue: kind.outputsPerValue,
      settings: configuration.networkSettings)
    conditioner = shape.settings.kind.conditioner.init(shape, prefix: "\(name).coupling", in: &blueprint)
    outputs = blueprint.buffer(columns: shape.outputs, .stage)
    kept = kind.keptPlanes > 0 ? blueprint.buffer(columns: half * kind.keptPlanes, .kept) : nil
    outputGradient = blueprint.buffer(columns: shape.outputs, .halo, isForBackward: true)
    mapGradient = blueprint.buffer(columns: channels, .stage, isForBackward: true)
  }

  func stages(_ direction: Direction) -> [Stage] {
    let rounds = (0..<conditioner.rounds(direction)).map { Stage.conditioner(round: $0) }
    return switch direction {
    case .forward, .backward: [.start] + rounds + [.finish]
    case .inverse: rounds + [.finish]
    }
  }

  // MARK: Parameters

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) throws {
    try map.mixing.initialize(values, generator: noise.next())
    conditioner.initialize(values, noise: &noise)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(from data: DataPass<S>) throws {
    map.actNorm.initialize(
      data.values, from: data.moments(channels: map.channels) { $0.input.own })
    try data.fold()
    data.forEachTile { map.forward($0.input, into: $0.output, $0.weights) }
    try conditioner.initialize(from: data)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {
    conditioner.fold(values, into: weights)
    try self.map.fold(values, into: weights, map: &map)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {
    conditioner.foldBackward(folded, gradient: gradient, into: gradients)
    try map.foldBackward(
      folded, gradient: gradient, logDeterminantGradient: logDeterminantGradient, into: gradients)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldInverse<S: Scalar>(_ folded: Folded<S>, into inverse: Weights<S>) throws {
    try map.foldInverse(folded, into: inverse)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func condition<S: Scalar>(_ folded: Folded<S>) -> MapCondition? { map.condition(folded, step: name) }

  /// z1 comes from the channel map alone.
  func part(ofChannel channel: Int) -> String? { channel < half ? "the channel map" : "the coupling" }

  // MARK: Passes

  /// y = coupling(x·A + c), with the coupling's log-determinant.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start:
      site.clock.start()
      map.forward(site.input, into: site.output, site.weights)
      site.clock.lap(.channelMap)
    case .conditioner(let round):
      conditioner.forward(round: round, site)
    case .batch: break
    case .finish:
      let planes = site.memory(outputs)
      for image in 0..<site.tile.imageCount {
        site.clock.start()
        conditioner.collect(image, into: planes, site)
        site.clock.lap(.patches)
        let z2 = z2(image, of: site.output)
        let logDeterminant = transform.forward(z2, Planes(planes, like: z2), kept: keptPlanes(image, site))
        site.add(logDeterminant: logDeterminant, image: image)
        site.clock.lap(.elementwise)
      }
    }
  }

  /// x = (coupling⁻¹(y) − c)·A⁻¹, which changes y.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start, .batch: break
    case .conditioner(let round):
      conditioner.forward(round: round, site)
    case .finish:
      let planes = site.memory(outputs)
      site.clock.start()
      for image in 0..<site.tile.imageCount {
        conditioner.collect(image, into: planes, site)
        site.clock.lap(.patches)
        let z2 = z2(image, of: site.output)
        transform.inverse(z2, Planes(planes, like: z2))
        site.clock.lap(.elementwise)
      }
      map.inverse(site.output, into: site.input, site.inverse!)
      site.clock.lap(.channelMap)
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start:
      site.clock.start()
      for image in 0..<site.tile.imageCount {
        transform.backward(
          TransformSite(
            output: z2(image, of: site.output), gradient: z2(image, of: site.gradient!),
            kept: keptPlanes(image, site),
            logDeterminantGradient: site.likelihoodWeight(image),
            outputGradient: site[outputGradient].part(image)))
      }
      site.clock.lap(.elementwise)
    case .conditioner(let round):
      conditioner.backward(round: round, outputGradient: site[outputGradient], site)
    case .batch: break
    case .finish:
      site.clock.start()
      for image in 0..<site.tile.imageCount {
        conditioner.addInputGradient(
          image, to: site.gradient!.part(image).columns(0..<half), site)
      }
      site.clock.lap(.patches)
      map.backward(site, room: mapGradient)
      site.clock.lap(.channelMap)
    }
  }

  var gradientBlocks: [GradientBlock] { conditioner.gradientBlocks }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func addGradient<S: Scalar>(to block: GradientBlock, _ site: Site<S>) {
    conditioner.addGradient(to: block, site)
  }

  /// What the transform keeps of the tile's part of a picture; nil where there is no backward.
  private func keptPlanes<S: Scalar>(_ image: Int, _ site: Site<S>) -> Planes<S>? {
    guard let kept, site.isKept(kept) else { return nil }
    return Planes(site[kept].part(image).base, like: z2(image, of: site.output))
  }

  private func z2<S: Scalar>(_ image: Int, of rows: Rows<S>) -> Matrix<S> {
    rows.part(image).columns(half..<2 * half)
  }
}
