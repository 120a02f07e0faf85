import GlowKernels

/// Split (section 3.6 of Kingma & Dhariwal 2018): half of the channels leave the flow between two levels.
///
/// z2 ~ N(mean, exp(logs)²) with (mean, logs) = zero convolution of z1. What leaves is ε = (z2 − mean)·exp(−logs);
/// z1 goes on. Seen as a map (z1, z2) → (z1, ε) its log-determinant is −Σ logs.
struct Split: Sendable {
  let convolution: Convolution
  /// Channels of z1 and of z2.
  let half: Int
  let name: String
  let foldedCount: Int

  init(shape: LevelShape, name: String, in list: inout ParameterList) {
    self.name = name
    half = shape.channels / 2
    var folded = Reservation()
    convolution = Convolution(
      inChannels: half, outChannels: shape.channels, order: .productThenPatches, isInterleaved: true,
      weight: "\(name).conv", biasAndLogs: "\(name).conv", in: &list, folded: &folded)
    foldedCount = folded.count
  }

  /// Writes ε and adds ln p(z2 | z1) to each picture's slot.
  func forward<S: Scalar>(
    _ level: LevelBuffers<S>, depth: Int, folded: UnsafeMutablePointer<S>, scratch: [Scratch<S>],
    logDensities: UnsafeMutablePointer<Double>, team: ThreadTeam
  ) {
    let z = level.activations(before: depth)
    level.tiling.forEachTile(team, phases: 2) { _, phase, tile, thread in
      let scratch = scratch[thread]
      if phase == 0 {
        multiplyInput(tile, z, level, folded: folded, scratch: scratch)
        return
      }
      for image in 0..<tile.imageCount {
        collect(tile, image, level, folded: folded, scratch: scratch)
        let count = tile.positionsPerImage
        let start = tile.start + image * count
        logDensities[tile.firstSlot + image] += Gaussian.standardize(
          z + start * 2 * half + half, stride: 2 * half, positions: count, channels: half,
          mean: scratch.first, logs: scratch.second, epsilon: level.epsilon + start * half)
        if let inverseDeviation = level.inverseDeviation {
          (inverseDeviation + start * half).update(from: scratch.second, count: count * half)
        }
      }
    }
  }

  /// Restores z2 from z1 and ε.
  func inverse<S: Scalar>(
    _ level: LevelBuffers<S>, depth: Int, folded: UnsafeMutablePointer<S>, scratch: [Scratch<S>],
    team: ThreadTeam
  ) {
    let z = level.activations(before: depth)
    level.tiling.forEachTile(team, phases: 2) { _, phase, tile, thread in
      let scratch = scratch[thread]
      if phase == 0 {
        multiplyInput(tile, z, level, folded: folded, scratch: scratch)
        return
      }
      for image in 0..<tile.imageCount {
        collect(tile, image, level, folded: folded, scratch: scratch)
        let count = tile.positionsPerImage
        let start = tile.start + image * count
        Gaussian.restore(
          z + start * 2 * half + half, stride: 2 * half, positions: count, channels: half,
          mean: scratch.first, logs: scratch.second, epsilon: level.epsilon + start * half)
      }
    }
  }

  /// Given the gradient at z1 in `level.gradient`, writes that at z2, adds what reaches z1 through the prior,
  /// and writes the folded weights' gradient. `weights` are the gradients of the pictures' ln p.
  func backward<S: Scalar>(
    _ level: LevelBuffers<S>, depth: Int, folded: UnsafeMutablePointer<S>, workspace: Workspace<S>,
    weights: UnsafePointer<S>, foldedGradient: UnsafeMutablePointer<S>, team: ThreadTeam
  ) {
    let z = level.activations(before: depth)
    let g = level.gradient!
    let c = 2 * half
    level.tiling.sumOverTiles(
      team, phases: 2, parts: workspace.partialGradients!, count: foldedCount, into: [foldedGradient]
    ) { _, phase, tile, part, isFirst, thread in
      let scratch = workspace.scratch[thread]
      let sharedOutput = level.sharedOutput ?? scratch.output
      if phase == 0 {
        if isFirst { part.update(repeating: 0, count: foldedCount) }
        let priorGradient = tile.rows(of: scratch.output, orShared: sharedOutput, columns: c)
        for image in 0..<tile.imageCount {
          let count = tile.positionsPerImage
          let start = tile.start + image * count
          Gaussian.backward(
            epsilon: level.epsilon + start * half,
            inverseDeviation: level.inverseDeviation! + start * half,
            weight: weights[tile.firstImage + image], positions: count, channels: half,
            gradient: g + start * c + half, stride: c, priorGradient: priorGradient + image * count * c)
        }
        return
      }
      let rows = tile.positions
      let dPatches = Matrix(scratch.outputPatches, rows: rows, columns: 9 * c)
      for image in 0..<tile.imageCount {
        convolution.collectBackward(
          pictureOutputGradient: tile.picture(
            image, of: scratch.output, orShared: sharedOutput, columns: c),
          band: tile.band, bordered: scratch.bordered,
          patchesGradient: dPatches.base + image * tile.positionsPerImage * 9 * c, rowStep: 1,
          foldedGradient: part)
      }
      // dW += [half × rows]·[rows × 9·channels];  dz1 += [rows × 9·channels]·[9·channels × half]
      multiply(
        Matrix(z + tile.start * c, rows: rows, columns: half, stride: c).transposed, dPatches,
        into: convolution.weightView(part), accumulate: true)
      multiply(
        dPatches, convolution.weightView(folded).transposed,
        into: Matrix(g + tile.start * c, rows: rows, columns: half, stride: c), accumulate: true)
    }
  }

  private func multiplyInput<S: Scalar>(
    _ tile: Tile, _ z: UnsafeMutablePointer<S>, _ level: LevelBuffers<S>,
    folded: UnsafeMutablePointer<S>, scratch: Scratch<S>
  ) {
    let patches = tile.rows(
      of: scratch.outputPatches, orShared: level.sharedOutputPatches ?? scratch.outputPatches,
      columns: 18 * half)
    // Each picture by itself, so that its rows stand where they always stand.
    let rows = tile.positionsPerImage
    for image in 0..<tile.imageCount {
      // [rows × half]·[half × 9·channels] → [rows × 9·channels]
      multiply(
        Matrix(z + (tile.start + image * rows) * 2 * half, rows: rows, columns: half, stride: 2 * half),
        convolution.weightView(folded),
        into: Matrix(patches + image * rows * 18 * half, rows: rows, columns: 18 * half))
    }
  }

  /// mean into `scratch.first`, logs into `scratch.second`.
  private func collect<S: Scalar>(
    _ tile: Tile, _ image: Int, _ level: LevelBuffers<S>, folded: UnsafeMutablePointer<S>,
    scratch: Scratch<S>
  ) {
    convolution.collect(
      tile.picture(
        image, of: scratch.outputPatches, orShared: level.sharedOutputPatches ?? scratch.outputPatches,
        columns: 18 * half),
      rowStep: 1, band: tile.band, folded: folded, bordered: scratch.bordered, first: scratch.first,
      second: scratch.second)
  }
}
