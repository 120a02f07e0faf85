import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import Testing

@testable import GlowTraining

@Suite("What a run comes to in a given time")
struct RunPlanTests {
  // MARK: The law

  @Test("a law that points follow is found again; too few say nothing")
  func fit() throws {
    func points(_ count: Int) -> [(work: Double, bitsPerDimension: Double)] {
      (0..<count).map {
        let work = 7 * pow(2, Double($0))
        return (work, 3.2 + 1.7 * pow(work, -0.4))
      }
    }
    let law = try #require(ScalingLaw(points(5)))
    #expect(abs(law.floor - 3.2) < 1e-9 && abs(law.scale - 1.7) < 1e-9 && abs(law.exponent - 0.4) < 1e-9)
    #expect(abs(law.bitsPerDimension(after: 1000) - 3.2 - 1.7 * pow(1000, -0.4)) < 1e-9)
    #expect(law.measured == 7...112)
    #expect(ScalingLaw(points(3)) == nil && ScalingLaw([]) == nil)
  }

  /// The measured runs on CIFAR-10 with one kind of noise.
  private func photographs(learnsNoise: Bool) -> [MeasuredRun] {
    MeasuredRun.all.filter { $0.data == .cifar10 && $0.learnsNoise == learnsNoise }
  }

  @Test(
    "the law of CIFAR-10 tells each run that is the best for its work, and goes on falling",
    arguments: [false, true])
  func table(learnsNoise: Bool) throws {
    let runs = photographs(learnsNoise: learnsNoise)
    let envelope = try MeasuredRun.envelope(of: runs)
    let law = try #require(try ScalingLaw(of: runs))
    #expect(envelope.count >= 4)
    for (run, work) in envelope {
      // The standard error of a run.
      #expect(abs(law.bitsPerDimension(after: work) - run.bitsPerDimension) < 0.009, "\(run)")
    }
    let far = [10, 50, 200, 1000, 10_000, 1e6].map { law.bitsPerDimension(after: $0) }
    #expect(zip(far, far.dropFirst()).allSatisfy { $0 > $1 } && far.last! > 3)
  }

  @Test("noise that is learned is worth its work, the more the longer a run is")
  func noise() throws {
    let (uniform, learned) = try (
      #require(try ScalingLaw(of: photographs(learnsNoise: false))),
      #require(try ScalingLaw(of: photographs(learnsNoise: true)))
    )
    let gains = [50, 250, 1000].map {
      uniform.bitsPerDimension(after: $0) - learned.bitsPerDimension(after: $0)
    }
    #expect(gains[0] > 0 && gains[1] > gains[0] && gains[2] > gains[1], "\(gains)")
  }

  @Test("of runs with as much work only the best is on the envelope")
  func envelope() throws {
    let runs = [(20_000, 2.196), (48_000, 1.742), (20_000, 1.979), (30_000, 1.98)].map { images, result in
      MeasuredRun(
        data: .mnist, images: images, trainingImages: 20_000, levels: 2, depth: 8, width: 128,
        dequantizerWidth: 0, logit: 0, batch: 16,
        rate: 8e-3, bitsPerDimension: result)
    }
    let found = try MeasuredRun.envelope(of: runs)
    #expect(found.map(\.run.bitsPerDimension) == [1.979, 1.742])
    #expect(zip(found, found.dropFirst()).allSatisfy { $0.work < $1.work })
    #expect(try MeasuredRun.envelope(of: []).isEmpty)
  }

  @Test("every run has a model that can be")
  func runs() throws {
    for run in MeasuredRun.all {
      try run.model.validate()
      #expect(try run.work() > 0 && run.bitsPerDimension < 8 && run.bitsPerDimension > 1, "\(run)")
    }
    let shape = ImageShape(height: 36, width: 48, channels: 3)
    #expect(MeasuredRun.all[0].fitting(shape).levels == 2)
  }

