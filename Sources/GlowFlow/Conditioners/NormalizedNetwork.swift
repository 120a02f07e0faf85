import GlowKernels

/// The network of a RealNVP's coupling: a residual network with batch normalization before every ReLU, weight
/// normalization of every filter, and skip connections to a sum that makes the outputs.
///
///     a = factor·norm(x),   h₀ = conv(max(0, [a, −a])),   s₀ = skip(h₀)
///     hₖ₊₁ = hₖ + conv(max(0, norm(vₖ))),   vₖ = conv(max(0, norm(hₖ))),   sₖ₊₁ = sₖ + skip(hₖ₊₁)
///     outputs = conv(max(0, norm(s)))
///
/// All but the skips and the last, which are 1×1, are convolutions of 3×3. Each normalization has to wait for the whole
/// batch, so the network works in rounds at whose end all tiles have what they need of each other. Backward needs h, v and
/// s, from which what was normalized is made again. The rows of all products are batch-interleaved.
struct NormalizedNetwork: Sendable {
  struct Shape {
    var inChannels: Int
    var outChannels: Int
    /// On what the first normalization puts out.
    var inputFactor: Int
    var width: Int
    var blocks: Int
  }

  struct Block: Sendable {
    let innerNorm: BatchNormalization
    let inner: NormalizedConvolution
    let outerNorm: BatchNormalization
    let outer: NormalizedConvolution
    let skip: NormalizedConvolution
    /// vₖ, and hₖ₊₁
    let innerOutput: Buffer
    let output: Buffer
  }

  /// A part of the work, at whose end all tiles wait for each other.
  enum Round: Sendable {
    /// Sums of the input.
    case input
    /// max(0, [a, −a])
    case enter
    /// h₀ and s₀
    case first
    /// max(0, norm(hₖ)), then vₖ
    case innerActivation(Int)
    case inner(Int)
    /// max(0, norm(vₖ)), then hₖ₊₁ and sₖ₊₁
    case outerActivation(Int)
    case outer(Int)
    /// Where the tiles meet: all of a normalization's sums are there.
    case settle(Int)

    /// The gradient at s, once through the last ReLU, and through the last normalization to the end of the last block.
    case last
    case spread
    /// The gradient through the second convolution of block k and its ReLU, and through its normalization to vₖ.
    case outerGradient(Int)
    case innerOutputGradient(Int)
    /// That through the first convolution and its ReLU, and through its normalization to hₖ, where a skip joins it.
    case innerGradient(Int)
    case join(Int)
    /// That through the first convolution, and through the first normalization to the input.
    case firstGradient
    case inputGradient
    case settleGradient(Int)

    var isOfBatch: Bool {
      switch self {
      case .settle, .settleGradient: true
      case .input, .enter, .first, .innerActivation, .inner, .outerActivation, .outer, .last, .spread,
        .outerGradient,
        .innerOutputGradient, .innerGradient, .join, .firstGradient, .inputGradient:
        false
      }
    }
  }

  let shape: Shape
  let inputNorm: BatchNormalization
  let first: NormalizedConvolution
  let firstSkip: NormalizedConvolution
  let blocks: [Block]
  let outputNorm: BatchNormalization
  let last: NormalizedConvolution
  let forwardRounds: [Round]
  let backwardRounds: [Round]

  private let bordered: Buffer
  private let inputPatches: Buffer
  private let patches: Buffer
  /// h₀ and s, for backward.
  private let firstOutput: Buffer
  private let sum: Buffer
  /// In inference: h, v and s.
  private let sharedOutput: Buffer
  private let sharedInner: Buffer
  private let sharedSum: Buffer
  /// What convolutions see, which neighbors see too.
  private let entered: Buffer
  private let activation: Buffer
  /// max(0, norm(s))
  private let lastActivation: Buffer
  /// Of s, h and vₖ; and of the input of the first convolution of a block.
  private let sumGradient: Buffer
  private let outputGradient: Buffer
  private let innerOutputGradient: Buffer
  private let activationGradient: Buffer
  private let enteredGradient: Buffer
  private let inputGradient: Buffer

