import GlowKernels

/// One step of the flow (figure 2 of Kingma & Dhariwal 2018): actnorm, channel mixing, coupling.
///
/// The coupling changes the second half of the channels, z2, by a transform whose parameters the conditioner makes of the
/// first, z1. Forward keeps a tile in the cache from the channel map to the coupling.
struct FlowStep: Layer {
  let name: String
  let map: ChannelMap
  let coupling: Coupling
  var isSetFromData: Bool { true }

  private let mapGradient: Buffer

  init(_ configuration: GlowConfiguration, channels: Int, name: String, in blueprint: inout Blueprint) {
    self.name = name
    map = ChannelMap(configuration.permutation, channels: channels, prefix: name, in: &blueprint)
    coupling = Coupling(
      configuration.coupling, channels: (channels / 2, channels / 2), configuration.networkSettings,
      prefix: "\(name).coupling", in: &blueprint)
    mapGradient = blueprint.buffer(columns: channels, .stage, isForBackward: true)
  }

  func stages(_ direction: Direction) -> [Stage] { coupling.stages(direction) }

  // MARK: Parameters

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) throws {
    try map.mixing.initialize(values, generator: noise.next())
    coupling.conditioner.initialize(values, noise: &noise)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(from data: DataPass<S>) throws {
    map.actNorm.initialize(
      data.values, from: data.moments(channels: map.channels) { $0.input.own })
    try data.fold()
    data.forEachTile { map.forward($0.input, into: $0.output, $0.weights) }
    try coupling.conditioner.initialize(from: data)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {
    coupling.conditioner.fold(values, into: weights)
    try self.map.fold(values, into: weights, map: &map)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {
    coupling.conditioner.foldBackward(folded, gradient: gradient, into: gradients)
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
  func part(ofChannel channel: Int) -> String? {
    coupling.z1.contains(channel) ? "the channel map" : "the coupling"
  }

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
    case .conditioner(let round): coupling.conditioner.forward(round: round, site)
    case .batch: break
    case .finish: coupling.forward(site)
    }
  }

  /// x = (coupling⁻¹(y) − c)·A⁻¹, which changes y.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start, .batch: break
    case .conditioner(let round): coupling.conditioner.forward(round: round, site)
    case .finish:
      coupling.inverse(site)
      map.inverse(site.output, into: site.input, site.inverse!)
      site.clock.lap(.channelMap)
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start: coupling.beginBackward(site)
    case .conditioner(let round): coupling.backward(round: round, site)
    case .batch: break
    case .finish:
      coupling.endBackward(site)
      map.backward(site, room: mapGradient)
      site.clock.lap(.channelMap)
    }
  }

  var gradientBlocks: [GradientBlock] { coupling.conditioner.gradientBlocks }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func addGradient<S: Scalar>(to block: GradientBlock, _ site: Site<S>) {
    coupling.conditioner.addGradient(to: block, site)
  }
}
