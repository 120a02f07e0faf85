import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

@Suite("Batch normalization of a RealNVP's couplings, in Double")
struct InvertibleNormalizationTests {
  /// A RealNVP whose layer 2 normalizes the first coupling's output.
  private func model(_ cut: Cut, scales: Int = 1, _ normalization: Normalization) throws -> SmallModel {
    let model = try RealNVPLayerTests.model(cut, scales: scales, normalization) {
      $0.flowNormalization = .batch
    }
    #expect(model.glow.architecture.levels[0].layers[2].layer is InvertibleNormalization)
    return model
  }

  @Test("with the statistics that are kept, a layer like any other", arguments: Cut.all)
  func running(cut: Cut) throws {
    let model = try model(cut, .running)
    let report = try check(model.layer(2), at: model.randomInput())
    #expect(report.isAccepted, "\(report)")
  }

  // The log-determinant is then none of an image's Jacobian alone, and there is no inverse.
  @Test("with those of the batch, the gradient against finite differences through them", arguments: Cut.all)
  func batch(cut: Cut) throws {
    let model = try model(cut, .batch)
    let report = try check(model.layer(2), at: model.randomInput())
    #expect(report.inputGradient <= LayerReport.gradientTolerance, "\(report)")
  }

  @Test("what it puts out has mean 0 and variance v/(v + ε), and its log-determinant follows from v")
  func moments() throws {
    let model = try model(.groups, scales: 2, .batch)
    let layer = model.layer(2, level: 1)
    let input = model.randomInput()
    let channels = model.glow.architecture.levels[1].shape.channels
    func variances(_ values: [Double]) -> [Double] {
      let n = Double(values.count / channels)
      return (0..<channels).map { channel in
        let own = stride(from: channel, to: values.count, by: channels).map { values[$0] }
        let mean = own.reduce(0, +) / n
        return own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
      }
    }
    let (output, logDeterminants) = try layer.forward(input)
    let before = variances(input)
    for (channel, (v, after)) in zip(before, variances(output)).enumerated() {
      let mean = stride(from: channel, to: output.count, by: channels).reduce(0) { $0 + output[$1] }
      #expect(abs(mean) < 1e-10 && abs(after - v / (v + 1e-5)) < 1e-10)
    }
    let positions = Double(model.glow.architecture.levels[1].shape.positions)
    let expected = -0.5 * positions * before.reduce(0) { $0 + Elementary.log($1 + 1e-5) }
    #expect(logDeterminants.allSatisfy { abs($0 - expected) < 1e-10 * abs(expected) })
  }

  @Test("whole model, with the statistics that are kept", arguments: [1, 2])
  func wholeRunning(scales: Int) throws {
    let model = try model(.one, scales: scales, .running)
    let report = try check(model.whole(), at: model.randomImages())
    print("whole model of \(scales) scales, kept statistics: \(report)")
    #expect(report.isAccepted, "\(report)")
  }

  @Test("what training minimizes, with those of the batch", arguments: [1, 2])
  func wholeBatch(scales: Int) throws {
    let model = try model(.one, scales: scales, .batch)
    let report = try check(model.whole(), at: model.randomImages())
    print("whole model of \(scales) scales, statistics of the batch: \(report)")
    #expect(report.parameterGradient <= LayerReport.gradientTolerance, "\(report)")
    #expect(report.inputGradient <= LayerReport.gradientTolerance, "\(report)")
  }

  @Test("gradients that do not go through the statistics, or not through the log-determinant, are rejected")
  func wrong() throws {
    let model = try model(.one, .batch)
    let layer = model.layer(2)
    let backward = layer.backward
    var constant = layer
    constant.backward = { x, dy, dLogDeterminants in
      model.workspace.begin(count: model.images, normalization: .running)
      return try backward(x, dy, dLogDeterminants)
    }
    var withoutDeterminant = layer
    withoutDeterminant.backward = { x, dy, dLogDeterminants in
      try backward(x, dy, dLogDeterminants.map { _ in 0 })
    }
    for wrong in [constant, withoutDeterminant] {
      let report = try check(wrong, at: model.randomInput())
      #expect(report.inputGradient > 1e-3, "\(report)")
    }
  }

  @Test("statistics of a step are followed as those of the networks are")
  func follow() throws {
    let model = try model(.groups, .batch)
    _ = model.glow.forward(model.workspace, count: model.images, normalization: .batch)
    func kept(_ name: String) -> Double {
      model.glow.values.base[model.glow.parameters["scale0.checkerboard0.norm.\(name)"]!.offset]
    }
    let (mean, variance) = (kept("running_mean"), kept("running_var"))
    let output = UnsafeBufferPointer(
      start: model.workspace.levels[0].activations(at: 1), count: model.images * model.glow.latentCount)
    let n = Double(output.count)
    let batchMean = output.reduce(0, +) / n
    let batchVariance = output.reduce(0) { $0 + ($1 - batchMean) * ($1 - batchMean) } / (n - 1)
    model.glow.followStatistics(model.glow.statistics(of: model.workspace))
    #expect(abs(kept("running_mean") - (0.9 * mean + 0.1 * batchMean)) < 1e-12)
    #expect(abs(kept("running_var") - (0.9 * variance + 0.1 * batchVariance)) < 1e-12)
  }

  @Test("no Glow has it")
  func refused() {
    var configuration = GlowConfiguration()
    configuration.flowNormalization = .batch
    #expect(throws: ConfigurationError.self) { try configuration.validate() }
    configuration.architecture = .realNVP
    #expect(throws: Never.self) { try configuration.validate() }
  }
}
