import Foundation
import GlowKernels

/// The network of a coupling (section 3.3 of Kingma & Dhariwal 2018):
/// 3×3 convolution → actnorm → ReLU → 1×1 convolution → actnorm → ReLU → zero convolution.
///
/// Everything linear around the two ReLUs is folded once an update, so that a tile of R positions costs three
/// matrix products forward,
///
///     [R × 9·in]·[9·in × width] → ReLU → [R × width]·[width × width] → ReLU → [R × width]·[width × 9·out]
///
/// and six backward.
struct CouplingNetwork: Sendable {
  let inChannels: Int
  let width: Int
  let outChannels: Int
  let first: Convolution
  let last: Convolution

  /// [width, width]: the 1×1 convolution.
  let hiddenWeight: Int
  let hiddenActNorm: ActNorm
  /// [width, width]
  let foldedHiddenWeight: Int
  /// [width]
  let foldedHiddenBias: Int

  init(
    inChannels: Int, width: Int, outChannels: Int, isInterleaved: Bool, prefix: String,
    in list: inout ParameterList, folded: inout Reservation
  ) {
    self.inChannels = inChannels
    self.width = width
    self.outChannels = outChannels
    first = Convolution(
      inChannels: inChannels, outChannels: width, order: .patchesThenProduct,
      weight: "\(prefix).conv1", biasAndLogs: "\(prefix).actnorm1", in: &list, folded: &folded)
    hiddenWeight = list.add("\(prefix).conv2.weight", [width, width])
    hiddenActNorm = ActNorm(channels: width, prefix: "\(prefix).actnorm2", in: &list)
    foldedHiddenWeight = folded.reserve(width * width)
    foldedHiddenBias = folded.reserve(width)
    last = Convolution(
      inChannels: width, outChannels: outChannels, order: .productThenPatches,
      isInterleaved: isInterleaved, weight: "\(prefix).conv3", biasAndLogs: "\(prefix).conv3",
      in: &list, folded: &folded)
  }

  /// N(0, 0.05²) for the two hidden convolutions; the last stays zero.
  func initialize<S: Scalar>(_ values: UnsafeMutablePointer<S>, generator: (Int) -> Philox) {
    let ranges = [
      (first.weight, 9 * (inChannels + 1) * width), (hiddenWeight, width * width),
    ]
    for (index, (offset, count)) in ranges.enumerated() {
      let weights = UnsafeMutableBufferPointer(start: values + offset, count: count)
      generator(index).fillNormal(weights)
      for position in weights.indices { weights[position] *= 0.05 }
    }
  }

  // MARK: Folding

  func fold<S: Scalar>(_ values: UnsafePointer<S>, into folded: UnsafeMutablePointer<S>) {
    first.fold(values, into: folded)
    last.fold(values, into: folded)
    let (b, scale) = hiddenActNorm.biasAndScale(values)
    let s = scale.map { S($0) }
    s.withUnsafeBufferPointer { s in
      for row in 0..<width {
        let from = values + hiddenWeight + row * width
        let to = folded + foldedHiddenWeight + row * width
        for column in 0..<width { to[column] = from[column] * s[column] }
      }
    }
    for column in 0..<width { folded[foldedHiddenBias + column] = S(b[column] * scale[column]) }
  }

  /// As in `Convolution.foldBackward`, for the 1×1 convolution too.
  func foldBackward<S: Scalar>(
    folded: UnsafePointer<S>, foldedGradient: UnsafePointer<S>, values: UnsafePointer<S>,
    into gradients: UnsafeMutablePointer<S>
  ) {
    first.foldBackward(
      folded: folded, foldedGradient: foldedGradient, values: values, into: gradients)
    last.foldBackward(
      folded: folded, foldedGradient: foldedGradient, values: values, into: gradients)
    let s = hiddenActNorm.biasAndScale(values).scale.map { S($0) }
    var sums = (0..<width).map {
      foldedGradient[foldedHiddenBias + $0] * folded[foldedHiddenBias + $0]
    }
    sums.withUnsafeMutableBufferPointer { sums in
      s.withUnsafeBufferPointer { s in
        for row in 0..<width {
          let from = foldedGradient + foldedHiddenWeight + row * width
          let weights = folded + foldedHiddenWeight + row * width
          let to = gradients + hiddenWeight + row * width
          for column in 0..<width {
            to[column] += from[column] * s[column]
            sums[column] += from[column] * weights[column]
          }
        }
        for column in 0..<width {
          gradients[hiddenActNorm.bias + column] += s[column] * foldedGradient[foldedHiddenBias + column]
          gradients[hiddenActNorm.logs + column] += S(ActNorm.logsFactor) * sums[column]
        }
      }
    }
  }

