import Foundation
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
  /// What the products put out, in the cache; the ReLU moves it on to where it is kept.
  private let product1: Buffer
  private let product2: Buffer
  private let hidden1: Buffer
  private let hidden2: Buffer
  private let hiddenGradient1: Buffer
  private let hiddenGradient2: Buffer
  private let outputPatches: Buffer
  private let inputPatchesGradient: Buffer

  static func hiddenWeights(_ settings: NetworkSettings) -> Int { settings.width * settings.width }

  init(_ shape: ConditionerShape, prefix: String, in blueprint: inout Blueprint) {
    self.shape = shape
    width = shape.settings.width
    let (input, width, output) = (shape.inChannels, width, shape.outputs)
    first = Convolution(
      .init(inChannels: input, outChannels: width, order: .patchesThenProduct),
      weight: "\(prefix).conv1", actNorm: "\(prefix).actnorm1", in: &blueprint)
    hidden = PointwiseConvolution(
      channels: width, weight: "\(prefix).conv2", actNorm: "\(prefix).actnorm2", in: &blueprint)
    last = Convolution(
      .init(
        inChannels: width, outChannels: output, order: .productThenPatches, planes: shape.outputsPerValue),
      weight: "\(prefix).conv3", actNorm: "\(prefix).conv3", in: &blueprint)

    bordered = blueprint.bordered(channels: max(input, output))
    patches = blueprint.buffer(columns: 9 * input, .stage)
    product1 = blueprint.buffer(columns: width, .stage)
    product2 = blueprint.buffer(columns: width, .stage)
    hidden1 = blueprint.buffer(columns: width, .recomputable(sharing: product1))
    hidden2 = blueprint.buffer(columns: width, .recomputable(sharing: product2))
    hiddenGradient1 = blueprint.buffer(columns: width, .stage, isForBackward: true)
    hiddenGradient2 = blueprint.buffer(columns: width, .stage, isForBackward: true)
    outputPatches = blueprint.buffer(columns: 9 * output, .halo)
    inputPatchesGradient = blueprint.buffer(columns: 9 * input, .halo, isForBackward: true)

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
        multiplyPatches(site)
        let rows = site[product1].own
        addBorderBias(
          rows.base, band: site.tile.band, pictures: site.tile.rowStep, width: width,
          bias: site.weights[first.foldedBias])
        return rows
      })
    hidden.actNorm.reset(data.values)
    try data.fold()
    hidden.actNorm.initialize(
      data.values,
      from: data.moments(channels: width) { site in
        multiplyPatches(site)
        let rows = site[product1].own
        addBorderBiasAndRectify(
          rows.base, band: site.tile.band, pictures: site.tile.rowStep, width: width,
          bias: site.weights[first.foldedBias], into: rows.base)
        multiply(rows, site.weights[hidden.foldedWeight], into: site[product2].own)
        return site[product2].own
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

  private func gatherInput<S: Scalar>(_ site: Site<S>) {
    site.clock.start()
    gatherPatches(
      shape.inChannels, of: site.output.picture, into: patches, bordered: bordered, site)
    site.clock.lap(.patches)
  }

  /// [rows × 9·in]·[9·in × width] → [rows × width], from the neighborhoods into `product1`.
  private func multiplyPatches<S: Scalar>(_ site: Site<S>) {
    gatherInput(site)
    multiply(site[patches].own, site.weights[first.foldedWeight], into: site[product1].own)
    site.clock.lap(.products)
  }

  /// The two hidden layers.
  private func forwardHidden<S: Scalar>(_ site: Site<S>) {
    multiplyPatches(site)
    let (product1, product2) = (site[product1].own, site[product2].own)
    let (hidden1, hidden2) = (site[hidden1].own, site[hidden2].own)
    addBorderBiasAndRectify(
      product1.base, band: site.tile.band, pictures: site.tile.rowStep, width: width,
      bias: site.weights[first.foldedBias], into: hidden1.base)
    site.clock.lap(.elementwise)
    // [rows × width]·[width × width] → [rows × width]
    multiply(hidden1, site.weights[hidden.foldedWeight], into: product2)
    site.clock.lap(.products)
    addBiasAndRectify(
      product2.base, rows: product2.rows, width: width, bias: site.weights[hidden.foldedBias],
      into: hidden2.base)
    site.clock.lap(.elementwise)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(round: Int, _ site: Site<S>) {
    forwardHidden(site)
    // [rows × width]·[width × 9·out] → [rows × 9·out]
    multiply(site[hidden2].own, site.weights[last.foldedWeight], into: site[outputPatches].own)
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
    if !site.isKept(hidden1) { forwardHidden(site) }
    let (hidden1, hidden2) = (site[hidden1].own, site[hidden2].own)
    let (dHidden1, dHidden2) = (site[hiddenGradient1].own, site[hiddenGradient2].own)
    let (weights, gradient, clock) = (site.weights, site.weightGradient!, site.clock)
    clock.start()
    for image in 0..<site.tile.imageCount {
      last.collectBackward(
        outputGradient.picture(image), into: site[outputPatches].interleavedPart(image), bordered: bordered,
        site)
    }
    clock.lap(.patches)
    let dOutput = site[outputPatches].own
    // dh2 = [rows × 9·out]·[9·out × width]
    multiply(dOutput, weights[last.foldedWeight].transposed, into: dHidden2)
    clock.lap(.products)
    // The ReLU reads the kept activations in order and so brings them to the cache for the next product.
    addBiasAndRectifyBackward(
      activations: hidden2.base, gradient: dHidden2.base, rows: dHidden2.rows, width: width,
      biasGradient: gradient[hidden.foldedBias])
    clock.lap(.elementwise)
    // dW3 += [width × rows]·[rows × 9·out]
    gradient.add(hidden2.transposed, dOutput, to: last.foldedWeight)
    clock.lap(.weightGradients)
    // dh1 = [rows × width]·[width × width]
    multiply(dHidden2, weights[hidden.foldedWeight].transposed, into: dHidden1)
    clock.lap(.products)
    addBorderBiasAndRectifyBackward(
      activations: hidden1.base, gradient: dHidden1.base, band: site.tile.band, pictures: site.tile.rowStep,
      width: width, biasGradient: gradient[first.foldedBias])
    clock.lap(.elementwise)
    // dW2 += [width × rows]·[rows × width]
    gradient.add(hidden1.transposed, dHidden2, to: hidden.foldedWeight)
    clock.lap(.weightGradients)
    // dW1 += [9·in × rows]·[rows × width];  dpatches = [rows × width]·[width × 9·in]
    gatherInput(site)
    gradient.add(site[patches].own.transposed, dHidden1, to: first.foldedWeight)
    clock.lap(.weightGradients)
    multiply(
      dHidden1, weights[first.foldedWeight].transposed, into: site[inputPatchesGradient].own)
    clock.lap(.products)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func addInputGradient<S: Scalar>(_ image: Int, to gradient: Matrix<S>, _ site: Site<S>) {
    addPatches(
      site[inputPatchesGradient].interleaved(image), to: gradient, bordered: bordered, site)
  }
}

extension NetworkKind {
  public static let plain = NetworkKind(name: PlainConditioner.name)
}
