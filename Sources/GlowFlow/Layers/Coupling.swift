import GlowKernels

/// What a flow step and a dequantizer have in common: a conditioner makes of the first channels, z1, what a transform does
/// to those that follow, z2. Both stand in `site.output`.
struct Coupling: Sendable {
  let transform: any CouplingTransform
  let conditioner: any Conditioner
  let z1: Range<Int>
  let z2: Range<Int>

  /// The conditioner's outputs for a picture, as planes.
  private let outputs: Buffer
  /// What the transform keeps for backward, if anything.
  private let kept: Buffer?
  private let outputGradient: Buffer

  /// - Parameters:
  ///   - channels: of z1 and of z2.
  ///   - prefix: that of the parameters' names.
  init(
    _ kind: CouplingKind, channels: (z1: Int, z2: Int), _ settings: NetworkSettings, prefix: String,
    in blueprint: inout Blueprint
  ) {
    z1 = 0..<channels.z1
    z2 = channels.z1..<channels.z1 + channels.z2
    let kind = kind.transform
    transform = kind.init()
    let shape = ConditionerShape(
      inChannels: channels.z1, values: channels.z2, outputsPerValue: kind.outputsPerValue, settings: settings)
    conditioner = settings.kind.conditioner.init(shape, prefix: prefix, in: &blueprint)
    outputs = blueprint.buffer(columns: shape.outputs, .stage)
    kept = kind.keptPlanes > 0 ? blueprint.buffer(columns: channels.z2 * kind.keptPlanes, .kept) : nil
    outputGradient = blueprint.buffer(columns: shape.outputs, .halo, isForBackward: true)
  }

  /// The conditioner's rounds, between what comes before and after.
  func stages(_ direction: Direction) -> [Stage] {
    let rounds = (0..<conditioner.rounds(direction)).map { Stage.conditioner(round: $0) }
    return switch direction {
    case .forward, .backward: [.start] + rounds + [.finish]
    case .inverse: rounds + [.finish]
    }
  }

  /// After the conditioner's last round: transforms z2 and adds the log-determinant.
  func forward<S: Scalar>(_ site: Site<S>) {
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

  /// After the conditioner's last round: takes the transform of z2 back.
  func inverse<S: Scalar>(_ site: Site<S>) {
    let planes = site.memory(outputs)
    site.clock.start()
    for image in 0..<site.tile.imageCount {
      conditioner.collect(image, into: planes, site)
      site.clock.lap(.patches)
      let z2 = z2(image, of: site.output)
      transform.inverse(z2, Planes(planes, like: z2))
      site.clock.lap(.elementwise)
    }
  }

  /// Turns the gradient at the transformed z2 into that at z2, and writes that at the conditioner's outputs.
  func beginBackward<S: Scalar>(_ site: Site<S>) {
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
  }

  func backward<S: Scalar>(round: Int, _ site: Site<S>) {
    conditioner.backward(round: round, outputGradient: site[outputGradient], site)
  }

  /// Adds what reaches z1 through the conditioner.
  func endBackward<S: Scalar>(_ site: Site<S>) {
    site.clock.start()
    for image in 0..<site.tile.imageCount {
      conditioner.addInputGradient(image, to: site.gradient!.part(image).columns(z1), site)
    }
    site.clock.lap(.patches)
  }

  /// What the transform keeps of the tile's part of a picture; nil where there is no backward.
  private func keptPlanes<S: Scalar>(_ image: Int, _ site: Site<S>) -> Planes<S>? {
    guard let kept, site.isKept(kept) else { return nil }
    return Planes(site[kept].part(image).base, like: z2(image, of: site.output))
  }

  private func z2<S: Scalar>(_ image: Int, of rows: Rows<S>) -> Matrix<S> { rows.part(image).columns(z2) }
}
