import GlowKernels

/// The parameters of one block of a residual network.
struct ResidualBlock: Sendable {
  /// ReLU → this → ReLU, of kernel 1 or 3.
  private let pointwise: PointwiseConvolution?
  private let convolution: Convolution?
  /// The 1×1 convolution whose outputs are added to the block's input.
  let projection: PointwiseConvolution
  /// v [positions, width].
  let inner: Buffer

  init(_ settings: NetworkSettings, prefix: String, in blueprint: inout Blueprint) {
    let width = settings.width
    let (name, actNorm) = ("\(prefix).conv1", "\(prefix).actnorm1")
    pointwise =
      settings.kernel == 1
      ? PointwiseConvolution(channels: width, weight: name, actNorm: actNorm, in: &blueprint) : nil
    convolution =
      settings.kernel > 1
      ? Convolution(
        .init(
          inChannels: width, outChannels: width, order: .patchesThenProduct,
          border: settings.padding.ofHiddenConvolutions), weight: name, actNorm: actNorm, in: &blueprint)
      : nil
    projection = PointwiseConvolution(
      channels: width, weight: "\(prefix).conv2", actNorm: "\(prefix).actnorm2", in: &blueprint)
    inner = blueprint.buffer(columns: width, .recomputable(sharing: nil))
  }

  /// Of the first convolution.
  var actNorm: ActNorm { pointwise?.actNorm ?? convolution!.actNorm }
  var foldedWeight: WeightMatrix { pointwise?.foldedWeight ?? convolution!.foldedWeight }
  /// [width], or of kernel 3 [borderClassCount, width].
  var foldedBias: WeightVector { pointwise?.foldedBias ?? convolution!.foldedBias }

  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) {
    let generator = noise.next()
    pointwise?.initialize(values, generator: generator)
    convolution?.initialize(values, generator: generator)
    projection.initialize(values, generator: noise.next())
  }

  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    pointwise?.fold(values, into: weights)
    convolution?.fold(values, into: weights)
    projection.fold(values, into: weights)
  }

  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    pointwise?.foldBackward(folded, gradient: gradient, into: gradients)
    convolution?.foldBackward(folded, gradient: gradient, into: gradients)
    projection.foldBackward(folded, gradient: gradient, into: gradients)
  }
}