  func hiddenWeightView<S: Scalar>(_ folded: UnsafeMutablePointer<S>) -> Matrix<S> {
    Matrix(folded + foldedHiddenWeight, rows: width, columns: width)
  }

  // MARK: Tiles

  /// patches ← the 3×3 neighborhoods of the tile's positions in the first `inChannels` channels, its pictures taking
  /// turns (`Tile.rowStep`).
  func gatherInput<S: Scalar>(
    tile: Tile, activations: UnsafePointer<S>, stride: Int, scratch: Scratch<S>
  ) {
    scratch.clock.start()
    for image in 0..<tile.imageCount {
      gatherPatches(
        from: activations + (tile.firstImage + image) * tile.shape.positions * stride, stride: stride,
        channels: inChannels, band: tile.band, bordered: scratch.bordered,
        into: scratch.patches + image * 9 * inChannels, rowStep: tile.rowStep)
    }
    scratch.clock.lap(.patches)
  }

  /// The two hidden layers, from the tile's patches, into `hidden1` and `hidden2`: [multiplyRows, width] each.
  ///
  /// The products go to scratch, which is in the cache, and the ReLU moves them on to where they are kept.
  func forwardHidden<S: Scalar>(
    tile: Tile, folded: UnsafeMutablePointer<S>, scratch: Scratch<S>, hidden1: UnsafeMutablePointer<S>,
    hidden2: UnsafeMutablePointer<S>
  ) {
    let rows = tile.multiplyRows
    // [rows × 9·in]·[9·in × width] → [rows × width]
    multiply(
      Matrix(scratch.patches, rows: rows, columns: 9 * inChannels), first.weightView(folded),
      into: Matrix(scratch.hidden1, rows: rows, columns: width))
    scratch.clock.lap(.products)
    addBorderBiasAndRectify(
      scratch.hidden1, band: tile.band, pictures: tile.rowStep, width: width, bias: folded + first.foldedBias,
      into: hidden1)
    scratch.clock.lap(.elementwise)
    // [rows × width]·[width × width] → [rows × width]
    multiply(
      Matrix(hidden1, rows: rows, columns: width), hiddenWeightView(folded),
      into: Matrix(scratch.hidden2, rows: rows, columns: width))
    scratch.clock.lap(.products)
    addBiasAndRectify(
      scratch.hidden2, rows: rows, width: width, bias: folded + foldedHiddenBias, into: hidden2)
    scratch.clock.lap(.elementwise)
  }

  /// What reaches the actnorm of hidden layer 0 or 1, into `scratch.hidden1` or `scratch.hidden2`, if that actnorm
  /// lets its input pass: the convolution with the edge's part, before any ReLU.
  func preActivations<S: Scalar>(
    ofLayer layer: Int, tile: Tile, folded: UnsafeMutablePointer<S>, scratch: Scratch<S>
  ) {
    let rows = tile.multiplyRows
    multiply(
      Matrix(scratch.patches, rows: rows, columns: 9 * inChannels), first.weightView(folded),
      into: Matrix(scratch.hidden1, rows: rows, columns: width))
    if layer == 0 {
      return addBorderBias(
        scratch.hidden1, band: tile.band, pictures: tile.rowStep, width: width,
        bias: folded + first.foldedBias)
    }
    addBorderBiasAndRectify(
      scratch.hidden1, band: tile.band, pictures: tile.rowStep, width: width, bias: folded + first.foldedBias,
      into: scratch.hidden1)
    multiply(
      Matrix(scratch.hidden1, rows: rows, columns: width), hiddenWeightView(folded),
      into: Matrix(scratch.hidden2, rows: rows, columns: width))
  }

