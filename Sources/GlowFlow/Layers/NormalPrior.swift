import GlowKernels

/// Latents of a standard normal prior leave as they are: ε = z.
struct NormalPrior: Layer {
  let name = "prior"
  let title = "the last scale"
  private let latents: Buffer
  var isInPlace: Bool { true }

  init(channels: Int, in blueprint: inout Blueprint) {
    latents = blueprint.buffer(columns: channels, .latents)
  }

  func stages(_ direction: Direction) -> [Stage] { [.start] }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    for image in 0..<site.tile.imageCount {
      let (z, epsilon) = (site.output.part(image), site[latents].part(image))
      epsilon.base.update(from: z.base, count: z.rows * z.columns)
      site.add(logDensity: standardNormalLogDensity(epsilon), image: image)
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    let (z, epsilon) = (site.output.positions, site[latents].positions)
    z.base.update(from: epsilon.base, count: z.rows * z.columns)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    for image in 0..<site.tile.imageCount {
      let (epsilon, gradient) = (site[latents].part(image), site.gradient!.part(image))
      let weight = -site.likelihoodWeight(image)
      for index in 0..<epsilon.rows * epsilon.columns { gradient.base[index] = weight * epsilon.base[index] }
    }
  }
}

/// Half of the channels leave the flow at the end of a scale (section 3.6 of Dinh et al. 2017), under a standard normal
/// prior.
///
/// Of each 2×2 block of positions that the squeeze has made one, the values of the even squares of a checkerboard stay,
/// and those of the odd ones leave: output channel k·C + c is input channel 4·c + square k, in the order (0, 0), (1, 1),
/// (0, 1), (1, 0).
struct FactorOut: Layer {
  let name: String
  let channels: Int
  private let latents: Buffer
  /// The input channel of each output channel.
  private let sources: [Int]

  private var half: Int { channels / 2 }

  init(channels: Int, name: String, in blueprint: inout Blueprint) {
    self.name = name
    self.channels = channels
    sources = [0, 3, 1, 2].flatMap { square in (0..<channels / 4).map { 4 * $0 + square } }
    latents = blueprint.buffer(columns: channels / 2, .latents)
  }

  func stages(_ direction: Direction) -> [Stage] { [.start] }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    for image in 0..<site.tile.imageCount {
      let (x, y, epsilon) = (site.input.part(image), site.output.part(image), site[latents].part(image))
      for position in 0..<x.rows {
        let (from, to) = (x[position], y[position])
        for (channel, source) in sources.enumerated() { to[channel] = from[source] }
        epsilon[position].update(from: to + half, count: half)
      }
      site.add(logDensity: standardNormalLogDensity(epsilon), image: image)
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    let (x, y, epsilon) = (site.input.positions, site.output.positions, site[latents].positions)
    for position in 0..<x.rows {
      let (from, to) = (y[position], x[position])
      (from + half).update(from: epsilon[position], count: half)
      for (channel, source) in sources.enumerated() { to[source] = from[channel] }
    }
  }

  /// Given the gradient at what stays, adds that at what leaves and puts the channels back in order.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    var row = [S](repeating: 0, count: channels)
    for image in 0..<site.tile.imageCount {
      let (epsilon, gradient) = (site[latents].part(image), site.gradient!.part(image))
      let weight = -site.likelihoodWeight(image)
      for position in 0..<epsilon.rows {
        let (from, own) = (epsilon[position], gradient[position])
        for channel in 0..<half {
          row[sources[channel]] = own[channel]
          row[sources[half + channel]] = weight * from[channel]
        }
        for channel in 0..<channels { own[channel] = row[channel] }
      }
    }
  }
}

/// ln of the density of independent standard normal numbers, without gaps.
@inline(__always)
private func standardNormalLogDensity<S: Scalar>(_ epsilon: Matrix<S>) -> Double {
  let count = epsilon.rows * epsilon.columns
  var squares = 0.0
  for index in 0..<count { squares += Double(epsilon.base[index]) * Double(epsilon.base[index]) }
  return -0.5 * (squares + Gaussian.logTwoPi * Double(count))
}
