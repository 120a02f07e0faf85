import Foundation
import GlowKernels
import Testing

@testable import GlowFlow
@testable import GlowTraining

@Suite("Optimizers, against the formulas written out")
struct OptimizerTests {
  @Test("five updates with a moving average and weight decay", arguments: OptimizerKind.allCases, [0, 0.3])
  func updates(kind: OptimizerKind, decay: Double) throws {
    // What decays, and what is learned without, with a gap that must stay as it is, and filters at the end.
    var parameters = ParameterList()
    _ = parameters.add("first", [20_001])
    _ = parameters.add("gap", [4], .fixed)
    _ = parameters.add("lengths", [9_995], .decayed)
    _ = parameters.add("second", [10_000])
    let filters = [
      parameters.count..<parameters.count + 360, parameters.count + 360..<parameters.count + 426,
    ]
    _ = parameters.add("tall", [3, 3, 5, 8], .decayed)
    _ = parameters.add("wide", [6, 11], .decayed)
    let count = parameters.count
    let optimizer = try Optimizer<Double>(kind, parameters: parameters, weightDecay: decay)
    let team = ThreadTeam(count: 2)
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
      update.applyToFilters(on: team)
      // In parts that end anywhere.
      for part in [0..<7, 7..<7, 7..<20_003, 20_003..<20_006, 20_006..<count] { update.apply(to: part) }
      let bias = (1 - pow(0.999, Double(step))).squareRoot() / (1 - pow(0.9, Double(step)))
      // What is taken from each value.
      var change = m
      for index in parameters.trainableRanges.joined() {
        let g = 0.5 * gradients.base[index]
        m[index] = 0.9 * m[index] + 0.1 * g
        switch kind {
        case .adamax:
          v[index] = max(0.999 * v[index], abs(g))
          change[index] = bias * m[index] / (v[index] + 1e-8)
        case .adam, .muon:
          v[index] = 0.999 * v[index] + 0.001 * g * g
          change[index] = bias * m[index] / (v[index].squareRoot() + 1e-8)
        }
      }
      if kind == .muon {
        for (range, columns) in zip(filters, [8, 11]) {
          let direction = orthogonalized(
            range.map { 0.9 * m[$0] + 0.1 * 0.5 * gradients.base[$0] }, columns: columns)
          let factor = 0.2 * Double(max(columns, range.count / columns)).squareRoot()
          for (index, value) in zip(range, direction) { change[index] = factor * value }
        }
      }
      for index in parameters.trainableRanges.joined() {
        if parameters.ranges(of: .decayed).contains(where: { $0.contains(index) }) {
          expected[index] -= 0.01 * decay * expected[index]
        }
        expected[index] -= 0.01 * change[index]
        expectedAverage[index] = 0.9 * expectedAverage[index] + 0.1 * expected[index]
      }
    }
    #expect((0..<count).allSatisfy { abs(values.base[$0] - expected[$0]) < 1e-12 })
    #expect((0..<count).allSatisfy { abs(average.base[$0] - expectedAverage[$0]) < 1e-12 })
  }

  /// Three iterations of X ← X·(a·I + b·XᵀX + c·(XᵀX)²) of a matrix over its norm, without turning it.
  private func orthogonalized(_ matrix: [Double], columns: Int) -> [Double] {
    let rows = matrix.count / columns
    let norm = matrix.reduce(0) { $0 + $1 * $1 }.squareRoot()
    var x = matrix.map { $0 / norm }
    for (a, b, c) in [
      (8.09337, -23.62043, 17.44615), (3.63659, -2.72193, 0.53655), (2.6613, -1.97715, 0.45262),
    ] {
      let gram = product(x, x, rows: columns, inner: rows, columns: columns, transposeFirst: true)
      let once = product(x, gram, rows: rows, inner: columns, columns: columns)
      let twice = product(once, gram, rows: rows, inner: columns, columns: columns)
      x = x.indices.map { a * x[$0] + b * once[$0] + c * twice[$0] }
    }
    return x
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
    #expect(glow.filter { $0.hasPrefix("top") } == ["top.prior.weight"], "\(glow)")
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

  @Test("a run with Muon that stops and goes on, and one with other threads, come to the same bytes")
  func muon() throws {
    let runs = Runs()
    defer { runs.remove() }
    func trainer(_ name: String, steps: Int, threads: Int) throws -> Trainer {
      try runs.trainer(name, steps: steps, threads: threads) {
        $0.training.optimizer = .muon
        $0.training.checkpointEvery = 3
      }
    }
    let whole = try trainer("whole", steps: 6, threads: 1)
    #expect(try whole.run() == .finished)
    _ = try trainer("parts", steps: 3, threads: 2).run()
    let second = try trainer("parts", steps: 6, threads: 3)
    try second.resume()
    #expect(try second.run() == .finished)
    #expect(try runs.bytes(whole.folder.checkpoint(6)) == runs.bytes(second.folder.checkpoint(6)))
  }

  @Test("a run does not go on with another optimizer, to which its moments mean nothing")
  func another() throws {
    let runs = Runs()
    defer { runs.remove() }
    func trainer(_ optimizer: OptimizerKind, steps: Int) throws -> Trainer {
      try runs.trainer("run", steps: steps) { $0.training.optimizer = optimizer }
    }
    for former in OptimizerKind.allCases {
      _ = try trainer(former, steps: 2).run()
      let bytes = try runs.bytes(trainer(former, steps: 4).folder.checkpoint(2))
      for kind in OptimizerKind.allCases where kind != former {
        let other = try trainer(kind, steps: 4)
        let error = #expect(throws: TrainingError.self) { try other.resume() }
        #expect(
          error?.description.contains("the moments of \(former), which mean nothing to \(kind)") == true)
        #expect(try runs.bytes(other.folder.checkpoint(2)) == bytes)
      }
      let same = try trainer(former, steps: 4)
      try same.resume()
      #expect(try same.run() == .finished)
      runs.remove()
    }
  }

  @Test("what a run has by itself: Muon where there are filters, Adam and a low rate where there are none")
  func recommended() {
    var glow = TrainingConfiguration.recommended()
    let real = TrainingConfiguration.recommended(for: .realNVP)
    #expect(
      glow.optimizer == .muon && glow.learningRate == 5e-3 && glow.decayTimesSteps == 1600
        && glow.clipRatio == 1.5)
    #expect(real.optimizer == .adam && real.learningRate == 1e-3 && real.decay == 0 && real.clipRatio == 0)
    let other = TrainingConfiguration.recommended(optimizer: .adamax)
    #expect(other.optimizer == .adamax && other.decay == 0 && other.clipRatio == 0)
    glow.steps = 4000
    #expect(glow.decay == 0.4)
    // A short run.
    glow.steps = 100
    #expect(glow.decay == 2)
    // Of a low rate an update takes less off: 16·10⁻⁵ in place of a hundredth.
    glow.learningRate = 1e-5
    #expect(glow.decay == 16)
    // With another optimizer it is what was asked for.
    var asked = glow
    asked.optimizer = .adam
    #expect(asked.decay == 0)
    glow.weightDecay = 0.3
    #expect(glow.decay == 0.3)
  }

  @Test(
    "the memory that each thread needs besides is that of the largest filter, and of none without filters")
  func scratch() throws {
    #expect(Optimizer<Float>.scratchCount(ParameterList(), .muon) == 0)
    var configuration = GlowConfiguration()
    (configuration.levels, configuration.depth, configuration.width) = (1, 1, 16)
    let parameters = try configuration.parameters()
    // At least the first convolution of a network, 9 taps of 6 channels to 16.
    let largest = try #require(
      parameters.entries.filter(\.isFilter).map { ($0.count, $0.shape.last!) }.max { $0.0 < $1.0 })
    let (count, columns) = largest
    let side = min(columns, count / columns)
    #expect(
      count >= 9 * 6 * 16 && Optimizer<Float>.scratchCount(parameters, .muon) >= 3 * count + 3 * side * side)
    #expect(Optimizer<Float>.scratchCount(parameters, .adam) == 0)
  }

  @Test("Muon needs filters, which a RealNVP normalizes")
  func withoutFilters() throws {
    let runs = Runs()
    defer { runs.remove() }
    #expect {
      _ = try runs.trainer("run", steps: 3) {
        ($0.model.architecture, $0.model.blocks, $0.model.learnsTopPrior) = (.realNVP, 1, false)
        $0.training.optimizer = .muon
      }
    } throws: {
      "\($0)".contains("muon")
    }
  }
}
