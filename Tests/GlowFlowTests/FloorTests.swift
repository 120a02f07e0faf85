import Foundation
import GlowKernels
import Testing

@testable import GlowFlow

@Suite("The scale of the affine coupling near zero")
struct FloorTests {
  private let arguments = [-1e30, -200, -88, -71.5, -71, -70.5, -60, -3, 0, 30, 200]

  /// Scales of the arguments, and the logarithm of each as the log-determinant has it.
  private func scales<S: Scalar>(_: S.Type) -> (scales: [S], logarithms: [Double]) {
    var scales = arguments.map { S($0) }
    _ = AffineTransform.scale(&scales, count: scales.count)
    let logarithms = arguments.map { argument -> Double in
      var one = S(argument)
      return AffineTransform.scale(&one, count: 1)
    }
    return (scales, logarithms)
  }

  @Test("in Float and in Double it stays above zero, and the log-determinant is that of the scale itself")
  func positive() {
    func check<S: Scalar>(_: S.Type, tolerance: Double) {
      let (scales, logarithms) = self.scales(S.self)
      for (index, argument) in arguments.enumerated() {
        let expected = max(argument + 2, -69)
        #expect(scales[index] > S(1e-31), "h = \(argument)")
        #expect(abs(logarithms[index] - log(Double(scales[index]))) < tolerance, "h = \(argument)")
        #expect(
          abs(log(Double(scales[index])) - (expected - log1p(exp(expected)))) < tolerance || argument > 0)
      }
      #expect(scales[0] == scales[4] && scales[4] < scales[5])
    }
    check(Float.self, tolerance: 1e-5)
    check(Double.self, tolerance: 1e-12)
  }

  /// The transform's outputs of z2, and of a shift and an argument of the scale for each value.
  private func outputs<S: Scalar>(_ shift: [S]) -> [S] { shift + arguments.map { S($0) } }

  @Test("forward and inverse are finite and undo each other at every argument")
  func inverse() {
    func check<S: Scalar>(_: S.Type, tolerance: S) {
      let shift = arguments.indices.map { S($0) - 4 }
      let before = arguments.indices.map { 3 - S($0) / 2 }
      func transformed(_ z: [S], _ body: (Matrix<S>, UnsafeMutablePointer<S>) -> Void) -> [S] {
        var (z, outputs) = (z, outputs(shift))
        z.withUnsafeMutableBufferPointer { z in
          body(Matrix(z.baseAddress!, rows: 1, columns: z.count), &outputs)
        }
        return z
      }
      let z = transformed(before) { _ = AffineTransform().forward($0, $1, kept: nil) }
      #expect(z.allSatisfy { $0.isFinite })
      let back = transformed(z) { AffineTransform().inverse($0, $1) }
      for (found, expected) in zip(back, before) { #expect(abs(found - expected) <= tolerance) }
      // Latents that a sampler draws, of order 1, come back as finite values too.
      let drawn = transformed(arguments.map { _ in S(4) }) { AffineTransform().inverse($0, $1) }
      #expect(drawn.allSatisfy { $0.isFinite })
    }
    check(Float.self, tolerance: 1e-5)
    check(Double.self, tolerance: 1e-13)
  }

  @Test("the gradient is that of the function with its floor")
  func gradient() {
    let (z, shift, dy, weight) = (1.5, 0.25, 0.7, 0.3)
    func objective(_ h: Double) -> Double {
      var scale = h
      let logDeterminant = AffineTransform.scale(&scale, count: 1)
      return dy * (z + shift) * scale + weight * logDeterminant
    }
    for h in [-200.0, -72, -70, -40, -2, 1] {
      var scale = h
      _ = AffineTransform.scale(&scale, count: 1)
      var (output, gradient, network) = ((z + shift) * scale, dy, [0.0, 0.0])
      let kept = scale
      withUnsafeMutablePointer(to: &output) { output in
        withUnsafeMutablePointer(to: &gradient) { gradient in
          withUnsafeMutablePointer(to: &scale) { scale in
            network.withUnsafeMutableBufferPointer { network in
              AffineTransform().backward(
                TransformSite(
                  output: Matrix(output, rows: 1, columns: 1),
                  gradient: Matrix(gradient, rows: 1, columns: 1),
                  kept: Matrix(scale, rows: 1, columns: 1), logDeterminantGradient: weight,
                  outputGradient: Matrix(network.baseAddress!, rows: 1, columns: 2)))
            }
          }
        }
      }
      let expected = (objective(h + 1e-4) - objective(h - 1e-4)) / 2e-4
      #expect(abs(network[1] - expected) < 1e-8, "h = \(h): \(network[1]), expected \(expected)")
      #expect(gradient == dy * kept && network[0] == gradient)
    }
  }
}

