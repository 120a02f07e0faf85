import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

@Suite("The checker rejects what is wrong")
struct CheckerTests {
  @Test(
    "a gradient scaled by 1.01, of a large parameter and of a small one",
    arguments: ["conv2.weight", "conv3.logs"])
  func scaledGradient(name: String) throws {
    let model = try SmallModel()
    var layer = model.layer(1)
    let backward = layer.backward
    layer.backward = { x, dy, dLogDeterminants in
      let before = Array(layer.gradients)
      let dx = try backward(x, dy, dLogDeterminants)
      let weight = model.glow.parameters["level0.step0.coupling.\(name)"]!
      for index in weight.range {
        layer.gradients[index] = before[index] + 1.01 * (layer.gradients[index] - before[index])
      }
      return dx
    }
    let report = try check(layer, at: model.randomInput())
    #expect(report.parameterGradient > 1e-3 && !report.isAccepted, "\(report)")
  }

  @Test("a transposed gradient of W")
  func transposedGradient() throws {
    let model = try SmallModel()
    var layer = model.layer(1)
    let backward = layer.backward
    layer.backward = { x, dy, dLogDeterminants in
      let before = Array(layer.gradients)
      let dx = try backward(x, dy, dLogDeterminants)
      let weight = model.glow.parameters["level0.step0.invconv.weight"]!
      let added = weight.range.map { layer.gradients[$0] - before[$0] }
      let n = weight.shape[0]
      for i in 0..<n {
        for j in 0..<n {
          layer.gradients[weight.offset + i * n + j] = before[weight.offset + i * n + j] + added[j * n + i]
        }
      }
      return dx
    }
    let report = try check(layer, at: model.randomInput())
    #expect(report.parameterGradient > 1e-3 && !report.isAccepted, "\(report)")
  }

  @Test("a log-determinant off by a factor H·W")
  func logDeterminant() throws {
    let model = try SmallModel()
    var layer = model.layer(1)
    let forward = layer.forward
    layer.forward = { x in
      let (output, logDeterminants) = try forward(x)
      let positions = Double(model.glow.configuration.shape(ofLevel: 0).positions)
      return (output, logDeterminants.map { $0 / positions })
    }
    let report = try check(layer, at: model.randomInput())
    #expect(report.logDeterminant > 1e-3 && !report.isAccepted, "\(report)")
  }

  @Test("an input gradient that is scaled, an inverse that is off, a backward that overwrites")
  func others() throws {
    let model = try SmallModel()
    let input = model.randomInput()
    var layer = model.layer(1)
    let (backward, inverse) = (layer.backward, layer.inverse)
    layer.backward = { try backward($0, $1, $2).map { 1.01 * $0 } }
    #expect(try check(layer, at: input).inputGradient > 1e-3)
    layer.backward = { x, dy, dLogDeterminants in
      layer.gradients.update(repeating: 0)
      return try backward(x, dy, dLogDeterminants)
    }
    #expect(try check(layer, at: input).accumulation > 0.1)
    layer.backward = backward
    layer.inverse = { try inverse($0).map { $0 + 1e-6 } }
    #expect(try check(layer, at: input).inverseAfterForward > 1e-7)
  }
}
