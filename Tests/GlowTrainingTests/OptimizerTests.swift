import Foundation
import GlowKernels
import GlowTraining
import Testing

@Suite("Optimizers, against the formulas written out")
struct OptimizerTests {
  @Test("five updates with a moving average", arguments: OptimizerKind.allCases)
  func updates(kind: OptimizerKind) throws {
    // Two ranges with a gap that must stay as it is.
    let count = 40_000
    let ranges = [0..<20_001, 20_005..<count]
    let optimizer = try Optimizer<Double>(kind, count: count, ranges: ranges)
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
      for index in ranges.joined() {
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
        expected[index] -= 0.01 * bias * m[index] / (divisor + 1e-8)
        expectedAverage[index] = 0.9 * expectedAverage[index] + 0.1 * expected[index]
      }
    }
    #expect((0..<count).allSatisfy { abs(values.base[$0] - expected[$0]) < 1e-12 })
    #expect((0..<count).allSatisfy { abs(average.base[$0] - expectedAverage[$0]) < 1e-12 })
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
