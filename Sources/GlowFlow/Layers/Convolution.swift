import GlowKernels

/// A 3×3 convolution that may see the image's edge, then a bias and a scale for each channel:
/// y = (conv(x) + b)·exp(3·logs).
///
/// With b = logs = 0 and zero weights at the start this is the original's zero convolution (section 3.3 of
/// Kingma & Dhariwal 2018); with b and logs those of an actnorm it is the first layer of a conditioner.
///
/// The edge indicator, a further input channel that is 0 inside the picture and 1 in the padding, adds a
/// constant to each position that depends only on which of its neighbors exist. So it is folded, with b, into
/// one bias for each of the 16 border classes, and the matrix products never see it. A padding of ones adds such a
/// constant too: what the weights of all input channels sum up to.
///
/// The scale is folded into the weights. `order` says which side of the product the neighborhoods are on.
struct Convolution: Sendable {
  enum Order {
    /// im2col, then [positions × 9·in]·[9·in × out]: for few channels in.
    case patchesThenProduct
    /// [positions × in]·[in × 9·out], then col2im: for few channels out.
    case productThenPatches
  }

  /// What is read outside of the picture.
  enum Border {
    /// Zeros, and 1 in the edge indicator.
    case indicator
    case zeros
    case ones
  }

  struct Shape {
    var inChannels: Int
    var outChannels: Int
    var order: Order
    /// Stored output channel j·planes + i comes out as channel j of plane i: the original interleaves what is used
    /// apart (shift and scale, mean and logs).
    var planes = 1
    var border: Border
  }

  let shape: Shape
  var inChannels: Int { shape.inChannels }
  var outChannels: Int { shape.outChannels }

  /// [3, 3, in, out], or [3, 3, in + 1, out] where the last input channel is the edge indicator; nil if there is no
  /// input channel at all.
  private let weight: Parameter?
  /// Bias and scale, [out] each.
  let actNorm: ActNorm
  /// [9·in, out] or [in, 9·out], by `order`.
  let foldedWeight: WeightMatrix
  /// [borderClassCount, out].
  let foldedBias: WeightVector

  /// - Parameters:
  ///   - weight: the name of the filter, less `.weight`.
  ///   - actNorm: the name of bias and logs, less `.bias` and `.logs`.
  init(_ shape: Shape, weight: String, actNorm: String, in blueprint: inout Blueprint) {
    self.shape = shape
    let inputs = shape.inChannels + (shape.border == .indicator ? 1 : 0)
    storedInputs = inputs
    let channels = shape.outChannels / shape.planes
    stored = (0..<shape.outChannels).map { $0 % channels * shape.planes + $0 / channels }
    self.weight =
      inputs > 0 ? blueprint.filter("\(weight).weight", [3, 3, inputs, shape.outChannels]) : nil
    self.actNorm = ActNorm(channels: shape.outChannels, prefix: actNorm, in: &blueprint)
    foldedWeight =
      switch shape.order {
      case .patchesThenProduct: blueprint.matrix(9 * shape.inChannels, shape.outChannels)
      case .productThenPatches: blueprint.matrix(shape.inChannels, 9 * shape.outChannels)
      }
    foldedBias = blueprint.vector(borderClassCount * shape.outChannels)
  }

  /// Input channels of the stored filter.
  private let storedInputs: Int
  /// The stored channel that comes out as each channel.
  private let stored: [Int]

  /// Those that are 1 outside of the picture.
  private var onesOutside: Range<Int> {
    switch shape.border {
    case .indicator: inChannels..<inChannels + 1
    case .zeros: 0..<0
    case .ones: 0..<inChannels
    }
  }

  /// N(0, 0.05²).
  func initialize<S: Scalar>(_ values: ParameterValues<S>, generator: Philox) {
    guard let weight else { return }
    let count = 9 * storedInputs * outChannels
    fillNormal(values[weight], count: count, deviation: 0.05, generator: generator)
  }

  /// Where the folded weight has the `outChannels` values of one tap and input channel.
  ///
  /// A patch row that is added to neighbor δ carries what that neighbor would have read at −δ, so the taps
  /// of `productThenPatches` stand in reverse.
  private func foldedOffset(dy: Int, dx: Int, input: Int) -> Int {
    switch shape.order {
    case .patchesThenProduct: ((dy * 3 + dx) * inChannels + input) * outChannels
    case .productThenPatches: (input * 9 + (2 - dy) * 3 + (2 - dx)) * outChannels
    }
  }

  private func storedOffset(dy: Int, dx: Int, input: Int) -> Int {
    ((dy * 3 + dx) * storedInputs + input) * outChannels
  }

  /// Writes exp(3·logs) of each output channel.
  private func writeScales<S: Scalar>(
    _ values: ParameterValues<S>, into scale: UnsafeMutablePointer<S>, _ scratch: Scratch
  ) {
    let scales = scratch.take(outChannels, of: Double.self)
    actNorm.writeScales(values, into: scales)
    for output in 0..<outChannels { scale[output] = S(scales[stored[output]]) }
  }

