import GlowKernels

/// A residual network: 3×3 convolution → k blocks → ReLU → zero convolution, where a block adds
/// ReLU → 1×1 or 3×3 convolution → ReLU → 1×1 convolution to what it gets (He et al. 2016, in the order of the
/// pre-activation networks). Each hidden convolution has an actnorm behind it, as in Glow's network.
///
/// With h₀ = conv(z1), uᵢ = ReLU(hᵢ), vᵢ = ReLU(convᵢ(uᵢ)) and hᵢ₊₁ = hᵢ + vᵢ·Wᵢ + bᵢ, the outputs are those of the zero
/// convolution of uₖ. Backward needs u and v alone. The rows of all products are batch-interleaved.
struct ResidualConditioner: Conditioner {
  static let name = "residual"

  let shape: ConditionerShape
  let first: Convolution
  let blocks: [ResidualBlock]
  let last: Convolution

  private let bordered: Buffer
  private let inputPatches: Buffer
  private let patches: Buffer?
  /// h, on its way through the blocks.
  private let sum: Buffer
  /// uᵢ for i in 0...k.
  private let activations: [Buffer]
  /// In inference, u of blocks with even and with odd numbers, and v.
  private let shared: [Buffer]
  private let sharedInner: Buffer
  private let outputPatches: Buffer
  private let sumGradient: Buffer
  /// [positions, width] for what is on its way to `sumGradient`.
  private let innerGradient: Buffer
  private let activationGradient: Buffer
  private let patchesGradient: Buffer?
  private let inputPatchesGradient: Buffer

  private var width: Int { shape.settings.width }
  /// Whether blocks see their neighbors.
  private var seesNeighbors: Bool { shape.settings.kernel > 1 }

  static func hiddenWeights(_ settings: NetworkSettings) -> Int {
    2 * settings.blocks * settings.width * settings.width
  }

  init(_ shape: ConditionerShape, prefix: String, in blueprint: inout Blueprint) {
    self.shape = shape
    let (input, width, output) = (shape.inChannels, shape.settings.width, shape.outputs)
    let seesNeighbors = shape.settings.kernel > 1
    first = Convolution(
      .init(
        inChannels: input, outChannels: width, order: .patchesThenProduct,
        border: shape.settings.padding.ofHiddenConvolutions),
      weight: "\(prefix).conv1", actNorm: "\(prefix).actnorm1", in: &blueprint)
    blocks = (0..<shape.settings.blocks).map {
      ResidualBlock(shape.settings, prefix: "\(prefix).block\($0)", in: &blueprint)
    }
    last = Convolution(
      .init(
        inChannels: width, outChannels: output, order: .productThenPatches, planes: shape.outputsPerValue,
        border: shape.settings.padding.ofZeroConvolutions),
      weight: "\(prefix).last", actNorm: "\(prefix).last", in: &blueprint)

    let rounds = Self.rounds(0..<shape.settings.blocks)
    forwardRounds = seesNeighbors ? rounds.forward : [rounds.forward.flatMap { $0 }]
    backwardRounds = seesNeighbors ? rounds.backward : [rounds.backward.flatMap { $0 }]

    bordered = blueprint.bordered(channels: max(input, output, seesNeighbors ? width : 0))
    inputPatches = blueprint.buffer(columns: 9 * input, .stage)
    patches = seesNeighbors ? blueprint.buffer(columns: 9 * width, .stage) : nil
    // A single round needs nothing from stage to stage.
    let life = seesNeighbors ? BufferLife.halo : .stage
    sum = blueprint.buffer(columns: width, life)
    activations = (0...shape.settings.blocks).map { _ in
      blueprint.buffer(columns: width, .recomputable(sharing: nil))
    }
    shared = (0..<2).map { _ in blueprint.buffer(columns: width, life) }
    sharedInner = blueprint.buffer(columns: width, .stage)
    outputPatches = blueprint.buffer(columns: 9 * output, .halo)
    sumGradient = blueprint.buffer(columns: width, life, isForBackward: true)
    innerGradient = blueprint.buffer(columns: width, .stage, isForBackward: true)
    activationGradient = blueprint.buffer(columns: width, .stage, isForBackward: true)
    patchesGradient =
      seesNeighbors ? blueprint.buffer(columns: 9 * width, .halo, isForBackward: true) : nil
    inputPatchesGradient = blueprint.buffer(columns: 9 * input, .halo, isForBackward: true)

    blueprint.product(inner: 9 * input, columns: width)
    for _ in blocks {
      blueprint.product(inner: (seesNeighbors ? 9 : 1) * width, columns: width)
      blueprint.product(inner: width, columns: width)
    }
    blueprint.product(inner: width, columns: 9 * output)
  }

