import Foundation
import GlowKernels
import Testing

@testable import GlowFlow

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
