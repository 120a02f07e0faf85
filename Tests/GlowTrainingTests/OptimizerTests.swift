import Foundation
import GlowFlow
import GlowKernels
import GlowTraining
import Testing

@Suite("Optimizers, against the formulas written out")
struct OptimizerTests {
  @Test("five updates with a moving average and weight decay", arguments: OptimizerKind.allCases, [0, 0.3])
  func updates(kind: OptimizerKind, decay: Double) throws {
    // Three ranges, one of which decays, with a gap that must stay as it is.
    let count = 40_000
    let (ranges, decayed) = ([0..<20_001, 30_000..<count], 20_005..<30_000)
    let optimizer = try Optimizer<Double>(
      kind, count: count, ranges: ranges, decayed: ([decayed], decay))
    let values = try Slab<Double>(count: count)
    let average = try Slab<Double>(count: count)
    let gradients = try Slab<Double>(count: count)
    Philox(seed: 1, purpose: .weights).fillNormal(values.values)
    average.base.update(from: values.base, count: count)
    var expected = Array(values.values)
    var expectedAverage = expected
    var m = [Double](repeating: 0, count: count)
    var v = m
    for step in 1...5 {
      Philox(seed: 2, purpose: .weights, stream: UInt64(step)).fillNormal(gradients.values)
      let update = optimizer.update(
        values.base, gradients: gradients.base, step: step, rate: 0.01, scale: 0.5,
        average: (average.base, 0.9))
      // In parts that end anywhere.
      for part in [0..<7, 7..<7, 7..<20_003, 20_003..<20_006, 20_006..<count] { update.apply(to: part) }
      for index in (ranges + [decayed]).joined() {
        let g = 0.5 * gradients.base[index]
        m[index] = 0.9 * m[index] + 0.1 * g
        let divisor: Double
        switch kind {
        case .adamax:
          v[index] = max(0.999 * v[index], abs(g))
          divisor = v[index]
        case .adam:
          v[index] = 0.999 * v[index] + 0.001 * g * g
          divisor = v[index].squareRoot()
        }
        let bias = (1 - pow(0.999, Double(step))).squareRoot() / (1 - pow(0.9, Double(step)))
        if decayed.contains(index) { expected[index] -= 0.01 * decay * expected[index] }
        expected[index] -= 0.01 * bias * m[index] / (divisor + 1e-8)
        expectedAverage[index] = 0.9 * expectedAverage[index] + 0.1 * expected[index]
      }
    }
    #expect((0..<count).allSatisfy { abs(values.base[$0] - expected[$0]) < 1e-12 })
    #expect((0..<count).allSatisfy { abs(average.base[$0] - expectedAverage[$0]) < 1e-12 })
  }

  @Test("filters decay, or their lengths where they are normalized; nothing else does")
  func decayed() throws {
    func names(_ change: (inout GlowConfiguration) -> Void) throws -> [String] {
      var model = GlowConfiguration()
      (model.levels, model.depth, model.classCount) = (2, 1, 3)
      change(&model)
      return try model.parameters().entries.filter { $0.role == .decayed }.map(\.name)
    }
    let glow = try names { $0.dequantizerWidth = 8 }
    #expect(glow.contains { $0.hasPrefix("dequantizer") })
    #expect(
      glow.filter { $0.hasPrefix("level0") } == [
        "level0.step0.coupling.conv1.weight", "level0.step0.coupling.conv2.weight",
        "level0.step0.coupling.conv3.weight",
        "level0.split.conv.weight",
      ], "\(glow)")
    let real = try names {
      ($0.architecture, $0.learnsTopPrior, $0.classCount) = (.realNVP, false, 0)
    }
    #expect(!real.isEmpty && real.allSatisfy { $0.hasSuffix(".weight_g") }, "\(real)")
  }

  @Test("the rate rises linearly during the warm-up and then stays")
  func warmup() {
    var configuration = TrainingConfiguration()
    configuration.batch = 10
    configuration.learningRate = 2
    #expect(configuration.rate(ofStep: 5, imageCount: 100) == 1)
    #expect(configuration.rate(ofStep: 50, imageCount: 100) == 2)
    #expect(configuration.averageDecay(ofStep: 1) == 2.0 / 11)
    #expect(configuration.averageDecay(ofStep: 1_000_000) == 0.999)
    configuration.warmupEpochs = 0
    #expect(configuration.rate(ofStep: 1, imageCount: 100) == 2)
    configuration.warmupSteps = 4
    #expect(configuration.rate(ofStep: 1, imageCount: 100) == 0.5)
    #expect(configuration.rate(ofStep: 4, imageCount: 100) == 2)
  }

  @Test("the rate falls to its last value", arguments: RateSchedule.allCases)
  func schedule(kind: RateSchedule) {
    var configuration = TrainingConfiguration()
    configuration.learningRate = 3
    configuration.warmupSteps = 100
    configuration.steps = 500
    configuration.schedule = kind
    configuration.finalRate = 0.25
    func rate(_ step: Int) -> Double { configuration.rate(ofStep: step, imageCount: 1) / 3 }
    #expect(rate(50) == 0.5 && rate(100) == 1)
    let quarter = [
      RateSchedule.constant: 1, .cosine: 0.25 + 0.75 * (1 + 0.5.squareRoot()) / 2, .linear: 0.8125,
      .exponential: 0.5.squareRoot(),
    ]
    #expect(abs(rate(200) - quarter[kind]!) < 1e-12)
    let last = kind == .constant ? 1 : 0.25
    #expect(abs(rate(500) - last) < 1e-12)
    // A run that has been made longer by hand may pass its end.
    #expect(rate(501) == rate(500))
    // A warm-up that is longer than the run never ends.
    configuration.warmupSteps = 1000
    #expect(rate(500) == 0.5)
  }

  @Test("an average over images is the same for any batch")
  func average() {
    var configuration = TrainingConfiguration()
    for batch in [1, 16, 64] {
      configuration.batch = batch
      configuration.averageImages = 16_000
      let decay = configuration.averageDecay(ofStep: 1_000_000_000)
      #expect(abs(pow(decay, 16_000 / Double(batch)) - exp(-1)) < 1e-9)
      configuration.averageDecay = 0.5
      #expect(configuration.averageImages == nil && configuration.averageDecay(ofStep: 1000) == 0.5)
    }
  }
}
