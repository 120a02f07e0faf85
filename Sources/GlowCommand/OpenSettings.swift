import Foundation
import GlowFlow
import GlowImages
import GlowTraining

/// The options of a run that its user has left open, which a plan fills in.
struct OpenSettings {
  private(set) var model: ModelArguments
  private(set) var training: TrainingArguments
  /// What was filled in, as it stands on a command line.
  private(set) var options: [String] = []

  init(_ model: ModelArguments, _ training: TrainingArguments) {
    self.model = model
    self.training = training
  }

  /// Fills them in, so that a run ends in time.
  ///
  /// - Parameters:
  ///   - origin: the model to start from, if there is one, and what it is.
  ///   - elapsed: seconds of the time that are over; asked for when speeds have been measured.
  /// - Throws: `ConfigurationError`; `TrainingError` if the time or the memory is too short.
  mutating func fill(
    by planner: RunPlanner, from origin: (model: GlowConfiguration, name: String)? = nil,
    elapsed: () -> Double = { 0 }
  ) throws -> RunPlan {
    let open = self
    let plan = try planner.plan(elapsed: elapsed, evaluateEvery: training.evalEvery) { run in
      var filled = open
      filled.take(run, from: origin?.model, for: planner.images)
      let model = try filled.model.configuration(
        for: planner.images, of: origin, dequantization: filled.training.dequantization)
      let training = filled.training.configuration(
        for: model, imageCount: planner.images.count, former: nil, hasOrigin: origin != nil)
      try training.validate { TrainingArguments.options[$0] ?? $0 }
      try training.validate(for: model) { TrainingArguments.options[$0] ?? $0 }
      return (model, training)
    }
    take(plan.base, from: origin?.model, for: planner.images)
    take("--steps", plan.training.steps, \.training.steps)
    if planner.heldOut != nil { take("--eval-every", plan.training.evaluateEvery, \.training.evalEvery) }
    return plan
  }

  private mutating func take(
    _ run: MeasuredRun, from origin: GlowConfiguration?, for images: any Dataset
  ) {
    // Of a RealNVP nothing was measured.
    if origin?.architecture ?? model.couplings.architecture ?? .glow != .glow { return }
    if origin == nil {
      take("--levels", run.levels, \.model.levels)
      take("--depth", run.depth, \.model.depth)
      take("--width", run.width, \.model.couplings.width)
      if run.logit > 0 && images.isMostlyExtreme { take("--logit", run.logit, \.model.logit) }
      if run.learnsNoise && training.dequantization == .variational {
        take("--dequantizer-width", run.dequantizerWidth, \.model.dequantizerWidth)
      }
    }
    take("--batch", run.batch, \.training.batch)
    take("--lr", run.rate, \.training.lr)
  }

  private mutating func take<Value>(
    _ option: String, _ value: Value, _ place: WritableKeyPath<OpenSettings, Value?>
  ) {
    if self[keyPath: place] != nil { return }
    self[keyPath: place] = value
    options += [option, "\(value)"]
  }
}

extension RunPlan {
  /// What may be expected of it, in a sentence.
  var outlook: String {
    guard let expectation else {
      return "what bits/dim it comes to is not known: no such images were measured with these settings"
    }
    let range = expectation.measured
    let known =
      range.contains(work)
      ? String(format: "%.0f passes at most", expectation.measuredPasses)
      : String(format: "%.0f to %.0f", range.lowerBound, range.upperBound)
    return String(
      format:
        "\(expectation.data.rawValue)'s test images come to about %.2f bits/dim \(expectation.ofLearnedNoise ? "(learned noise) " : "")with as much work, %.0f TFLOP",
      expectation.bitsPerDimension, work)
      + (isExtrapolated == true ? " (a guess: \(known) were measured)" : "")
  }
}
