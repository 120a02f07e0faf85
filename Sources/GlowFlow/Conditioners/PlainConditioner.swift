import GlowKernels

/// The network of the original (section 3.3 of Kingma & Dhariwal 2018):
/// 3×3 convolution → actnorm → ReLU → 1×1 convolution → actnorm → ReLU → zero convolution.
///
/// Everything linear around the two ReLUs is folded once an update, so that a tile of R positions costs three
/// matrix products forward,
///
///     [R × 9·in]·[9·in × width] → ReLU → [R × width]·[width × width] → ReLU → [R × width]·[width × 9·out]
///
/// and six backward. The rows of all of them are batch-interleaved.
struct PlainConditioner: Conditioner {
  static let name = "plain"

  let shape: ConditionerShape
  let width: Int
  let first: Convolution
  let hidden: PointwiseConvolution
  let last: Convolution

  private let bordered: Buffer
  private let patches: Buffer
  /// Where hidden activations are that are not kept.
  private let scratch1: Buffer
  private let scratch2: Buffer
  private let hidden1: Buffer
  private let hidden2: Buffer
  private let hiddenGradient1: Buffer
  private let hiddenGradient2: Buffer
  private let outputPatches: Buffer
  private let outputPatchesGradient: Buffer
  /// None where nobody needs the gradient at z1.
  private let inputPatchesGradient: Buffer?

  static func hiddenWeights(_ settings: NetworkSettings) -> Int { settings.width * settings.width }

  init(_ shape: ConditionerShape, prefix: String, in blueprint: inout Blueprint) {
    self.shape = shape
    width = shape.settings.width
    let (input, width, output) = (shape.inChannels, width, shape.outputs)
    first = Convolution(
      .init(
        inChannels: input, outChannels: width, order: .patchesThenProduct,
        border: shape.settings.padding.ofHiddenConvolutions),
      weight: "\(prefix).conv1", actNorm: "\(prefix).actnorm1", in: &blueprint)
    hidden = PointwiseConvolution(
      channels: width, weight: "\(prefix).conv2", actNorm: "\(prefix).actnorm2", in: &blueprint)
    last = Convolution(
      .init(
        inChannels: width, outChannels: output, order: .productThenPatches, planes: shape.outputsPerValue,
        border: shape.settings.padding.ofZeroConvolutions),
      weight: "\(prefix).conv3", actNorm: "\(prefix).conv3", in: &blueprint)

    bordered = blueprint.bordered(channels: max(input, output))
    patches = blueprint.buffer(columns: 9 * input, .stage)
    scratch1 = blueprint.buffer(columns: width, .stage)
    scratch2 = blueprint.buffer(columns: width, .stage)
    hidden1 = blueprint.buffer(columns: width, .recomputable(sharing: scratch1))
    hidden2 = blueprint.buffer(columns: width, .recomputable(sharing: scratch2))
    hiddenGradient1 = blueprint.buffer(columns: width, .contribution, isForBackward: true)
    hiddenGradient2 = blueprint.buffer(columns: width, .contribution, isForBackward: true)
    outputPatches = blueprint.buffer(columns: 9 * output, .halo)
    outputPatchesGradient = blueprint.buffer(columns: 9 * output, .contribution, isForBackward: true)
    inputPatchesGradient =
      shape.settings.readsConstants
      ? nil : blueprint.buffer(columns: 9 * input, .halo, isForBackward: true)

    blueprint.product(inner: 9 * input, columns: width)
    blueprint.product(inner: width, columns: width)
    blueprint.product(inner: width, columns: 9 * output)
  }

  func rounds(_ direction: Direction) -> Int { 1 }

  // MARK: Parameters

  /// N(0, 0.05²) for the two hidden convolutions; the last stays zero.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) {
    first.initialize(values, generator: noise.next())
    hidden.initialize(values, generator: noise.next())
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(from data: DataPass<S>) throws {
    first.actNorm.reset(data.values)
    try data.fold()
    first.actNorm.initialize(
      data.values,
      from: data.moments(channels: width) { site in
        let rows = site[scratch1].own
        multiply(input(site), 0..<rows.rows, into: rows, rectifies: false, site)
        return rows
      })
    hidden.actNorm.reset(data.values)
    try data.fold()
    hidden.actNorm.initialize(
      data.values,
      from: data.moments(channels: width) { site in
        let rows = site[scratch1].own
        multiply(input(site), 0..<rows.rows, into: rows, rectifies: true, site)
        GlowKernels.multiply(rows, site.weights.operand(hidden.foldedWeight), into: site[scratch2].own)
        return site[scratch2].own
      })
    try data.fold()
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    first.fold(values, into: weights)
    last.fold(values, into: weights)
    hidden.fold(values, into: weights)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    first.foldBackward(folded, gradient: gradient, into: gradients)
    last.foldBackward(folded, gradient: gradient, into: gradients)
    hidden.foldBackward(folded, gradient: gradient, into: gradients)
  }

  // MARK: Passes

  /// The neighborhoods in z1.
  private func input<S: Scalar>(_ site: Site<S>) -> ProductRows<S> {
    site.clock.start()
    return neighborhoods(
      shape.inChannels, of: site.output.picture, patches: patches, bordered: bordered, site)
  }

  /// [rows × 9·in]·[9·in × width] → [rows × width], from the neighborhoods, with bias.
  private func multiply<S: Scalar>(
    _ input: ProductRows<S>, _ rows: Range<Int>, into target: Matrix<S>, rectifies: Bool, _ site: Site<S>
  ) {
    GlowKernels.multiply(
      input.rows(rows), site.weights.operand(first.foldedWeight), into: target,
      .bias(site.weights[first.foldedBias], site.classes.from(rows.lowerBound), rectifies: rectifies))
  }