@Suite("Diagnosis")
struct DiagnosisTests {
  private func model() throws -> SmallModel {
    let model = try SmallModel({
      $0.levels = 2
      $0.depth = 2
    })
    let images = model.randomInput().map { 0.1 * $0 }
    model.workspace.images.update(from: images, count: images.count)
    return model
  }

  private func set(_ model: SmallModel, _ name: String, to value: Double) throws {
    let entry = try #require(model.glow.parameters[name])
    for index in entry.range { model.glow.values.base[index] = value }
  }

  @Test("names the first place that is not finite")
  func firstNonFinite() throws {
    let fine = try model()
    let all = fine.glow.diagnose(fine.workspace, count: 2, gradients: fine.gradients.base)
    #expect(all.firstNonFinite == nil && all.largest.value > 0 && all.largest.place.hasPrefix("level"))
    fine.gradients.base[fine.glow.parameters["level1.step0.actnorm.bias"]!.offset] = .nan
    fine.gradients.base[fine.glow.parameters["level0.step0.actnorm.bias"]!.offset] = .infinity
    #expect(
      fine.glow.diagnose(fine.workspace, count: 2, gradients: fine.gradients.base).firstNonFinite
        == "the gradient of level1.step0.actnorm.bias")

    // exp(3·300) is infinite in Double, though the parameter is not.
    for (name, value, expected) in [
      ("level0.step1.coupling.conv3.bias", Double.nan, "the parameter level0.step1.coupling.conv3.bias"),
      ("level0.step1.coupling.conv3.logs", 300, "level0.step1, the coupling"),
      ("level1.step0.coupling.conv3.logs", 300, "level1.step0, the coupling"),
      ("level0.split.conv.logs", 300, "level0.split, its prior"),
    ] {
      let model = try self.model()
      try set(model, name, to: value)
      try model.glow.parametersChanged()
      #expect(model.glow.diagnose(model.workspace, count: 2).firstNonFinite == expected)
    }
    let images = try model()
    images.workspace.images[5] = .nan
    #expect(images.glow.diagnose(images.workspace, count: 2).firstNonFinite == "the images")
  }

  @Test("conditions of W and of the whole channel map")
  func conditions() throws {
    let model = try SmallModel()
    let c = model.glow.configuration.shape(ofLevel: 0).channels
    let weight = try #require(model.glow.parameters["level0.step0.invconv.weight"])
    for index in 0..<c * c {
      model.glow.values.base[weight.offset + index] = index % (c + 1) == 0 ? (index == 0 ? 1e-5 : 1) : 0
    }
    try set(model, "level0.step0.actnorm.logs", to: 0)
    model.glow.values.base[model.glow.parameters["level0.step0.actnorm.logs"]!.offset] = log(10) / 3
    try model.glow.parametersChanged()
    let map = try #require(model.glow.channelMapConditions().first)
    #expect(abs(map.mixingLogDeterminant - log(1e-5)) < 1e-9 && abs(map.logDeterminant - log(1e-4)) < 1e-9)
    #expect(abs(map.mixingCondition - 1e5) < 1 && abs(map.condition - 1e4) < 1)
  }
}