  init(_ shape: Shape, prefix: String, in blueprint: inout Blueprint) {
    self.shape = shape
    let (input, width) = (shape.inChannels, shape.width)
    let life = BufferLife.halo
    inputNorm = BatchNormalization(channels: input, prefix: "\(prefix).in_norm", in: &blueprint)
    first = NormalizedConvolution(
      .init(inChannels: 2 * input, outChannels: width, kernel: 3), prefix: "\(prefix).in_conv", in: &blueprint
    )
    firstSkip = NormalizedConvolution(
      .init(inChannels: width, outChannels: width, kernel: 1), prefix: "\(prefix).in_skip", in: &blueprint)
    blocks = (0..<shape.blocks).map { Block("\(prefix).block\($0)", width: width, in: &blueprint) }
    outputNorm = BatchNormalization(channels: width, prefix: "\(prefix).out_norm", in: &blueprint)
    last = NormalizedConvolution(
      .init(inChannels: width, outChannels: shape.outChannels, kernel: 1), prefix: "\(prefix).out_conv",
      in: &blueprint)

    bordered = blueprint.bordered(channels: max(2 * input, width))
    inputPatches = blueprint.buffer(columns: 9 * 2 * input, .stage)
    patches = blueprint.buffer(columns: 9 * width, .stage)
    firstOutput = blueprint.buffer(columns: width, .recomputable(sharing: nil))
    sum = blueprint.buffer(columns: width, .recomputable(sharing: nil))
    sharedOutput = blueprint.buffer(columns: width, life)
    sharedInner = blueprint.buffer(columns: width, life)
    sharedSum = blueprint.buffer(columns: width, life)
    entered = blueprint.buffer(columns: 2 * input, life)
    activation = blueprint.buffer(columns: width, life)
    lastActivation = blueprint.buffer(columns: width, .stage)
    sumGradient = blueprint.buffer(columns: width, life, isForBackward: true)
    outputGradient = blueprint.buffer(columns: width, life, isForBackward: true)
    innerOutputGradient = blueprint.buffer(columns: width, life, isForBackward: true)
    activationGradient = blueprint.buffer(columns: width, life, isForBackward: true)
    enteredGradient = blueprint.buffer(columns: 2 * input, .stage, isForBackward: true)
    inputGradient = blueprint.buffer(columns: input, life, isForBackward: true)

    (forwardRounds, backwardRounds) = NormalizedNetwork.rounds(blocks: 0..<shape.blocks)
  }

  private static func rounds(blocks: Range<Int>) -> (forward: [Round], backward: [Round]) {
    let norms = 2 * blocks.count
    let forward: [Round] =
      [.input, .settle(0), .enter, .first]
      + blocks.flatMap { block -> [Round] in
        [
          .settle(1 + 2 * block), .innerActivation(block), .inner(block), .settle(2 + 2 * block),
          .outerActivation(block), .outer(block),
        ]
      } + [.settle(1 + norms)]
    let backward: [Round] =
      [.last, .settleGradient(1 + norms), .spread]
      + blocks.reversed().flatMap { block -> [Round] in
        [
          .outerGradient(block), .settleGradient(2 + 2 * block), .innerOutputGradient(block),
          .innerGradient(block), .settleGradient(1 + 2 * block), .join(block),
        ]
      } + [.firstGradient, .settleGradient(0), .inputGradient]
    // Backward begins with forward's rounds, in case they are to be computed again, but with the statistics as they are.
    return (forward, forward.filter { !$0.isOfBatch } + backward)
  }

  /// All normalizations, by the numbers that rounds know them by.
  private func norm(_ number: Int) -> BatchNormalization {
    if number == 0 { return inputNorm }
    let (block, rest) = (number - 1).quotientAndRemainder(dividingBy: 2)
    if block == blocks.count { return outputNorm }
    return rest == 0 ? blocks[block].innerNorm : blocks[block].outerNorm
  }

  private var norms: [BatchNormalization] { (0..<2 * blocks.count + 2).map(norm) }
  private var convolutions: [NormalizedConvolution] {
    [first, firstSkip] + blocks.flatMap { [$0.inner, $0.outer, $0.skip] } + [last]
  }

  // MARK: Parameters

  func initialize<S: Scalar>(_ values: ParameterValues<S>, noise: inout WeightNoise) {
    for norm in norms { norm.initialize(values) }
    for convolution in convolutions { convolution.initialize(values, noise: &noise) }
  }

