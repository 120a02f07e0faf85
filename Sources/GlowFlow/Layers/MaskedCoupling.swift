import GlowKernels

/// Which values of a picture a coupling changes, given the others (figure 3 of Dinh et al. 2017).
enum CouplingMask: Sendable, Hashable {
  /// The squares of a checkerboard whose row + column is even, or the odd ones.
  case checkerboard(changesEven: Bool)
  /// The first half of the channels, or the second.
  case channels(changesFirst: Bool)
}

/// An affine coupling of a RealNVP (section 3 of Dinh et al. 2017): y = (x + t)·exp(s) where the mask says so, with
/// s = r·tanh(a); a and t are the outputs of a network of the other values and r is learned, one number a channel.
///
/// The log-determinant is Σ s. A checkerboard's network gets the whole picture with zeros for what is to be changed, and
/// gives outputs everywhere, of which only some are used.
struct MaskedCoupling: Layer {
  let name: String
  let mask: CouplingMask
  let network: NormalizedNetwork
  /// r, one for each channel that is changed anywhere.
  let rescale: Parameter

  private let channels: Int
  private let foldedRescale: WeightVector
  /// What the network sees, batch-interleaved.
  private let masked: Buffer
  private let outputs: Buffer
  private let outputGradient: Buffer
  /// tanh(a), for backward.
  private let tangents: Buffer

  /// Channels of what is changed.
  private var values: Int { changedChannels.count }

  init(
    _ mask: CouplingMask, _ shape: LevelShape, _ settings: NetworkSettings, name: String,
    in blueprint: inout Blueprint
  ) {
    self.name = name
    self.mask = mask
    channels = shape.channels
    let (seen, factor) = mask.isCheckerboard ? (shape.channels, 2) : (shape.channels / 2, 1)
    let values = seen
    network = NormalizedNetwork(
      .init(
        inChannels: seen, outChannels: 2 * values, inputFactor: factor, width: settings.width,
        blocks: settings.blocks), prefix: name, in: &blueprint)
    rescale = blueprint.parameter("\(name).rescale", [values])
    foldedRescale = blueprint.vector(values)
    masked = blueprint.buffer(columns: seen, .stage)
    outputs = blueprint.buffer(columns: 2 * values, .stage)
    outputGradient = blueprint.buffer(columns: 2 * values, .stage, isForBackward: true)
    tangents = blueprint.buffer(columns: values, .kept)
  }

  func stages(_ direction: Direction) -> [Stage] {
    let rounds = direction == .backward ? network.backwardRounds : network.forwardRounds
    let stages = rounds.enumerated().map { place, round in
      round.isOfBatch ? Stage.batch(round: place) : .conditioner(round: place)
    }
    return direction == .backward ? stages : stages + [.finish]
  }

