import GlowKernels

/// One step of the flow (figure 2 of Kingma & Dhariwal 2018): actnorm, channel mixing, coupling.
///
/// Works through a level in tiles; forward keeps a tile in the cache from the channel map to the coupling.
struct FlowStep: Sendable {
  let map: ChannelMap
  let network: CouplingNetwork
  let coupling: Coupling
  let name: String
  /// Values of the folded weights.
  let foldedCount: Int

  init(configuration: GlowConfiguration, shape: LevelShape, name: String, in list: inout ParameterList) {
    self.name = name
    var folded = Reservation()
    map = ChannelMap(
      configuration.permutation, channels: shape.channels, prefix: name, in: &list, folded: &folded)
    coupling = Coupling(kind: configuration.coupling, channels: shape.channels / 2)
    network = CouplingNetwork(
      inChannels: shape.channels / 2, width: configuration.width, outChannels: coupling.networkChannels,
      isInterleaved: coupling.isAffine, prefix: "\(name).coupling", in: &list, folded: &folded)
    foldedCount = folded.count
  }

  // MARK: Forward

  static let forwardPhases = 3

  /// y = coupling(x·A + c) for a tile, with Σ ln scale added to each picture's slot.
  func forward<S: Scalar>(
    phase: Int, _ tile: Tile, _ level: LevelBuffers<S>, step: Int, folded: UnsafeMutablePointer<S>,
    scratch: Scratch<S>, logDeterminants: UnsafeMutablePointer<Double>
  ) {
    let y = level.activations(before: step + 1)
    switch phase {
    case 0:
      scratch.clock.start()
      applyMap(tile, from: level.activations(before: step), into: y, folded: folded)
      scratch.clock.lap(.channelMap)
    case 1:
      network.gatherInput(tile: tile, activations: y, stride: map.channels, scratch: scratch)
      runNetwork(tile, level, step: step, folded: folded, scratch: scratch)
    default:
      let half = coupling.channels
      for image in 0..<tile.imageCount {
        scratch.clock.start()
        collect(tile, image, level, folded: folded, scratch: scratch)
        let count = tile.positionsPerImage
        let start = tile.start + image * count
        if coupling.isAffine {
          logDeterminants[tile.firstSlot + image] += Coupling.scale(scratch.second, count: count * half)
          if !level.scales.isEmpty {
            (level.scales[step] + start * half).update(from: scratch.second, count: count * half)
          }
        }
        coupling.forward(
          y + start * map.channels + half, stride: map.channels, positions: count,
          shift: scratch.first, scale: scratch.second)
        scratch.clock.lap(.elementwise)
      }
    }
  }

  /// y ← x·A + c for the positions of a tile.
  func applyMap<S: Scalar>(
    _ tile: Tile, from x: UnsafeMutablePointer<S>, into y: UnsafeMutablePointer<S>,
    folded: UnsafeMutablePointer<S>
  ) {
    applyMap(tile, from: x, into: y, matrix: folded + map.matrix, bias: folded + map.bias)
  }

  /// Each picture by itself, so that its rows stand where they always stand.
  private func applyMap<S: Scalar>(
    _ tile: Tile, from source: UnsafeMutablePointer<S>, into target: UnsafeMutablePointer<S>,
    matrix: UnsafeMutablePointer<S>, bias: UnsafePointer<S>
  ) {
    let c = map.channels
    let rows = tile.positionsPerImage
    for image in 0..<tile.imageCount {
      let start = (tile.start + image * rows) * c
      // [rows × channels]·[channels × channels] → [rows × channels]
      multiply(
        Matrix(source + start, rows: rows, columns: c), Matrix(matrix, rows: c, columns: c),
        into: Matrix(target + start, rows: rows, columns: c))
    }
    addBias(target + tile.start * c, rows: tile.positions, width: c, bias: bias)
  }