  /// Calls `body` with each tap's weights as they are stored and folded, which have a row an input channel; of the gradient of
  /// the one with the other itself. Not with those of the edge indicator, which are not folded that way.
  private func forEachTap<S: Scalar>(
    factors: UnsafePointer<S>, stored: UnsafeMutablePointer<S>, folded: UnsafeMutablePointer<S>,
    _ body: (_ scaling: RowScaling<S>, _ foldedOffset: Int) -> Void
  ) {
    let step = shape.order == .patchesThenProduct ? outChannels : 9 * outChannels
    for dy in 0..<3 {
      for dx in 0..<3 {
        let offset = foldedOffset(dy: dy, dx: dx, input: 0)
        body(
          RowScaling(
            rows: inChannels, (outChannels / shape.planes, shape.planes), factors: factors,
            stored: (stored + storedOffset(dy: dy, dx: dx, input: 0), step: outChannels),
            scaled: (folded + offset, step: step)),
          offset)
      }
    }
  }

  /// Writes the folded weight w·exp(3·logs) and bias (b + Σ weights of what is 1 outside)·exp(3·logs).
  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    withScratch { scratch in
      let scale = scratch.take(outChannels, of: S.self)
      writeScales(values, into: scale, scratch)
      if let weight {
        forEachTap(factors: scale, stored: values[weight], folded: weights[foldedWeight].base) { scaling, _ in
          scaling.apply()
        }
      }
      // [9, out]: what each tap adds where it is outside.
      let outside = scratch.take(9 * outChannels, of: S.self)
      outside.clear(9 * outChannels)
      for tap in 0..<9 {
        let to = outside + tap * outChannels
        for input in onesOutside {
          let edge = values[weight!] + storedOffset(dy: tap / 3, dx: tap % 3, input: input)
          for output in 0..<outChannels { to[output] += edge[stored[output]] }
        }
      }
      let bias = scratch.take(outChannels, of: S.self)
      for output in 0..<outChannels { bias[output] = values[actNorm.bias][stored[output]] }
      for borderClass in 0..<borderClassCount {
        let to = weights[foldedBias] + borderClass * outChannels
        to.update(from: bias, count: outChannels)
        if !onesOutside.isEmpty {
          forEachTapOutside(borderClass) { tap in add(outside + tap * outChannels, to: to, count: outChannels)
          }
        }
        for output in 0..<outChannels { to[output] *= scale[output] }
      }
    }
  }

  /// Adds the gradients of weight, b and logs, given that of the folded weight and bias.
  ///
  /// With s = exp(3·logs): dw = s·dw', db = s·Σ dB over classes, and since folded = stored·s,
  /// d logs = 3·(Σ dw'·w' + Σ dB·B).
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    withScratch { scratch in
      let scale = scratch.take(outChannels, of: S.self)
      writeScales(folded.values, into: scale, scratch)
      let logsGradient = scratch.take(outChannels, of: S.self)
      logsGradient.clear(outChannels)
      if let weight {
        forEachTap(
          factors: scale, stored: gradients[weight], folded: folded.weights[foldedWeight].base
        ) { scaling, offset in
          scaling.backward(
            gradient[foldedWeight].base + offset, factorSums: logsGradient,
            overwrites: gradients.lacksFilters)
        }
      }
      addBiasGradient(
        folded, gradient: gradient, (scale, logsGradient), into: gradients, scratch)
      for output in 0..<outChannels {
        gradients[actNorm.logs][stored[output]] += S(ActNorm.logsFactor) * logsGradient[output]
      }
    }
  }

  private func addBiasGradient<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>,
    _ channels: (scale: UnsafeMutablePointer<S>, logsGradient: UnsafeMutablePointer<S>),
    into gradients: ParameterValues<S>, _ scratch: Scratch
  ) {
    let (scale, logsGradient) = channels
    // The gradient of one class before the scale; of all together; and of what each tap adds outside, [9, out].
    let (own, sum) = (scratch.take(outChannels, of: S.self), scratch.take(outChannels, of: S.self))
    let outside = scratch.take(9 * outChannels, of: S.self)
    sum.clear(outChannels)
    outside.clear(9 * outChannels)
    for borderClass in 0..<borderClassCount {
      let offset = borderClass * outChannels
      let (foldedBias, biasGradient) = (folded.weights[foldedBias] + offset, gradient[foldedBias] + offset)
      for output in 0..<outChannels {
        own[output] = biasGradient[output] * scale[output]
        logsGradient[output] += biasGradient[output] * foldedBias[output]
      }
      add(own, to: sum, count: outChannels)
      if !onesOutside.isEmpty {
        forEachTapOutside(borderClass) { tap in add(own, to: outside + tap * outChannels, count: outChannels)
        }
      }
    }
    let bias = gradients[actNorm.bias]
    for output in 0..<outChannels { bias[stored[output]] += sum[output] }
    for tap in 0..<9 {
      let from = outside + tap * outChannels
      for input in onesOutside {
        let edge = gradients[weight!] + storedOffset(dy: tap / 3, dx: tap % 3, input: input)
        // Those of the indicator are nobody's else; those of other inputs have been written above.
        if gradients.lacksFilters && input >= inChannels { edge.clear(outChannels) }
        for output in 0..<outChannels { edge[stored[output]] += from[output] }
      }
    }
  }

  private func forEachTapOutside(_ borderClass: Int, _ body: (_ tap: Int) -> Void) {
    for tap in 0..<9 where isOutside(borderClass: borderClass, dy: tap / 3, dx: tap % 3) { body(tap) }
  }

  // The second half of `productThenPatches`: products in, outputs out, and the adjoint.

  /// Adds up the patches around each position of a tile's part of a picture, and its bias, into planes
  /// [`shape.planes`, positions of the part, out/planes].
  ///
  /// - Parameters:
  ///   - patches: of the picture (`Rows.picture` or `Rows.interleaved`), 9·out columns.
  ///   - bordered: for `outChannels` channels.
  func collect<S: Scalar>(
    _ patches: Matrix<S>, into planes: UnsafeMutablePointer<S>, bordered: Buffer, _ site: Site<S>
  ) {
    collectPatches(
      PatchRows(patches, channels: outChannels, band: site.tile.band), bias: site.weights[foldedBias],
      planes: shape.planes, into: planes, bordered: site.memory(bordered))
  }

  /// Adjoint of `collect`: the gradient of the patches of a tile's part of a picture, from that of the outputs of the
  /// picture, [positions, out]; adds the part's share to the folded bias's gradient.
  ///
  /// - Parameter patches: from the part's first row on, 9·out columns.
  func collectBackward<S: Scalar>(
    _ outputGradient: Matrix<S>, into patches: Matrix<S>, bordered: Buffer, _ site: Site<S>
  ) {
    let band = site.tile.band
    let bordered = site.memory(bordered)
    border(
      outputGradient.base, stride: outputGradient.stride, channels: outChannels, band: band, into: bordered)
    gatherPatches(
      bordered, channels: outChannels, band: band, into: patches.base,
      rowStep: patches.stride / patches.columns)
    let sums = site.weightGradient![foldedBias]
    for row in 0..<band.rows {
      for column in 0..<band.width {
        let borderClass = band.borderClass(row: band.firstRow + row, column: column)
        let sum = sums + borderClass * outChannels
        let from = outputGradient[(band.firstRow + row) * band.width + column]
        for channel in 0..<outChannels { sum[channel] += from[channel] }
      }
    }
  }
}