  // MARK: Parameters

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) throws {
    network.initialize(values, noise: &noise)
    values[rescale].update(repeating: 1, count: rescale.count)
  }

  /// The hyperbolic tangent of what the network says times these.
  var logarithms: [WeightColumns] {
    [WeightColumns(vector: foldedRescale, width: rescale.count, columns: 0..<rescale.count)]
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {
    network.fold(values, into: weights)
    weights[foldedRescale].update(from: values[rescale], count: rescale.count)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {
    network.foldBackward(folded, gradient: gradient, into: gradients)
    for channel in 0..<rescale.count { gradients[rescale][channel] += gradient[foldedRescale][channel] }
  }

  func append(_ statistics: StatisticsMemory, to values: inout [Double]) {
    network.append(statistics, to: &values)
  }

  // MARK: Passes

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start: break
    case .conditioner(let round), .batch(let round):
      network.forward(network.forwardRounds[round], input: { seen(of: site.input, site) }, site)
    case .finish:
      network.finish(into: site[outputs].own, site)
      for image in 0..<site.tile.imageCount { change(image, site) }
      site.clock.lap(.elementwise)
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    switch stage {
    case .start: break
    case .conditioner(let round), .batch(let round):
      network.forward(network.forwardRounds[round], input: { seen(of: site.output, site) }, site)
    case .finish:
      network.finish(into: site[outputs].own, site)
      for image in 0..<site.tile.imageCount { changeBack(image, site) }
      site.clock.lap(.elementwise)
    }
  }

  /// With dlogdet the gradient of the picture's log-determinant: dx = dt = dy·exp(s), ds = dy·y + dlogdet, dr = Σ ds·tanh(a)
  /// and da = ds·r·(1 − tanh²(a)), where the mask says so; elsewhere dy passes, and the network's gradient is added.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    guard case .conditioner(let round) = stage.asRound else { return }
    network.backward(
      network.backwardRounds[round], input: { seen(of: site.output, site) },
      gradient: {
        for image in 0..<site.tile.imageCount { changeGradient(image, site) }
        return site[outputGradient].own
      },
      addInputGradient: { gradient in
        for image in 0..<site.tile.imageCount { addSeen(image, gradient, site) }
      }, site)
  }

  // MARK: The mask

  private var changedChannels: Range<Int> {
    switch mask {
    case .checkerboard: 0..<channels
    case .channels(let changesFirst): changesFirst ? 0..<channels / 2 : channels / 2..<channels
    }
  }

  private var seenChannels: Range<Int> {
    switch mask {
    case .checkerboard: 0..<channels
    case .channels(let changesFirst): changesFirst ? channels / 2..<channels : 0..<channels / 2
    }
  }

  /// Whether anything at the tile's `position`-th position of a picture is changed, and whether anything is seen.
  @inline(__always)
  private func isChanged(_ position: Int, _ tile: Tile) -> Bool {
    guard case .checkerboard(let changesEven) = mask else { return true }
    let (row, column) = position.quotientAndRemainder(dividingBy: tile.shape.width)
    return ((tile.firstRow + row + column) % 2 == 0) == changesEven
  }

  @inline(__always)
  private func isSeen(_ position: Int, _ tile: Tile) -> Bool {
    !mask.isCheckerboard || !isChanged(position, tile)
  }

  /// What the network gets of activations, with zeros for what it must not see.
  private func seen<S: Scalar>(of rows: Rows<S>, _ site: Site<S>) -> Matrix<S> {
    let seen = seenChannels
    for image in 0..<site.tile.imageCount {
      let (source, target) = (rows.part(image), site[masked].interleavedPart(image))
      for position in 0..<source.rows {
        if isSeen(position, site.tile) {
          target[position].update(from: source[position] + seen.lowerBound, count: seen.count)
        } else {
          target[position].clear(seen.count)
        }
      }
    }
    return site[masked].own
  }

  // MARK: The transform

  private func change<S: Scalar>(_ image: Int, _ site: Site<S>) {
    let (x, y) = (site.input.part(image), site.output.part(image))
    let outputs = site[outputs].interleavedPart(image)
    let (rescale, values, start) = (site.weights[foldedRescale], values, changedChannels.lowerBound)
    let kept = site.isKept(tangents) ? site[tangents].part(image) : nil
    var logDeterminant = 0.0
    for position in 0..<x.rows {
      y[position].update(from: x[position], count: channels)
      guard isChanged(position, site.tile) else { continue }
      let (y, h) = (y[position] + start, outputs[position])
      for channel in 0..<values {
        let tangent = S(Elementary.tanh(Double(h[channel])))
        kept?[position][channel] = tangent
        let s = rescale[channel] * tangent
        y[channel] = (y[channel] + h[values + channel]) * S(Elementary.exp(Double(s)))
        logDeterminant += Double(s)
      }
    }
    site.add(logDeterminant: logDeterminant, image: image)
  }

  private func changeBack<S: Scalar>(_ image: Int, _ site: Site<S>) {
    let (x, y) = (site.input.part(image), site.output.part(image))
    let outputs = site[outputs].interleavedPart(image)
    let (rescale, values, start) = (site.weights[foldedRescale], values, changedChannels.lowerBound)
    for position in 0..<x.rows {
      x[position].update(from: y[position], count: channels)
      guard isChanged(position, site.tile) else { continue }
      let (x, h) = (x[position] + start, outputs[position])
      for channel in 0..<values {
        let s = rescale[channel] * S(Elementary.tanh(Double(h[channel])))
        x[channel] = x[channel] * S(Elementary.exp(-Double(s))) - h[values + channel]
      }
    }
  }

  private func changeGradient<S: Scalar>(_ image: Int, _ site: Site<S>) {
    let (y, dy, kept) = (site.output.part(image), site.gradient!.part(image), site[tangents].part(image))
    let gradient = site[outputGradient].interleavedPart(image)
    let (rescale, values, start) = (site.weights[foldedRescale], values, changedChannels.lowerBound)
    let (sums, weight) = (site.weightGradient![foldedRescale], site.likelihoodWeight(image))
    for position in 0..<y.rows {
      let dh = gradient[position]
      guard isChanged(position, site.tile) else {
        dh.clear(2 * values)
        continue
      }
      let (y, dy, tangents) = (y[position] + start, dy[position] + start, kept[position])
      for channel in 0..<values {
        let (tangent, r) = (tangents[channel], rescale[channel])
        let ds = dy[channel] * y[channel] + weight
        dy[channel] *= S(Elementary.exp(Double(r * tangent)))
        dh[channel] = ds * r * (1 - tangent * tangent)
        dh[values + channel] = dy[channel]
        sums[channel] += ds * tangent
      }
    }
  }

  /// Adds what comes down through the network.
  private func addSeen<S: Scalar>(_ image: Int, _ gradient: Matrix<S>, _ site: Site<S>) {
    let step = site.tile.rowStep
    let dx = site.gradient!.part(image)
    let seen = seenChannels
    for position in 0..<dx.rows where isSeen(position, site.tile) {
      let (from, to) = (gradient[position * step + image], dx[position] + seen.lowerBound)
      for channel in 0..<seen.count { to[channel] += from[channel] }
    }
  }
}

extension CouplingMask {
  fileprivate var isCheckerboard: Bool { if case .checkerboard = self { true } else { false } }
}

extension Stage {
  /// A round of the conditioner, whether tiles meet at it or not.
  fileprivate var asRound: Stage {
    if case .batch(let round) = self { .conditioner(round: round) } else { self }
  }
}