  /// The two hidden layers of some rows of the tile.
  private func forwardHidden<S: Scalar>(
    _ input: ProductRows<S>, _ rows: Range<Int>, _ hidden1: Matrix<S>, _ hidden2: Matrix<S>, _ site: Site<S>
  ) {
    multiply(input, rows, into: hidden1, rectifies: true, site)
    // [rows × width]·[width × width] → [rows × width]
    GlowKernels.multiply(
      hidden1, site.weights.operand(hidden.foldedWeight), into: hidden2,
      .bias(site.weights[hidden.foldedBias], rectifies: true))
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(round: Int, _ site: Site<S>) {
    let input = input(site)
    let (hidden1, hidden2, outputs) = (site[hidden1].own, site[hidden2].own, site[outputPatches].own)
    let isKept = site.isKept(self.hidden1)
    for rows in site.fewRows(width: width) {
      let place = isKept ? rows : 0..<rows.count
      forwardHidden(input, rows, hidden1.rows(place), hidden2.rows(place), site)
      // [rows × width]·[width × 9·out] → [rows × 9·out]
      GlowKernels.multiply(
        hidden2.rows(place), site.weights.operand(last.foldedWeight), into: outputs.rows(rows))
    }
    site.clock.lap(.products)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func collect<S: Scalar>(_ image: Int, into planes: UnsafeMutablePointer<S>, _ site: Site<S>) {
    last.collect(site[outputPatches].interleaved(image), into: planes, bordered: bordered, site)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(round: Int, outputGradient: Rows<S>, _ site: Site<S>) {
    let (isKept, hidden1, hidden2) = (site.isKept(hidden1), site[hidden1].own, site[hidden2].own)
    if !isKept {
      forwardHidden(input(site), 0..<hidden1.rows, hidden1, hidden2, site)
      site.clock.lap(.products)
    }
    let (dHidden1, dHidden2) = (site[hiddenGradient1].own, site[hiddenGradient2].own)
    let (weights, gradient, clock) = (site.weights, site.weightGradient!, site.clock)
    clock.start()
    for image in 0..<site.tile.imageCount {
      last.collectBackward(
        outputGradient.picture(image), into: site[outputPatchesGradient].interleavedPart(image),
        bordered: bordered,
        site)
    }
    clock.lap(.patches)
    let dOutput = site[outputPatchesGradient].own
    let dPatches = inputPatchesGradient.map { site[$0].own }
    for rows in site.fewRows(width: width) {
      // dh2 = [rows × 9·out]·[9·out × width], where the ReLU let something pass
      GlowKernels.multiply(
        dOutput.rows(rows), weights.transposed(last.foldedWeight), into: dHidden2.rows(rows),
        .rectifierBackward(hidden2.rows(rows), sums: gradient[hidden.foldedBias]))
      // dh1 = [rows × width]·[width × width], where the ReLU let something pass
      GlowKernels.multiply(
        dHidden2.rows(rows), weights.transposed(hidden.foldedWeight), into: dHidden1.rows(rows),
        .rectifierBackward(
          hidden1.rows(rows), sums: gradient[first.foldedBias], site.classes.from(rows.lowerBound)))
      // dpatches = [rows × width]·[width × 9·in]
      if let dPatches {
        GlowKernels.multiply(
          dHidden1.rows(rows), weights.transposed(first.foldedWeight), into: dPatches.rows(rows))
      }
    }
    clock.lap(.products)
    if site.sharesGradients { return }
    // dW3 += [width × rows]·[rows × 9·out]
    gradient.add(hidden2, dOutput, to: last.foldedWeight)
    // dW2 += [width × rows]·[rows × width]
    gradient.add(hidden1, dHidden2, to: hidden.foldedWeight)
    clock.lap(.weightGradients)
    // dW1 += [9·in × rows]·[rows × width]
    gradient.add(input(site), dHidden1, to: first.foldedWeight)
    clock.lap(.weightGradients)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func addInputGradient<S: Scalar>(_ image: Int, to gradient: Matrix<S>, _ site: Site<S>) {
    guard let inputPatchesGradient else { return }
    addPatches(
      site[inputPatchesGradient].interleaved(image), to: gradient, bordered: bordered, site)
  }
}

/// Gradients of the weights by themselves.
extension PlainConditioner {
  /// Of the first product all rows together: its neighborhoods are not cut.
  var gradientBlocks: [GradientBlock] {
    GradientBlock.blocks(of: first.foldedWeight, cutsRows: false)
      + GradientBlock.blocks(of: hidden.foldedWeight, cutsRows: true)
      + GradientBlock.blocks(of: last.foldedWeight, cutsRows: true)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func addGradient<S: Scalar>(to block: GradientBlock, _ site: Site<S>) {
    let (gradient, rows, columns) = (site.weightGradient!, block.rows, block.columns)
    site.clock.start()
    switch block.matrix {
    case first.foldedWeight:
      gradient.add(input(site), site[hiddenGradient1].own.columns(columns), to: block)
    case hidden.foldedWeight:
      gradient.add(
        ProductRows(site[hidden1].own.columns(rows)), site[hiddenGradient2].own.columns(columns), to: block)
    default:
      gradient.add(
        ProductRows(site[hidden2].own.columns(rows)), site[outputPatchesGradient].own.columns(columns),
        to: block)
    }
    site.clock.lap(.weightGradients)
  }
}

extension NetworkKind {
  /// Three convolutions, as in the paper.
  public static let plain = NetworkKind(name: PlainConditioner.name)
}