  @Test("work is six operations a multiply-add of the couplings' products")
  func work() throws {
    var model = GlowConfiguration()
    (model.levels, model.depth, model.width) = (1, 1, 64)
    // 16×16 positions of 12 channels, 6 of which go through 3×3, 1×1 and 3×3.
    let multiplyAdds = 16 * 16 * (9 * 6 * 64 + 64 * 64 + 64 * 9 * 12)
    #expect(try model.trainingWork() == Double(6 * multiplyAdds) / 1e12)
  }

  // MARK: The plan

  private func images(_ count: Int, side: Int = 32, channels: Int = 3) -> any Dataset {
    SyntheticDataset(
      .constant, shape: ImageShape(height: side, width: side, channels: channels), count: count, seed: 0,
      part: .train)
  }

  /// The model of a measured run, for other images, with one kind of noise.
  private func settings(
    _ run: MeasuredRun, for shape: ImageShape, learnsNoise: Bool = false
  ) -> RunPlanner.Settings {
    var (model, training) = (run.model, TrainingConfiguration.recommended())
    model.dequantizerWidth = learnsNoise ? max(run.dequantizerWidth, 8) : 0
    training.dequantization = model.dequantization
    (model.imageHeight, model.imageWidth, model.imageChannels) = (shape.height, shape.width, shape.channels)
    (training.batch, training.learningRate) = (run.batch, run.rate)
    return (model, training)
  }

  /// On a machine that does 200 GFLOP/s in training, with any model.
  private func planner(
    _ images: any Dataset, heldOut: Int = 5000, seconds: Double, measured: @escaping () -> Void = {}
  ) throws -> RunPlanner {
    let team = ThreadTeam(count: 1)
    var planner = RunPlanner(
      images, heldOut: heldOut == 0 ? nil : self.images(heldOut), team: team, seconds: seconds)
    var small = GlowConfiguration()
    (small.levels, small.depth, small.width) = (1, 1, 8)
    let memory = try MemoryEstimate(
      Glow(configuration: small, seed: 1, team: team), TrainingConfiguration(), available: nil)
    planner.speed = { settings in
      measured()
      let speed = try 0.2 / settings.model.trainingWork()
      return RunPlan.Speed(training: speed, scoring: 3 * speed, memory: memory)
    }
    return planner
  }

  private func plan(
    _ seconds: Double, _ images: (any Dataset)? = nil, heldOut: Int = 5000, evaluateEvery: Int? = nil
  ) throws -> RunPlan {
    let images = images ?? self.images(20_000)
    return try planner(images, heldOut: heldOut, seconds: seconds).plan(
      elapsed: { 0 }, evaluateEvery: evaluateEvery, settings: { settings($0, for: images.shape) })
  }

  @Test("a run of 15 minutes takes them, and its evaluations a twentieth")
  func time() throws {
    let plan = try plan(900)
    #expect(plan.model == settings(plan.base, for: ImageShape(plan.model)).model && plan.model.depth == 16)
    #expect(plan.training.learningRate == 5e-3 && plan.training.batch == 16)
    let ofStep = 16 / plan.speed.training
    #expect(plan.seconds <= 900 && plan.seconds > 900 - ofStep)
    let evaluations = (plan.training.steps + plan.training.evaluateEvery - 1) / plan.training.evaluateEvery
    // Of the held-out images with both sets of weights, and of 1,000 training images.
    let evaluating = Double(evaluations * 11_000) / plan.speed.scoring
    #expect(evaluations > 1 && evaluating <= 45)
    let rest = Double(256 + 2000) / plan.speed.scoring
    #expect(abs(Double(plan.training.steps) * ofStep + evaluating + rest - plan.seconds) < 1e-6)
    #expect(abs(plan.work - 0.2 * Double(plan.training.steps) * ofStep) < 1e-6)
    let expectation = try #require(plan.expectation)
    let law = try #require(try ScalingLaw(of: photographs(learnsNoise: false)))
    #expect(expectation.bitsPerDimension == law.bitsPerDimension(after: plan.work))
    // There was as much work, but never so many passes.
    #expect(law.measured.contains(plan.work) && plan.passes > expectation.measuredPasses)
    #expect(plan.isExtrapolated == true)
  }