  /// A part of the work between which bands wait for each other if blocks see their neighbors.
  private enum Round: Sendable {
    /// h₀ and u₀.
    case start
    /// Block i, to uᵢ₊₁.
    case block(Int)
    /// The gradient through the zero convolution.
    case last
    /// That through the end of block i, to the input of its first convolution.
    case innerGradient(Int)
    /// That of uᵢ, added to the sum's.
    case activationGradient(Int)
    /// That through the first convolution.
    case first
  }

  /// The parts of each round; where blocks see no neighbors there is one round for all.
  private let forwardRounds: [[Round]]
  private let backwardRounds: [[Round]]

  private static func rounds(_ blocks: Range<Int>) -> (forward: [[Round]], backward: [[Round]]) {
    let forward = [[Round.start]] + blocks.map { [.block($0)] }
    let gradients: [[Round]] = blocks.reversed().flatMap {
      [[.innerGradient($0)], [.activationGradient($0)]]
    }
    // Backward begins with forward's parts, in case they are to be computed again.
    return (forward, forward + [[.last] + gradients[0]] + gradients.dropFirst() + [[.first]])
  }

  func rounds(_ direction: Direction) -> Int {
    switch direction {
    case .forward, .inverse: forwardRounds.count
    case .backward: backwardRounds.count
    }
  }

  // MARK: Parameters

  /// N(0, 0.05²) for the hidden convolutions; the last stays zero.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) {
    first.initialize(values, generator: noise.next())
    for block in blocks { block.initialize(values, noise: &noise) }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func initialize<S: Scalar>(from data: DataPass<S>) throws {
    let actNorms = [first.actNorm] + blocks.flatMap { [$0.actNorm, $0.projection.actNorm] }
    for actNorm in actNorms { actNorm.reset(data.values) }
    try data.fold()
    first.actNorm.initialize(
      data.values,
      from: data.moments(channels: width) { site in
        startSum(site)
        return site[sum].own
      })
    for (index, block) in blocks.enumerated() {
      try data.fold()
      block.actNorm.initialize(
        data.values,
        from: moments(of: data, before: index) { site in
          multiplyActivations(index, rectifies: false, site)
          return inner(index, site).own
        })
      try data.fold()
      block.projection.actNorm.initialize(
        data.values,
        from: moments(of: data, before: index) { site in
          runInner(index, site)
          // What the block adds, where what it adds it to has been.
          multiply(
            inner(index, site).own, site.weights.operand(block.projection.foldedWeight), into: site[sum].own)
          return site[sum].own
        })
    }
    try data.fold()
  }