  func fold<S: Scalar>(_ values: ParameterValues<S>, into weights: Weights<S>) {
    for norm in norms { norm.fold(values, into: weights) }
    for convolution in convolutions { convolution.fold(values, into: weights) }
  }

  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, into gradients: ParameterValues<S>
  ) {
    for norm in norms { norm.foldBackward(gradient: gradient, into: gradients) }
    for convolution in convolutions { convolution.foldBackward(folded, gradient: gradient, into: gradients) }
  }

  func append(_ statistics: StatisticsMemory, to values: inout [Double]) {
    for norm in norms { norm.append(statistics, to: &values) }
  }

  // MARK: Forward

  /// A round of forward, or one of those in backward.
  ///
  /// - Parameters:
  ///   - input: [rows, `shape.inChannels`], batch-interleaved; asked for in the rounds `input` and `enter`.
  ///   - again: whether this is backward, which has the statistics.
  func forward<S: Scalar>(_ round: Round, input: () -> Matrix<S>, again: Bool = false, _ site: Site<S>) {
    if again && site.isKept(sum) { return }
    let clock = site.clock
    clock.start()
    switch round {
    case .input: if !again { inputNorm.add(input(), site) }
    case .settle(let number): norm(number).settle(site)
    case .enter: enter(input(), site)
    case .first:
      let (h, s) = (output(0, site), sumRows(site))
      // [rows × 9·2·in]·[9·2·in × width] → [rows × width]
      apply(first, to: enteredNeighborhoods(site), into: h, site)
      apply(firstSkip, to: ProductRows(h), into: s, site)
      clock.lap(.products)
      if !again { (blocks.first?.innerNorm ?? outputNorm).add(blocks.isEmpty ? s : h, site) }
    case .innerActivation(let index):
      blocks[index].innerNorm.normalize(
        output(index, site), into: site[activation].own, rectifies: true, site)
    case .inner(let index):
      let v = innerOutput(index, site)
      // [rows × 9·width]·[9·width × width] → [rows × width]
      apply(blocks[index].inner, to: neighborhoods(activation, site), into: v, site)
      clock.lap(.products)
      if !again { blocks[index].outerNorm.add(v, site) }
    case .outerActivation(let index):
      blocks[index].outerNorm.normalize(
        innerOutput(index, site), into: site[activation].own, rectifies: true, site)
    case .outer(let index):
      let (before, h, s) = (output(index, site), output(index + 1, site), sumRows(site))
      if before.base != h.base { h.base.update(from: before.base, count: h.rows * h.columns) }
      // [rows × 9·width]·[9·width × width] → [rows × width]
      apply(blocks[index].outer, to: neighborhoods(activation, site), into: h, accumulates: true, site)
      apply(blocks[index].skip, to: ProductRows(h), into: s, accumulates: true, site)
      clock.lap(.products)
      let isLast = index == blocks.count - 1
      if !again { (isLast ? outputNorm : blocks[index + 1].innerNorm).add(isLast ? s : h, site) }
    case .last, .spread, .outerGradient, .innerOutputGradient, .innerGradient, .join, .firstGradient,
      .inputGradient,
      .settleGradient:
      preconditionFailure("a round of backward")
    }
    clock.lap(.elementwise)
  }

  /// After the last round: the outputs, [rows, `shape.outChannels`].
  func finish<S: Scalar>(into outputs: Matrix<S>, _ site: Site<S>) {
    site.clock.start()
    outputNorm.normalize(sumRows(site), into: site[lastActivation].own, rectifies: true, site)
    site.clock.lap(.elementwise)
    apply(last, to: ProductRows(site[lastActivation].own), into: outputs, site)
    site.clock.lap(.products)
  }

  private func enter<S: Scalar>(_ input: Matrix<S>, _ site: Site<S>) {
    let (channels, factor) = (shape.inChannels, S(shape.inputFactor))
    let target = site[entered].own
    inputNorm.normalize(input, into: target.columns(0..<channels), rectifies: false, site)
    for row in 0..<target.rows {
      let line = target[row]
      for channel in 0..<channels {
        let a = factor * line[channel]
        // Written so that a NaN stays one.
        line[channel] = a < 0 ? 0 : a
        line[channels + channel] = a > 0 ? 0 : -a
      }
    }
  }

  /// The neighborhoods in rows of `shape.width` channels; those of one buffer at a time.
  private func neighborhoods<S: Scalar>(_ buffer: Buffer, _ site: Site<S>) -> ProductRows<S> {
    GlowFlow.neighborhoods(
      shape.width, of: site[buffer].interleaved, patches: patches, bordered: bordered, site)
  }

  /// The neighborhoods that the first convolution sees.
  private func enteredNeighborhoods<S: Scalar>(_ site: Site<S>) -> ProductRows<S> {
    GlowFlow.neighborhoods(
      2 * shape.inChannels, of: site[entered].interleaved, patches: inputPatches, bordered: bordered, site)
  }

  private func apply<S: Scalar>(
    _ convolution: NormalizedConvolution, to x: ProductRows<S>, into y: Matrix<S>, accumulates: Bool = false,
    _ site: Site<S>
  ) {
    var epilogue = Epilogue<S>(accumulates: accumulates)
    epilogue.bias = convolution.foldedBias.map { UnsafePointer(site.weights[$0]) }
    multiply(x, site.weights.operand(convolution.foldedWeight), into: y, epilogue)
  }

  /// hₖ
  private func output<S: Scalar>(_ index: Int, _ site: Site<S>) -> Matrix<S> {
    let own = index == 0 ? firstOutput : blocks[index - 1].output
    return site[site.has(own) ? own : sharedOutput].own
  }

  private func innerOutput<S: Scalar>(_ index: Int, _ site: Site<S>) -> Matrix<S> {
    let own = blocks[index].innerOutput
    return site[site.has(own) ? own : sharedInner].own
  }

  private func sumRows<S: Scalar>(_ site: Site<S>) -> Matrix<S> { site[site.has(sum) ? sum : sharedSum].own }

  // MARK: Backward

  /// A round of backward.
  ///
  /// - Parameters:
  ///   - input: as in forward.
  ///   - gradient: [rows, `shape.outChannels`]; asked for in the round `last`.
  ///   - addInputGradient: gets [rows, `shape.inChannels`] in the last round.
  func backward<S: Scalar>(
    _ round: Round, input: () -> Matrix<S>, gradient: () -> Matrix<S>,
    addInputGradient: (Matrix<S>) -> Void, _ site: Site<S>
  ) {
    let clock = site.clock
    switch round {
    case .last:
      let gradient = gradient()
      clock.start()
      let u = site[lastActivation].own
      outputNorm.normalize(sumRows(site), into: u, rectifies: true, site)
      clock.lap(.elementwise)
      addGradient(of: last, ProductRows(u), gradient, site)
      clock.lap(.weightGradients)
      let ds = site[sumGradient].own
      multiply(gradient, site.weights.transposed(last.foldedWeight), into: ds)
      clock.lap(.products)
      rectifyBackward(u, ds)
      outputNorm.addBackward(ds, sumRows(site), site)
    case .settleGradient(let number):
      clock.start()
      norm(number).settleBackward(site)
    case .spread:
      clock.start()
      outputNorm.backward(site[sumGradient].own, sumRows(site), site)
      backwardSkip(blocks.last?.skip ?? firstSkip, blocks.count, accumulates: false, site)
      prepare(before: blocks.count, input: input, site)
    case .outerGradient(let index):
      clock.start()
      backward(
        blocks[index].outer, from: outputGradient, into: site[innerOutputGradient].own, site)
      blocks[index].outerNorm.addBackward(site[innerOutputGradient].own, innerOutput(index, site), site)
    case .innerOutputGradient(let index):
      clock.start()
      blocks[index].outerNorm.backward(site[innerOutputGradient].own, innerOutput(index, site), site)
      blocks[index].innerNorm.normalize(
        output(index, site), into: site[activation].own, rectifies: true, site)
    case .innerGradient(let index):
      clock.start()
      backward(
        blocks[index].inner, from: innerOutputGradient, into: site[activationGradient].own, site)
      blocks[index].innerNorm.addBackward(site[activationGradient].own, output(index, site), site)
    case .join(let index):
      clock.start()
      let (dh, branch) = (site[outputGradient].own, site[activationGradient].own)
      blocks[index].innerNorm.backward(branch, output(index, site), site)
      for place in 0..<dh.rows * dh.columns { dh.base[place] += branch.base[place] }
      backwardSkip(index == 0 ? firstSkip : blocks[index - 1].skip, index, accumulates: true, site)
      prepare(before: index, input: input, site)
    case .firstGradient:
      clock.start()
      backwardFirst(input(), site)
    case .inputGradient:
      clock.start()
      let gradient = site[inputGradient].own
      inputNorm.backward(gradient, input(), site)
      addInputGradient(gradient)
    case .input, .enter, .first, .innerActivation, .inner, .outerActivation, .outer, .settle:
      forward(round, input: input, again: true, site)
    }
    clock.lap(.elementwise)
  }

  /// Makes what the convolution before hₖ has seen: the second one of a block, or the first of all.
  private func prepare<S: Scalar>(before index: Int, input: () -> Matrix<S>, _ site: Site<S>) {
    if index == 0 {
      enter(input(), site)
    } else {
      blocks[index - 1].outerNorm.normalize(
        innerOutput(index - 1, site), into: site[activation].own, rectifies: true, site)
    }
  }

  /// Through the skip from hₖ: dh ← ds·Wᵀ, or added.
  private func backwardSkip<S: Scalar>(
    _ skip: NormalizedConvolution, _ index: Int, accumulates: Bool, _ site: Site<S>
  ) {
    let ds = site[sumGradient].own
    site.clock.lap(.elementwise)
    addGradient(of: skip, ProductRows(output(index, site)), ds, site)
    site.clock.lap(.weightGradients)
    multiply(
      ds, site.weights.transposed(skip.foldedWeight), into: site[outputGradient].own,
      Epilogue(accumulates: accumulates))
    site.clock.lap(.products)
  }

  /// Through a convolution of `activation` and the ReLU before it.
  private func backward<S: Scalar>(
    _ convolution: NormalizedConvolution, from gradient: Buffer, into target: Matrix<S>, _ site: Site<S>
  ) {
    addGradient(of: convolution, neighborhoods(activation, site), site[gradient].own, site)
    site.clock.lap(.weightGradients)
    site.weights.multiplyAdjoint(neighborhoods(gradient, site), convolution.foldedWeight, into: target)
    site.clock.lap(.products)
    rectifyBackward(site[activation].own, target)
  }

  private func backwardFirst<S: Scalar>(_ input: Matrix<S>, _ site: Site<S>) {
    let (channels, factor) = (shape.inChannels, S(shape.inputFactor))
    addGradient(of: first, enteredNeighborhoods(site), site[outputGradient].own, site)
    site.clock.lap(.weightGradients)
    let (u, du, da) = (site[entered].own, site[enteredGradient].own, site[inputGradient].own)
    site.weights.multiplyAdjoint(neighborhoods(outputGradient, site), first.foldedWeight, into: du)
    site.clock.lap(.products)
    for row in 0..<u.rows {
      let (u, du, da) = (u[row], du[row], da[row])
      for channel in 0..<channels {
        // Of a and −a at most one is above zero.
        let through = u[channel] > 0 ? du[channel] : u[channels + channel] > 0 ? -du[channels + channel] : 0
        da[channel] = factor * through
      }
    }
    inputNorm.addBackward(da, input, site)
  }

  /// dw += xᵀ·dy and db += Σ dy.
  private func addGradient<S: Scalar>(
    of convolution: NormalizedConvolution, _ x: ProductRows<S>, _ gradient: Matrix<S>, _ site: Site<S>
  ) {
    let sums = site.weightGradient!
    sums.add(x, gradient, to: convolution.foldedWeight)
    if let bias = convolution.foldedBias {
      addRows(gradient.base, rows: gradient.rows, width: gradient.columns, to: sums[bias])
    }
  }
}

