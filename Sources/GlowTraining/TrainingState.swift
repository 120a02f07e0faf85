import GlowFlow
import GlowKernels

/// What training changes.
final class TrainingState {
  let glow: Glow<Float>
  /// A model of the same shape whose weights are the moving average.
  let averaged: Glow<Float>
  let optimizer: Optimizer<Float>
  /// Updates so far, skipped ones included.
  var step = 0
  var safeguard = Safeguard()
  var evaluations = EvaluationHistory()
  /// The state to go back to, and the step it stands for.
  private(set) var good: (slabs: [Slab<Float>], step: Int)?

  init(_ glow: Glow<Float>, _ configuration: TrainingConfiguration) throws {
    self.glow = glow
    averaged = try Glow(configuration: glow.configuration, seed: nil, team: glow.team)
    optimizer = try Optimizer(
      configuration.optimizer, betas: (configuration.beta1, configuration.beta2),
      parameters: glow.parameters, weightDecay: configuration.decay, kernels: glow.kernels)
  }

  /// Weights, average and moments; all follow the model's parameter list.
  var slabs: [(name: String, slab: Slab<Float>)] {
    [
      ("value", glow.values), ("average", averaged.values),
      ("first_moment", optimizer.firstMoment), ("second_moment", optimizer.secondMoment),
    ]
  }

  /// A number that tells whether two states are the same.
  var digest: String {
    var digest = UInt64(step)
    for (_, slab) in slabs {
      for value in slab.values {
        digest = (digest ^ UInt64(value.bitPattern)) &* 0x9E37_79B9_7F4A_7C15
        digest ^= digest >> 32
      }
    }
    return String(digest, radix: 16)
  }

  /// Starts the average at the present weights, and takes over what is not learned.
  func beginAverage() { averaged.values.base.update(from: glow.values.base, count: glow.parameters.count) }

  /// Changes weights and average as the optimizer says, and folds: the end of step number `step`.
  ///
  /// - Parameters:
  ///   - pass: has made the gradients.
  ///   - scale: a factor on the gradients.
  /// - Throws: `SingularMapError` if the new weights make no model; `RankFailure`.
  func update(after pass: BatchPass, rate: Double, scale: Double = 1, averageDecay: Double) throws {
    glow.followStatistics(try pass.statistics())
    let change = optimizer.update(
      glow.values.base, gradients: pass.gradients.base, step: step, rate: rate, scale: scale,
      average: (averaged.values.base, averageDecay))
    averageStatistics(decay: averageDecay)
    change.applyToFilters(on: glow.team)
    try glow.parametersChanged(by: change.apply)
  }

  /// What evaluation normalizes with is averaged as the weights are, after each update: the average of the weights is of the
  /// same steps.
  private func averageStatistics(decay: Double) {
    let (present, average) = (glow.values.base, averaged.values.base)
    for index in glow.parameters.ranges(of: .statistic).joined() {
      average[index] = Float(decay) * average[index] + Float(1 - decay) * present[index]
    }
  }

  /// Makes the present state the one to go back to.
  ///
  /// - Throws: `MemoryError`, the first time.
  func keepAsGood() throws {
    _ = try goodSlabs(step: step)
    copy(toGood: true)
  }

  /// The slabs of the state to go back to, to be filled; it is made to stand for `step`.
  ///
  /// - Throws: `MemoryError`, the first time.
  func goodSlabs(step: Int) throws -> [Slab<Float>] {
    let kept = try good?.slabs ?? slabs.map { _ in try Slab<Float>(count: glow.parameters.count) }
    good = (kept, step)
    return kept
  }

  func forgetGood() { good = nil }

  /// Goes back to the last good state, which then stands for the present step; the count of steps, and with it
  /// data order and rate, goes on.
  func rollBack() throws {
    guard good != nil else { return }
    good!.step = step
    copy(toGood: false)
    try glow.parametersChanged()
  }

  private func copy(toGood: Bool) {
    for (present, kept) in zip(slabs.map(\.slab), good!.slabs) {
      let (source, target) = toGood ? (present, kept) : (kept, present)
      target.base.update(from: source.base, count: source.count)
    }
  }
}
