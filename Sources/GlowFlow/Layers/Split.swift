import GlowKernels

/// Split (section 3.6 of Kingma & Dhariwal 2018): half of the channels leave the flow between two levels.
///
/// z2 ~ N(mean, exp(logs)²) with (mean, logs) = zero convolution of z1. What leaves is ε = (z2 − mean)·exp(−logs);
/// z1 goes on. Seen as a map (z1, z2) → (z1, ε) its log-determinant is −Σ logs.
struct Split: Layer {
  let name: String
  let convolution: Convolution
  /// Channels of z1 and of z2.
  let half: Int
  var isInPlace: Bool { true }

  private let latents: StandardizedLatents
  private let patches: Buffer
  private let bordered: Buffer
  /// mean, then logs: two planes [positions, half].
  private let prior: Buffer
  private let priorGradient: Buffer
  private let patchesGradient: Buffer

  init(channels: Int, padding: Padding, name: String, in blueprint: inout Blueprint) {
    self.name = name
    half = channels / 2
    convolution = Convolution(
      .init(
        inChannels: half, outChannels: channels, order: .productThenPatches, planes: 2,
        border: padding.ofZeroConvolutions),
      weight: "\(name).conv", actNorm: "\(name).conv", in: &blueprint)
    latents = StandardizedLatents(channels: half, in: &blueprint)
    patches = blueprint.buffer(columns: 9 * channels, .halo)
    bordered = blueprint.bordered(channels: channels)
    prior = blueprint.buffer(columns: channels, .stage)
    priorGradient = blueprint.buffer(columns: channels, .halo, isForBackward: true)
    patchesGradient = blueprint.buffer(columns: 9 * channels, .stage, isForBackward: true)
  }

  func stages(_ direction: Direction) -> [Stage] { [.start, .finish] }

  // MARK: Folding

  var logarithms: [WeightColumns] { [.logs(convolution.foldedBias, width: 2 * half)] }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {
    convolution.fold(values, into: weights)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {
    convolution.foldBackward(folded, gradient: gradient, into: gradients)
  }

  // MARK: Passes

  /// Writes ε and adds ln p(z2 | z1).
  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start, .conditioner, .batch: multiplyInput(site)
    case .finish:
      forEachPicture(site) { latents.standardize($1, $2, image: $0, site) }
    }
  }

  /// Restores z2 from z1 and ε.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start, .conditioner, .batch: multiplyInput(site)
    case .finish:
      forEachPicture(site) { latents.restore($1, $2, image: $0, site) }
    }
  }

  /// Given the gradient at z1, writes that at z2 and adds what reaches z1 through the prior.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    let gradient = site.gradient!
    let z1 = 0..<half
    switch stage {
    case .start, .conditioner, .batch:
      for image in 0..<site.tile.imageCount {
        latents.backward(
          image: image, into: gradient.part(image).columns(half..<2 * half),
          priorGradient: site[priorGradient].part(image), site)
      }
    case .finish:
      for image in 0..<site.tile.imageCount {
        convolution.collectBackward(
          site[priorGradient].picture(image), into: site[patchesGradient].part(image), bordered: bordered,
          site)
      }
      let dPatches = site[patchesGradient].own
      // dW += [half × rows]·[rows × 9·channels];  dz1 += [rows × 9·channels]·[9·channels × half]
      site.weightGradient!.add(
        site.output.own.columns(z1), dPatches, to: convolution.foldedWeight)
      multiply(
        dPatches, site.weights.transposed(convolution.foldedWeight), into: gradient.own.columns(z1),
        Epilogue(accumulates: true))
    }
  }

  private func multiplyInput<S: Scalar>(_ site: Site<S>) {
    // [rows × half]·[half × 9·channels] → [rows × 9·channels]
    multiplyPositions(site.output, site.weights.operand(convolution.foldedWeight), into: site[patches])
  }

  /// Calls `body` with z2 and its prior for the tile's part of each picture.
  @inline(__always)
  private func forEachPicture<S: Scalar>(
    _ site: Site<S>,
    _ body: (_ image: Int, _ z2: Matrix<S>, _ prior: Planes<S>) -> Void
  ) {
    let planes = site.memory(prior)
    for image in 0..<site.tile.imageCount {
      convolution.collect(site[patches].picture(image), into: planes, bordered: bordered, site)
      let z2 = site.output.part(image).columns(half..<2 * half)
      body(image, z2, Planes(planes, like: z2))
    }
  }
}