/// The 3×3 neighborhoods of a tile's positions in the first `channels` channels, batch-interleaved, as the left side of a
/// product: the beginning of `Convolution.Order.patchesThenProduct`.
///
/// Packed products read those of a tile of one picture where they are, in its bordered copy; else they are gathered.
///
/// - Parameters:
///   - picture: the rows of each of the tile's pictures (`Rows.picture` or `Rows.interleaved`).
///   - patches: room for 9·channels columns.
///   - bordered: for as many channels; the result may be in it.
func neighborhoods<S: Scalar>(
  _ channels: Int, of picture: (Int) -> Matrix<S>, patches: Buffer, bordered: Buffer, _ site: Site<S>
) -> ProductRows<S> {
  let (memory, band) = (site.memory(bordered), site.tile.band)
  let isReadInPlace = site.weights.panels != nil && site.tile.rowStep == 1
  for image in 0..<site.tile.imageCount {
    let picture = picture(image)
    border(picture.base, stride: picture.stride, channels: channels, band: band, into: memory)
    if isReadInPlace { break }
    gatherPatches(
      memory, channels: channels, band: band, into: site[patches].interleavedPart(image).base,
      rowStep: site.tile.rowStep)
  }
  site.clock.lap(.patches)
  return isReadInPlace
    ? ProductRows(memory, channels: channels, band: band) : ProductRows(site[patches].own)
}

/// Adds up what the gradient of neighborhoods carries to a tile's part of a picture: the end of the backward of
/// `Convolution.Order.patchesThenProduct`.
///
/// - Parameters:
///   - patches: of the picture (`Rows.picture` or `Rows.interleaved`), 9·channels columns.
///   - gradient: [positions of the part, channels], to be added to.
///   - bordered: for as many channels.
func addPatches<S: Scalar>(
  _ patches: Matrix<S>, to gradient: Matrix<S>, bordered: Buffer, _ site: Site<S>
) {
  GlowKernels.addPatches(
    PatchRows(patches, channels: gradient.columns, band: site.tile.band), to: gradient.base,
    stride: gradient.stride, bordered: site.memory(bordered))
}

/// Values of N(0, deviation²).
func fillNormal<S: Scalar>(
  _ values: UnsafeMutablePointer<S>, count: Int, deviation: S, generator: Philox
) {
  generator.fillNormal(UnsafeMutableBufferPointer(start: values, count: count))
  for index in 0..<count { values[index] *= deviation }
}