extension NormalizedNetwork.Block {
  init(_ prefix: String, width: Int, in blueprint: inout Blueprint) {
    innerNorm = BatchNormalization(channels: width, prefix: "\(prefix).in_norm", in: &blueprint)
    inner = NormalizedConvolution(
      .init(inChannels: width, outChannels: width, kernel: 3, hasBias: false), prefix: "\(prefix).in_conv",
      in: &blueprint)
    outerNorm = BatchNormalization(channels: width, prefix: "\(prefix).out_norm", in: &blueprint)
    outer = NormalizedConvolution(
      .init(inChannels: width, outChannels: width, kernel: 3), prefix: "\(prefix).out_conv", in: &blueprint)
    skip = NormalizedConvolution(
      .init(inChannels: width, outChannels: width, kernel: 1), prefix: "\(prefix).skip", in: &blueprint)
    innerOutput = blueprint.buffer(columns: width, .recomputable(sharing: nil))
    output = blueprint.buffer(columns: width, .recomputable(sharing: nil))
  }
}

/// gradient ← 0 where the ReLU let nothing pass; both without gaps.
@inline(__always)
private func rectifyBackward<S: Scalar>(_ activations: Matrix<S>, _ gradient: Matrix<S>) {
  let count = gradient.rows * gradient.columns
  var index = 0
  while index + 8 <= count {
    gradient.base.store(
      S.select(gradient.base.vector(index), wherePositive: activations.base.vector(index)), index)
    index += 8
  }
  while index < count {
    if activations.base[index] <= 0 { gradient.base[index] = 0 }
    index += 1
  }
}
