import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

@Suite("Data-dependent initialization that is stopped")
struct StoppedInitializationTests {
  @Test("leaves the model as it was, at whatever layer it is stopped")
  func stopped() throws {
    let model = try SmallModel {
      $0.levels = 2
      $0.depth = 2
    }
    let images = model.randomInput().map { 0.2 * $0 }
    func likelihoods() -> [Double] {
      model.workspace.images.update(from: images, count: images.count)
      return model.glow.forward(model.workspace, count: model.images).map(\.nats)
    }
    let (values, expected) = (Array(model.glow.values.values), likelihoods())
    for layers in 0..<8 {
      var asked = 0
      model.workspace.images.update(from: images, count: images.count)
      let isDone = try model.glow.initialize(model.workspace, count: model.images) { _, _ in
        asked += 1
        return asked > layers
      }
      #expect(!isDone && !model.glow.isInitialized)
      #expect(Array(model.glow.values.values) == values && likelihoods() == expected, "\(layers) layers")
    }
    model.workspace.images.update(from: images, count: images.count)
    #expect(try model.glow.initialize(model.workspace, count: model.images) && model.glow.isInitialized)
    #expect(Array(model.glow.values.values) != values)
  }
}