  /// The moments of what `body` makes of uᵢ and hᵢ.
  private func moments<S: Scalar>(
    of data: DataPass<S>, before index: Int, _ body: (Site<S>) -> Matrix<S>
  ) -> Moments {
    let before: [(Site<S>) -> Void] = [{ start($0) }] + (0..<index).map { earlier in { run(earlier, $0) } }
    if seesNeighbors { return data.moments(channels: width, after: before, body) }
    return data.moments(channels: width) { site in
      for part in before { part(site) }
      return body(site)
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    first.fold(values, into: weights)
    for block in blocks { block.fold(values, into: weights) }
    last.fold(values, into: weights)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    first.foldBackward(folded, gradient: gradient, into: gradients)
    for block in blocks { block.foldBackward(folded, gradient: gradient, into: gradients) }
    last.foldBackward(folded, gradient: gradient, into: gradients)
  }

  // MARK: Forward

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(round: Int, _ site: Site<S>) {
    for part in forwardRounds[round] { work(at: part, site) }
    if round == forwardRounds.count - 1 {
      // [rows × width]·[width × 9·out] → [rows × 9·out]
      site.clock.start()
      multiply(
        activation(blocks.count, site).own, site.weights.operand(last.foldedWeight),
        into: site[outputPatches].own)
      site.clock.lap(.products)
    }
  }

  /// h₀ and u₀.
  private func start<S: Scalar>(_ site: Site<S>) {
    startSum(site)
    rectifySum(0, site)
  }

  private func startSum<S: Scalar>(_ site: Site<S>) {
    site.clock.start()
    // [rows × 9·in]·[9·in × width] → [rows × width]
    multiply(
      input(site), site.weights.operand(first.foldedWeight), into: site[sum].own,
      .bias(site.weights[first.foldedBias], site.classes))
    site.clock.lap(.products)
  }

  /// Block `index`: from uᵢ and hᵢ to vᵢ, hᵢ₊₁ and uᵢ₊₁.
  private func run<S: Scalar>(_ index: Int, _ site: Site<S>) {
    runInner(index, site)
    let projection = blocks[index].projection
    // [rows × width]·[width × width] added to [rows × width]
    multiply(
      inner(index, site).own, site.weights.operand(projection.foldedWeight), into: site[sum].own,
      .bias(site.weights[projection.foldedBias], accumulates: true))
    site.clock.lap(.products)
    rectifySum(index + 1, site)
  }

  /// vᵢ.
  private func runInner<S: Scalar>(_ index: Int, _ site: Site<S>) {
    multiplyActivations(index, rectifies: true, site)
  }

  /// The first convolution of block `index`, with its bias, where vᵢ will be.
  private func multiplyActivations<S: Scalar>(_ index: Int, rectifies: Bool, _ site: Site<S>) {
    site.clock.start()
    // [rows × width]·[width × width] → [rows × width], or from neighborhoods [rows × 9·width]·[9·width × width]
    multiply(
      blockInput(index, site), site.weights.operand(blocks[index].foldedWeight), into: inner(index, site).own,
      .bias(site.weights[blocks[index].foldedBias], innerClasses(site), rectifies: rectifies))
    site.clock.lap(.products)
  }

  /// Of the first convolution of a block.
  private func innerClasses<S: Scalar>(_ site: Site<S>) -> RowClasses? { seesNeighbors ? site.classes : nil }

  /// uᵢ, or its neighborhoods.
  private func blockInput<S: Scalar>(_ index: Int, _ site: Site<S>) -> ProductRows<S> {
    guard let patches else { return ProductRows(activation(index, site).own) }
    return neighborhoods(
      width, of: activation(index, site).interleaved, patches: patches, bordered: bordered, site)
  }

  /// The neighborhoods in z1.
  private func input<S: Scalar>(_ site: Site<S>) -> ProductRows<S> {
    neighborhoods(
      shape.inChannels, of: site.output.picture, patches: inputPatches, bordered: bordered, site)
  }

  private func rectifySum<S: Scalar>(_ index: Int, _ site: Site<S>) {
    let rows = site[sum].own
    rectify(rows.base, count: rows.rows * width, into: activation(index, site).own.base)
    site.clock.lap(.elementwise)
  }

  private func activation<S: Scalar>(_ index: Int, _ site: Site<S>) -> Rows<S> {
    site.has(activations[index]) ? site[activations[index]] : site[shared[index % 2]]
  }

  private func inner<S: Scalar>(_ index: Int, _ site: Site<S>) -> Rows<S> {
    site.has(blocks[index].inner) ? site[blocks[index].inner] : site[sharedInner]
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func collect<S: Scalar>(_ image: Int, into planes: UnsafeMutablePointer<S>, _ site: Site<S>) {
    last.collect(site[outputPatches].interleaved(image), into: planes, bordered: bordered, site)
  }

  // MARK: Backward

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(round: Int, outputGradient: Rows<S>, _ site: Site<S>) {
    site.clock.start()
    for part in backwardRounds[round] {
      work(at: part, site, outputGradient: outputGradient)
    }
  }

  /// - Parameter outputGradient: in backward.
  private func work<S: Scalar>(at round: Round, _ site: Site<S>, outputGradient: Rows<S>? = nil) {
    let isBackward = outputGradient != nil
    switch round {
    case .start: if !isBackward || !site.isKept(activations[0]) { start(site) }
    case .block(let index): if !isBackward || !site.isKept(activations[0]) { run(index, site) }
    case .last: backwardLast(outputGradient!, site)
    case .innerGradient(let index): backwardInner(index, site)
    case .activationGradient(let index): backwardActivation(index, site)
    case .first: backwardFirst(site)
    }
  }

  /// The zero convolution: dh = dOut·Wᵀ where uₖ > 0; dW += uₖᵀ·dOut.
  private func backwardLast<S: Scalar>(_ outputGradient: Rows<S>, _ site: Site<S>) {
    for image in 0..<site.tile.imageCount {
      last.collectBackward(
        outputGradient.picture(image), into: site[outputPatches].interleavedPart(image),
        bordered: bordered, site)
    }
    site.clock.lap(.patches)
    let dOutput = site[outputPatches].own
    let (u, du) = (activation(blocks.count, site).own, site[activationGradient].own)
    multiply(dOutput, site.weights.transposed(last.foldedWeight), into: du)
    site.clock.lap(.products)
    site.weightGradient!.add(u, dOutput, to: last.foldedWeight)
    site.clock.lap(.weightGradients)
    let dh = site[sumGradient].own
    dh.base.clear(dh.rows * width)
    addRectifiedGradient(du.base, activations: u.base, count: dh.rows * width, to: dh.base)
    site.clock.lap(.elementwise)
  }

  /// Of block `index`, from dhᵢ₊₁ to the gradient at the input of its first convolution, as patches if it sees neighbors:
  /// dv = dh·Wᵀ where v > 0.
  private func backwardInner<S: Scalar>(_ index: Int, _ site: Site<S>) {
    let block = blocks[index]
    let gradient = site.weightGradient!
    let (v, dv) = (inner(index, site).own, site[innerGradient].own)
    let dh = site[sumGradient].own
    gradient.add(v, dh, to: block.projection.foldedWeight)
    site.clock.lap(.weightGradients)
    addRows(dh.base, rows: dh.rows, width: width, to: gradient[block.projection.foldedBias])
    multiply(
      dh, site.weights.transposed(block.projection.foldedWeight), into: dv,
      .rectifierBackward(v, sums: gradient[block.foldedBias], innerClasses(site)))
    site.clock.lap(.products)
    gradient.add(blockInput(index, site), dv, to: block.foldedWeight)
    site.clock.lap(.weightGradients)
    multiply(
      dv, site.weights.transposed(block.foldedWeight),
      into: (patchesGradient.map { site[$0] } ?? site[activationGradient]).own)
    site.clock.lap(.products)
  }

  /// Of block `index`: dhᵢ = dhᵢ₊₁ + du where u > 0.
  private func backwardActivation<S: Scalar>(_ index: Int, _ site: Site<S>) {
    let (u, du, dh) = (activation(index, site).own, site[activationGradient].own, site[sumGradient].own)
    if let patchesGradient {
      du.base.clear(du.rows * width)
      for image in 0..<site.tile.imageCount {
        addPatches(
          site[patchesGradient].interleaved(image), to: site[activationGradient].interleavedPart(image),
          bordered: bordered, site)
      }
      site.clock.lap(.patches)
    }
    addRectifiedGradient(du.base, activations: u.base, count: du.rows * width, to: dh.base)
    site.clock.lap(.elementwise)
  }

  /// The first convolution: dW += patchesᵀ·dh₀; dpatches = dh₀·Wᵀ.
  private func backwardFirst<S: Scalar>(_ site: Site<S>) {
    let dh = site[sumGradient].own
    let gradient = site.weightGradient!
    addRows(dh.base, rows: dh.rows, width: width, to: gradient[first.foldedBias], site.classes)
    site.clock.lap(.elementwise)
    gradient.add(input(site), dh, to: first.foldedWeight)
    site.clock.lap(.weightGradients)
    multiply(dh, site.weights.transposed(first.foldedWeight), into: site[inputPatchesGradient].own)
    site.clock.lap(.products)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func addInputGradient<S: Scalar>(_ image: Int, to gradient: Matrix<S>, _ site: Site<S>) {
    addPatches(
      site[inputPatchesGradient].interleaved(image), to: gradient, bordered: bordered, site)
  }
}

extension NetworkKind {
  /// Blocks of convolutions, whose inputs are added to what they come to.
  public static let residual = NetworkKind(name: ResidualConditioner.name)
}