  /// The last product, to be collected by `last.collect`: [multiplyRows, 9·out].
  func forwardOutput<S: Scalar>(
    tile: Tile, folded: UnsafeMutablePointer<S>, hidden2: UnsafeMutablePointer<S>,
    outputPatches: UnsafeMutablePointer<S>, clock: PhaseClock
  ) {
    // [rows × width]·[width × 9·out] → [rows × 9·out]
    multiply(
      Matrix(hidden2, rows: tile.multiplyRows, columns: width), last.weightView(folded),
      into: Matrix(outputPatches, rows: tile.multiplyRows, columns: 9 * outChannels))
    clock.lap(.products)
  }

  /// The gradient at the input, as patches still to be added up, [multiplyRows, 9·in]; adds the tile's part
  /// to the folded weights' gradient.
  ///
  /// - Parameters:
  ///   - activations: the level's activations, of which the first `inChannels` channels were the input.
  ///   - accumulate: false if the gradients of the folded weights, other than biases, are to be overwritten.
  ///   - pictureOutputGradient: (image in the tile) → the gradient at the outputs of its whole picture,
  ///     [positions, out].
  func backward<S: Scalar>(
    tile: Tile, activations: UnsafePointer<S>, stride: Int, folded: UnsafeMutablePointer<S>,
    hidden1: UnsafeMutablePointer<S>, hidden2: UnsafeMutablePointer<S>, scratch: Scratch<S>,
    pictureOutputGradient: (Int) -> UnsafePointer<S>, foldedGradient: UnsafeMutablePointer<S>,
    accumulate: Bool, inputPatchesGradient: UnsafeMutablePointer<S>
  ) {
    let rows = tile.positions
    let hidden1View = Matrix(hidden1, rows: rows, columns: width)
    let hidden2View = Matrix(hidden2, rows: rows, columns: width)
    let dOutput = Matrix(scratch.outputPatches, rows: rows, columns: 9 * outChannels)
    let clock = scratch.clock
    clock.start()
    for image in 0..<tile.imageCount {
      last.collectBackward(
        pictureOutputGradient: pictureOutputGradient(image), band: tile.band, bordered: scratch.bordered,
        patchesGradient: dOutput.base + image * 9 * outChannels, rowStep: tile.rowStep,
        foldedGradient: foldedGradient)
    }
    clock.lap(.patches)
    // dh2 = [rows × 9·out]·[9·out × width]
    let dHidden2 = Matrix(scratch.hiddenGradient2, rows: rows, columns: width)
    multiply(dOutput, last.weightView(folded).transposed, into: dHidden2)
    clock.lap(.products)
    // The ReLU reads the kept activations in order and so brings them to the cache for the next product.
    addBiasAndRectifyBackward(
      activations: hidden2, gradient: dHidden2.base, rows: rows, width: width,
      biasGradient: foldedGradient + foldedHiddenBias)
    clock.lap(.elementwise)
    // dW3 += [width × rows]·[rows × 9·out]
    multiply(hidden2View.transposed, dOutput, into: last.weightView(foldedGradient), accumulate: accumulate)
    clock.lap(.weightGradients)
    // dh1 = [rows × width]·[width × width]
    let dHidden1 = Matrix(scratch.hiddenGradient1, rows: rows, columns: width)
    multiply(dHidden2, hiddenWeightView(folded).transposed, into: dHidden1)
    clock.lap(.products)
    addBorderBiasAndRectifyBackward(
      activations: hidden1, gradient: dHidden1.base, band: tile.band, pictures: tile.rowStep, width: width,
      biasGradient: foldedGradient + first.foldedBias)
    clock.lap(.elementwise)
    // dW2 += [width × rows]·[rows × width]
    multiply(hidden1View.transposed, dHidden2, into: hiddenWeightView(foldedGradient), accumulate: accumulate)
    clock.lap(.weightGradients)
    // dW1 += [9·in × rows]·[rows × width];  dpatches = [rows × width]·[width × 9·in]
    gatherInput(tile: tile, activations: activations, stride: stride, scratch: scratch)
    let patches = Matrix(scratch.patches, rows: rows, columns: 9 * inChannels)
    multiply(patches.transposed, dHidden1, into: first.weightView(foldedGradient), accumulate: accumulate)
    clock.lap(.weightGradients)
    multiply(
      dHidden1, first.weightView(folded).transposed,
      into: Matrix(inputPatchesGradient, rows: rows, columns: 9 * inChannels))
    clock.lap(.products)
  }
}