  /// The coupling network up to its last product, from the tile's patches.
  private func runNetwork<S: Scalar>(
    _ tile: Tile, _ level: LevelBuffers<S>, step: Int, folded: UnsafeMutablePointer<S>, scratch: Scratch<S>
  ) {
    let (hidden1, hidden2) = hidden(tile, level, step: step, scratch: scratch)
    network.forwardHidden(
      tile: tile, folded: folded, scratch: scratch, hidden1: hidden1, hidden2: hidden2)
    let columns = 9 * network.outChannels
    network.forwardOutput(
      tile: tile, folded: folded, hidden2: hidden2,
      outputPatches: tile.rows(
        of: scratch.outputPatches, orShared: level.sharedOutputPatches ?? scratch.outputPatches,
        columns: columns),
      clock: scratch.clock)
  }

  /// Where a tile's hidden activations stand: kept for backward, or in scratch.
  private func hidden<S: Scalar>(
    _ tile: Tile, _ level: LevelBuffers<S>, step: Int, scratch: Scratch<S>
  ) -> (UnsafeMutablePointer<S>, UnsafeMutablePointer<S>) {
    if level.hidden1.isEmpty { return (scratch.hidden1, scratch.hidden2) }
    let offset = tile.start * network.width
    return (level.hidden1[step] + offset, level.hidden2[step] + offset)
  }

  /// The network's outputs for one picture of a tile: shift into `scratch.first`, the scale's argument, if
  /// any, into `scratch.second`.
  private func collect<S: Scalar>(
    _ tile: Tile, _ image: Int, _ level: LevelBuffers<S>, folded: UnsafeMutablePointer<S>,
    scratch: Scratch<S>
  ) {
    network.last.collect(
      tile.firstRow(
        ofPicture: image, of: scratch.outputPatches,
        orShared: level.sharedOutputPatches ?? scratch.outputPatches, columns: 9 * network.outChannels),
      rowStep: tile.rowStep, band: tile.band, folded: folded, bordered: scratch.bordered,
      first: scratch.first,
      second: coupling.isAffine ? scratch.second : nil)
    scratch.clock.lap(.patches)
  }

  // MARK: Inverse

  static let inversePhases = 2

  /// x = (coupling⁻¹(y) − c)·A⁻¹ for a tile, from the activations after the step, which it changes, into those before it.
  ///
  /// - Parameter inverse: A⁻¹ [channels, channels], then −c·A⁻¹ [channels].
  func inverse<S: Scalar>(
    phase: Int, _ tile: Tile, _ level: LevelBuffers<S>, step: Int, folded: UnsafeMutablePointer<S>,
    inverse: UnsafeMutablePointer<S>, scratch: Scratch<S>
  ) {
    let y = level.activations(before: step + 1)
    let x = level.activations(before: step)
    let c = map.channels
    if phase == 0 {
      network.gatherInput(tile: tile, activations: y, stride: c, scratch: scratch)
      runNetwork(tile, level, step: step, folded: folded, scratch: scratch)
      return
    }
    scratch.clock.start()
    for image in 0..<tile.imageCount {
      collect(tile, image, level, folded: folded, scratch: scratch)
      let count = tile.positionsPerImage
      if coupling.isAffine { _ = Coupling.scale(scratch.second, count: count * coupling.channels) }
      coupling.inverse(
        y + (tile.start + image * count) * c + coupling.channels, stride: c, positions: count,
        shift: scratch.first, scale: scratch.second)
      scratch.clock.lap(.elementwise)
    }
    applyMap(tile, from: y, into: x, matrix: inverse, bias: inverse + c * c)
    scratch.clock.lap(.channelMap)
  }

  // MARK: Backward

  static let backwardPhases = 3

