import GlowKernels

/// The prior of the top latent: z ~ N(mean, exp(logs)²) with (mean, logs) a learned constant of each channel
/// and border class, plus, in a conditional model, an embedding of the class.
///
/// The original convolves an all-zero input, of which only the edge indicator is not zero; so only its weights
/// are kept.
struct TopPrior: Sendable {
  static let name = "top.prior"

  let shape: LevelShape
  let convolution: Convolution?
  let embedding: LinearLayer?
  let foldedCount: Int

  init(configuration: GlowConfiguration, in list: inout ParameterList) {
    shape = configuration.shape(ofLevel: configuration.levels - 1)
    var folded = Reservation()
    convolution =
      configuration.learnsTopPrior
      ? Convolution(
        inChannels: 0, outChannels: 2 * shape.channels, order: .productThenPatches,
        weight: TopPrior.name, biasAndLogs: TopPrior.name, in: &list, folded: &folded) : nil
    embedding =
      configuration.isConditional
      ? LinearLayer(
        inCount: configuration.classCount, outCount: 2 * shape.channels, name: "top.class_embedding",
        in: &list, folded: &folded) : nil
    foldedCount = folded.count
  }

  func fold<S: Scalar>(_ values: UnsafePointer<S>, into folded: UnsafeMutablePointer<S>) {
    convolution?.fold(values, into: folded)
    embedding?.fold(values, into: folded)
  }

  func foldBackward<S: Scalar>(
    folded: UnsafePointer<S>, foldedGradient: UnsafePointer<S>, values: UnsafePointer<S>,
    into gradients: UnsafeMutablePointer<S>
  ) {
    convolution?.foldBackward(
      folded: folded, foldedGradient: foldedGradient, values: values, into: gradients)
    embedding?.foldBackward(
      folded: folded, foldedGradient: foldedGradient, values: values, into: gradients)
  }

  /// Writes ε and adds ln p(z) to each picture's slot.
  ///
  /// - Parameter labels: the class of each picture, in a conditional model.
  func forward<S: Scalar>(
    _ level: LevelBuffers<S>, depth: Int, labels: [Int]?, folded: UnsafeMutablePointer<S>,
    scratch: [Scratch<S>], logDensities: UnsafeMutablePointer<Double>, team: ThreadTeam
  ) {
    let z = level.activations(before: depth)
    forEachPart(level, team) { tile, image, start, count, thread in
      let scratch = scratch[thread]
      writeMeanAndLogs(tile, label: labels?[tile.firstImage + image], folded: folded, scratch: scratch)
      logDensities[tile.firstSlot + image] += Gaussian.standardize(
        z + start, stride: shape.channels, positions: count, channels: shape.channels,
        mean: scratch.first, logs: scratch.second, epsilon: level.epsilon + start)
      if let inverseDeviation = level.inverseDeviation {
        (inverseDeviation + start).update(from: scratch.second, count: count * shape.channels)
      }
    }
  }

  /// z = mean + exp(logs)·ε.
  func inverse<S: Scalar>(
    _ level: LevelBuffers<S>, depth: Int, labels: [Int]?, folded: UnsafeMutablePointer<S>,
    scratch: [Scratch<S>], team: ThreadTeam
  ) {
    let z = level.activations(before: depth)
    forEachPart(level, team) { tile, image, start, count, thread in
      let scratch = scratch[thread]
      writeMeanAndLogs(tile, label: labels?[tile.firstImage + image], folded: folded, scratch: scratch)
      Gaussian.restore(
        z + start, stride: shape.channels, positions: count, channels: shape.channels,
        mean: scratch.first, logs: scratch.second, epsilon: level.epsilon + start)
    }
  }

  /// Writes the gradient at z and that of the folded weights. `weights` are the gradients of the pictures' ln p.
  func backward<S: Scalar>(
    _ level: LevelBuffers<S>, labels: [Int]?, workspace: Workspace<S>, weights: UnsafePointer<S>,
    foldedGradient: UnsafeMutablePointer<S>, team: ThreadTeam
  ) {
    let c = shape.channels
    level.tiling.sumOverTiles(
      team, parts: workspace.partialGradients!, count: foldedCount, into: [foldedGradient]
    ) { _, _, tile, part, isFirst, thread in
      let scratch = workspace.scratch[thread]
      if isFirst { part.update(repeating: 0, count: foldedCount) }
      for image in 0..<tile.imageCount {
        let count = tile.positionsPerImage
        let start = (tile.start + image * count) * c
        Gaussian.backward(
          epsilon: level.epsilon + start, inverseDeviation: level.inverseDeviation! + start,
          weight: weights[tile.firstImage + image], positions: count, channels: c,
          gradient: level.gradient! + start, stride: c, priorGradient: scratch.output)
        for position in 0..<count {
          let from = scratch.output + position * 2 * c
          if let convolution {
            let borderClass = tile.borderClass(position)
            let to = part + convolution.foldedBias + borderClass * 2 * c
            for channel in 0..<2 * c { to[channel] += from[channel] }
          }
          if let embedding, let label = labels?[tile.firstImage + image] {
            let row = part + embedding.folded + label * 2 * c
            let bias = embedding.biasPointer(part)
            for channel in 0..<2 * c {
              row[channel] += from[channel]
              bias[channel] += from[channel]
            }
          }
        }
      }
    }
  }

  private func forEachPart<S: Scalar>(
    _ level: LevelBuffers<S>, _ team: ThreadTeam,
    _ body: (_ tile: Tile, _ image: Int, _ start: Int, _ positions: Int, _ thread: Int) -> Void
  ) {
    level.tiling.forEachTile(team) { _, _, tile, thread in
      for image in 0..<tile.imageCount {
        let count = tile.positionsPerImage
        body(tile, image, (tile.start + image * count) * shape.channels, count, thread)
      }
    }
  }

  /// mean into `scratch.first`, logs into `scratch.second`, for one picture of the tile.
  private func writeMeanAndLogs<S: Scalar>(
    _ tile: Tile, label: Int?, folded: UnsafeMutablePointer<S>, scratch: Scratch<S>
  ) {
    let c = shape.channels
    for position in 0..<tile.positionsPerImage {
      let mean = scratch.first + position * c
      let logs = scratch.second + position * c
      let constant = convolution.map { folded + $0.foldedBias + tile.borderClass(position) * 2 * c }
      let row = label.flatMap { label in embedding.map { folded + $0.folded + label * 2 * c } }
      let bias = label.flatMap { _ in embedding.map { $0.biasPointer(folded) } }
      for channel in 0..<c {
        mean[channel] =
          (constant?[channel] ?? 0) + (row?[channel] ?? 0) + (bias?[channel] ?? 0)
        logs[channel] =
          (constant?[c + channel] ?? 0) + (row?[c + channel] ?? 0) + (bias?[c + channel] ?? 0)
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