  @Test("more time takes over what was best after more work; beyond all of it, the expectation is a guess")
  func settings() throws {
    let (moment, minutes, day) = try (plan(10, heldOut: 0), plan(60, heldOut: 0), plan(86_400))
    #expect(moment.model.depth == 4 && minutes.model.depth == 8 && day.model.depth == 16)
    #expect(moment.isExtrapolated == true && minutes.isExtrapolated == false && day.isExtrapolated == true)
    #expect(day.expectation!.bitsPerDimension < minutes.expectation!.bitsPerDimension)
  }

  @Test(
    "with learned noise it takes over what was measured with it, and expects its bound; else of settings alone"
  )
  func learnedNoise() throws {
    func plan(_ images: any Dataset, _ seconds: Double) throws -> RunPlan {
      try planner(images, seconds: seconds).plan(
        elapsed: { 0 }, evaluateEvery: nil, settings: { settings($0, for: images.shape, learnsNoise: true) })
    }
    let photographs = try plan(images(20_000), 3600)
    #expect(
      photographs.base.learnsNoise && photographs.model.dequantizerWidth == photographs.base.dequantizerWidth)
    let law = try #require(try ScalingLaw(of: self.photographs(learnsNoise: true)))
    let expectation = try #require(photographs.expectation)
    #expect(
      expectation.ofLearnedNoise
        && expectation.bitsPerDimension == law.bitsPerDimension(after: photographs.work))
    let digits = try plan(images(20_000, side: 28, channels: 1), 3600)
    #expect(digits.base.learnsNoise && digits.model.depth == 16 && digits.model.logit == 1e-5)
    #expect(digits.expectation?.data == .mnist && digits.expectation?.ofLearnedNoise == true)
    // Of other shapes nothing was measured.
    #expect(try plan(images(20_000, side: 36), 3600).expectation == nil)
    #expect(try self.plan(3600).expectation?.ofLearnedNoise == false)
  }

  @Test("each size of model is measured once")
  func measuring() throws {
    var count = 0
    let images = images(100)
    _ = try planner(images, seconds: 900) { count += 1 }.plan(
      elapsed: { 0 }, evaluateEvery: nil, settings: { settings($0, for: images.shape) })
    // Depths 4, 8 and 16.
    #expect(count == 3)
  }

  @Test("an interval of evaluations that is asked for, or none, leaves its time for steps")
  func evaluations() throws {
    let (often, never, nothing) = try (
      plan(900, evaluateEvery: 1000), plan(900, evaluateEvery: 0), plan(900, heldOut: 0)
    )
    #expect(often.training.steps < never.training.steps && never.training.steps == nothing.training.steps)
    let evaluations = Double(often.training.steps / 1000 + 1)
    #expect(
      abs(
        Double(never.training.steps - often.training.steps) * 16 / often.speed.training
          - evaluations * 11_000 / often.speed.scoring) < 12)
    #expect(never.seconds <= 900 && often.seconds <= 900)
  }

  @Test("of other images, or with other settings, nothing is expected; levels are as many as fit")
  func other() throws {
    let digits = try plan(900, images(20_000, side: 28, channels: 1))
    #expect(digits.model.levels == 2 && digits.training.learningRate == 5e-3)
    #expect(digits.expectation?.data == .mnist && digits.expectation?.ofLearnedNoise == false)
    let letters = try plan(900, images(20_000, side: 28, channels: 3))
    #expect(letters.model.logit == 0 && letters.expectation == nil)
    let large = try plan(900, images(20_000, side: 36))
    #expect(large.model.levels == 2 && large.expectation == nil && large.isExtrapolated == nil)
    let images = images(20_000)
    func wide(_ run: MeasuredRun) -> RunPlanner.Settings {
      var own = settings(run, for: images.shape)
      own.model.width = 96
      return own
    }
    let planned = try planner(images, seconds: 900).plan(
      elapsed: { 0 }, evaluateEvery: nil, settings: wide)
    #expect(planned.model.width == 96 && planned.expectation == nil)
    func withAdamax(_ run: MeasuredRun) -> RunPlanner.Settings {
      var own = settings(run, for: images.shape)
      own.training.optimizer = .adamax
      return own
    }
    let adamax = try planner(images, seconds: 900).plan(
      elapsed: { 0 }, evaluateEvery: nil, settings: withAdamax)
    #expect(adamax.training.optimizer == .adamax && adamax.expectation == nil)
    func changed(
      _ images: any Dataset = images, by change: (inout TrainingConfiguration) -> Void
    ) throws -> RunPlan {
      try planner(images, seconds: 900).plan(
        elapsed: { 0 }, evaluateEvery: nil,
        settings: {
          var own = settings($0, for: images.shape)
          change(&own.training)
          return own
        })
    }
    for change in [
      { $0.weightDecay = 0 }, { $0.schedule = .constant }, { $0.clipNorm = 1 }, { $0.clipRatio = 2 },
    ]
      as [(inout TrainingConfiguration) -> Void]
    {
      #expect(try changed(by: change).expectation == nil)
    }
    // With photographs these make no difference.
    let usual = try #require(try changed(by: { _ in }).expectation?.bitsPerDimension)
    #expect(try changed(by: { $0.flips = true }).expectation?.bitsPerDimension == usual)
    #expect(try changed(by: { $0.clipRatio = 0 }).expectation?.bitsPerDimension == usual)
    let small = self.images(20_000, side: 28, channels: 1)
    #expect(try changed(small, by: { _ in }).expectation != nil)
    #expect(try changed(small, by: { $0.flips = true }).expectation == nil)
    #expect(try changed(small, by: { $0.clipRatio = 0 }).expectation == nil)
  }

  @Test("more passes over the images than were measured make a guess of what is expected")
  func passes() throws {
    let (few, many) = try (plan(300, images(1000)), plan(300, images(20_000)))
    let measured = try #require(few.expectation).measured
    #expect(measured.contains(few.work) && measured.contains(many.work))
    #expect(few.passes > 10.1 && many.passes < 10)
    #expect(few.isExtrapolated == true && many.isExtrapolated == false)
    #expect(few.expectation?.measuredPasses == 200_672.0 / 20_000)
  }

  @Test("what is over of the time is not planned again; a time too short for a step is refused")
  func tooShort() throws {
    let images = images(20_000)
    let planner = try planner(images, seconds: 900)
    func plan(after elapsed: Double) throws -> RunPlan {
      try planner.plan(
        elapsed: { elapsed }, evaluateEvery: nil, settings: { settings($0, for: images.shape) })
    }
    #expect(try plan(after: 450).seconds <= 450)
    for elapsed in [899, 900, 1000] as [Double] {
      let error = #expect(throws: TrainingError.self) { try plan(after: elapsed) }
      #expect(error?.description.contains("before the first step") == true, "\(elapsed)")
    }
  }

  @Test(
    "a machine is measured: speeds, and the memory of a new run, with classes and learned noise too",
    arguments: [false, true])
  func measured(hasAll: Bool) throws {
    var (model, training) = (GlowConfiguration(), TrainingConfiguration.recommended())
    (model.levels, model.depth, model.width) = (2, 1, 16)
    if hasAll { (model.classCount, model.dequantizerWidth) = (3, 8) }
    training.initializationImages = 4000
    let team = ThreadTeam(count: 2)
    let speed = try RunPlan.Speed(model, training, team: team, cores: 2, measuringFor: 0.02)
    #expect(speed.training > 0 && speed.scoring > 0)
    let simulated = try RunPlan.Speed(model, training, team: team, cores: 8, measuringFor: 0.02)
    #expect(simulated.training > 0 && simulated.scoring > 0)
    let own = try MemoryEstimate(Glow(configuration: model, seed: 1, team: team), training)
    #expect(speed.memory.bytes == own.bytes)
  }
}