  /// Turns a tile's gradient at the output, in `level.gradient`, into that at the input, and adds to the gradient of
  /// the folded weights (all but the log-determinant of the channel map, which `ChannelMap.foldBackward` adds).
  ///
  /// - Parameters:
  ///   - logDeterminantGradients: one an image.
  ///   - part: the sum of the folded weights' gradient, which holds nothing yet if `isFirst`.
  func backward<S: Scalar>(
    phase: Int, _ tile: Tile, _ level: LevelBuffers<S>, step: Int, folded: UnsafeMutablePointer<S>,
    scratch: Scratch<S>, logDeterminantGradients: UnsafePointer<S>, part: UnsafeMutablePointer<S>,
    isFirst: Bool
  ) {
    let x = level.activations(before: step)
    let y = level.activations(before: step + 1)
    let g = level.gradient!
    let c = map.channels
    let half = coupling.channels
    let outputs = network.outChannels
    let sharedOutput = level.sharedOutput ?? scratch.output
    let sharedPatches = level.sharedPatches ?? scratch.patchesGradient
    switch phase {
    case 0:
      scratch.clock.start()
      if isFirst { clearBiases(of: part) }
      let networkGradient = tile.rows(of: scratch.output, orShared: sharedOutput, columns: outputs)
      for image in 0..<tile.imageCount {
        let count = tile.positionsPerImage
        let start = tile.start + image * count
        coupling.backward(
          output: y + start * c + half, gradient: g + start * c + half, stride: c, positions: count,
          scale: level.scales.isEmpty ? y : level.scales[step] + start * half,
          logDeterminantGradient: logDeterminantGradients[tile.firstImage + image],
          networkGradient: networkGradient + image * count * outputs)
      }
      scratch.clock.lap(.elementwise)
    case 1:
      let (hidden1, hidden2) = hidden(tile, level, step: step, scratch: scratch)
      if level.hidden1.isEmpty {
        network.gatherInput(tile: tile, activations: y, stride: c, scratch: scratch)
        network.forwardHidden(
          tile: tile, folded: folded, scratch: scratch, hidden1: hidden1, hidden2: hidden2)
      }
      network.backward(
        tile: tile, activations: y, stride: c, folded: folded, hidden1: hidden1, hidden2: hidden2,
        scratch: scratch,
        pictureOutputGradient: { image in
          UnsafePointer(
            tile.picture(image, of: scratch.output, orShared: sharedOutput, columns: outputs))
        },
        foldedGradient: part, accumulate: !isFirst,
        inputPatchesGradient: tile.rows(
          of: scratch.patchesGradient, orShared: sharedPatches, columns: 9 * half))
    default:
      scratch.clock.start()
      for image in 0..<tile.imageCount {
        scatterPatches(
          tile.firstRow(
            ofPicture: image, of: scratch.patchesGradient, orShared: sharedPatches, columns: 9 * half),
          rowStep: tile.rowStep, channels: half, band: tile.band, bordered: scratch.bordered)
        addInner(
          scratch.bordered, band: tile.band, channels: half,
          to: g + (tile.start + image * tile.positionsPerImage) * c, stride: c)
      }
      scratch.clock.lap(.patches)
      mapBackward(
        tile, x: x, gradient: g, folded: folded, part: part, accumulate: !isFirst, scratch: scratch)
    }
  }

  /// Makes room for sums of biases; products overwrite the rest with a group's first tile.
  private func clearBiases<S: Scalar>(of part: UnsafeMutablePointer<S>) {
    (part + map.bias).update(repeating: 0, count: map.channels)
    (part + network.foldedHiddenBias).update(repeating: 0, count: network.width)
    network.first.clearBias(of: part)
    network.last.clearBias(of: part)
  }

  /// dA += xᵀ·dy, dc += Σ dy, and dx = dy·Aᵀ in place of dy.
  private func mapBackward<S: Scalar>(
    _ tile: Tile, x: UnsafeMutablePointer<S>, gradient: UnsafeMutablePointer<S>,
    folded: UnsafeMutablePointer<S>, part: UnsafeMutablePointer<S>, accumulate: Bool, scratch: Scratch<S>
  ) {
    let c = map.channels
    let rows = tile.positions
    let dy = Matrix(gradient + tile.start * c, rows: rows, columns: c)
    // dA += [channels × rows]·[rows × channels]
    multiply(
      Matrix(x + tile.start * c, rows: rows, columns: c).transposed, dy,
      into: Matrix(part + map.matrix, rows: c, columns: c), accumulate: accumulate)
    addRows(dy.base, rows: rows, width: c, to: part + map.bias)
    // dx = [rows × channels]·[channels × channels]
    let dx = Matrix(scratch.first, rows: rows, columns: c)
    multiply(dy, Matrix(folded + map.matrix, rows: c, columns: c).transposed, into: dx)
    dy.base.update(from: dx.base, count: rows * c)
    scratch.clock.lap(.channelMap)
  }
}
