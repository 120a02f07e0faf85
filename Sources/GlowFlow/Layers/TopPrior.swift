import GlowKernels

/// The prior of the top latent: z ~ N(mean, exp(logs)²) with (mean, logs) a learned constant of each channel
/// and border class, plus, in a conditional model, an embedding of the class.
///
/// The original convolves an all-zero input, of which only the edge indicator is not zero; so only its weights
/// are kept, none if the padding is of zeros.
struct TopPrior: Layer {
  let name = "top.prior"
  let title = "the top"
  let channels: Int
  let convolution: Convolution?
  let embedding: LinearLayer?
  var isInPlace: Bool { true }

  private let latents: StandardizedLatents
  /// mean, then logs: two planes [positions, channels].
  private let prior: Buffer
  private let priorGradient: Buffer

  init(_ configuration: GlowConfiguration, channels: Int, in blueprint: inout Blueprint) {
    self.channels = channels
    convolution =
      configuration.learnsTopPrior
      ? Convolution(
        .init(
          inChannels: 0, outChannels: 2 * channels, order: .productThenPatches,
          border: configuration.padding.ofTopPrior), weight: name, actNorm: name, in: &blueprint) : nil
    embedding =
      configuration.isConditional
      ? LinearLayer(
        inCount: configuration.classCount, outCount: 2 * channels, name: "top.class_embedding",
        in: &blueprint) : nil
    latents = StandardizedLatents(channels: channels, in: &blueprint)
    prior = blueprint.buffer(columns: 2 * channels, .stage)
    priorGradient = blueprint.buffer(columns: 2 * channels, .stage, isForBackward: true)
  }

  func stages(_ direction: Direction) -> [Stage] { [.start] }

  // MARK: Folding

  var logarithms: [WeightColumns] {
    [convolution?.foldedBias, embedding?.folded].compactMap { $0 }.map { .logs($0, width: 2 * channels) }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {
    convolution?.fold(values, into: weights)
    embedding?.fold(values, into: weights)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {
    convolution?.foldBackward(folded, gradient: gradient, into: gradients)
    embedding?.foldBackward(folded, gradient: gradient, into: gradients)
  }

  // MARK: Passes

  /// Writes ε and adds ln p(z).
  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    forEachPicture(site) { latents.standardize($1, $2, image: $0, site) }
  }

  /// z = mean + exp(logs)·ε.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    forEachPicture(site) { latents.restore($1, $2, image: $0, site) }
  }

  /// Writes the gradient at z.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    let sums = site.weightGradient!
    for image in 0..<site.tile.imageCount {
      let rows = site[priorGradient].part(image)
      latents.backward(image: image, into: site.gradient!.part(image), priorGradient: rows, site)
      for position in 0..<rows.rows {
        let from = rows[position]
        if let convolution {
          let borderClass = site.tile.borderClass(position)
          let to = sums[convolution.foldedBias] + borderClass * 2 * channels
          for channel in 0..<2 * channels { to[channel] += from[channel] }
        }
        if let embedding, let label = site.label(image) {
          let row = embedding.weight(sums)[label]
          let bias = embedding.bias(sums)
          for channel in 0..<2 * channels {
            row[channel] += from[channel]
            bias[channel] += from[channel]
          }
        }
      }
    }
  }

  /// Calls `body` with z and its prior for the tile's part of each picture.
  @inline(__always)
  private func forEachPicture<S: Scalar>(
    _ site: Site<S>,
    _ body: (_ image: Int, _ z: Matrix<S>, _ prior: Planes<S>) -> Void
  ) {
    for image in 0..<site.tile.imageCount {
      let z = site.output.part(image)
      let planes = Planes(site.memory(prior), like: z)
      write(planes, image: image, site)
      body(image, z, planes)
    }
  }

  /// mean and logs of the tile's part of a picture.
  private func write<S: Scalar>(_ prior: Planes<S>, image: Int, _ site: Site<S>) {
    let label = site.label(image)
    let (row, bias) = (
      label.flatMap { label in embedding.map { $0.weight(site.weights)[label] } },
      label.flatMap { _ in embedding.map { $0.bias(site.weights) } }
    )
    for position in 0..<site.tile.positionsPerImage {
      let constant = convolution.map {
        site.weights[$0.foldedBias] + site.tile.borderClass(position) * 2 * channels
      }
      for plane in 0..<2 {
        let target = prior[plane][position]
        target.clear(channels)
        for case let terms? in [constant, row, bias] {
          for channel in 0..<channels { target[channel] += terms[plane * channels + channel] }
        }
      }
    }
  }
}

extension Tile {
  /// The border class of the tile's `position`-th position within a picture.
  fileprivate func borderClass(_ position: Int) -> Int {
    band.borderClass(row: firstRow + position / shape.width, column: position % shape.width)
  }
}
