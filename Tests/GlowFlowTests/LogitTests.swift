import Foundation
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

@Suite("The logit of the images of a Glow, in Double against finite differences and a numerical Jacobian")
struct LogitTests {
  private func model(_ cut: Cut = .one, _ change: (inout GlowConfiguration) -> Void = { _ in }) throws
    -> SmallModel
  {
    try SmallModel(
      {
        $0.logit = 0.01
        change(&$0)
      }, cut: cut)
  }

  private func expectAccepted(_ layer: CheckedLayer, at input: [Double], _ what: String) throws {
    let report = try check(layer, at: input)
    print("\(layer.name), \(what): \(report)")
    #expect(report.isAccepted, "\(layer.name), \(what): \(report)")
  }

  @Test("the layer", arguments: Cut.all, [1e-5, 0.25])
  func layer(cut: Cut, margin: Double) throws {
    let model = try model(cut) { $0.logit = margin }
    try expectAccepted(model.layer(1), at: model.randomImages(), "margin \(margin), \(cut)")
  }

  @Test("the whole model", arguments: Cut.all)
  func whole(cut: Cut) throws {
    let model = try model(cut) { $0.depth = 2 }
    try expectAccepted(model.whole(), at: model.randomImages(), "\(cut)")
  }

  @Test("the whole model with a dequantizer, from uniform noise to latents")
  func dequantizer() throws {
    let model = try model {
      ($0.levels, $0.bits, $0.dequantizerWidth) = (2, 2, 5)
    }
    var report = try check(model.wholeFromUniformNoise(), at: model.noisyImages())
    // An image of any latents may end near the end of a cell, where digits are lost.
    report.forwardAfterInverse = 0
    #expect(report.isAccepted, "\(report)")
  }

  @Test("a gradient without that of the log-determinant is rejected")
  func withoutLogDeterminant() throws {
    let model = try model()
    var layer = model.layer(1)
    let backward = layer.backward
    layer.backward = { try backward($0, $1, $2.map { _ in 0 }) }
    let report = try check(layer, at: model.randomImages())
    #expect(report.inputGradient > 1e-3 && !report.isAccepted, "\(report)")
  }

  @Test("values and log-determinants are those of the definition, to the ends", arguments: [1e-5, 0.05])
  func definition(margin: Double) throws {
    let model = try model { $0.logit = margin }
    let pixels = (0..<16).map { Double($0) / 15 - 0.5 }
    let layer = model.layer(1)
    let (output, logDeterminants) = try layer.forward(pixels + pixels)
    let (dy, weights) = (model.randomInput(), [0.7, -1.3])
    let dx = try layer.backward(pixels + pixels, dy, weights)
    var expected = 0.0
    for (index, pixel) in pixels.enumerated() {
      let p = margin + (1 - 2 * margin) * (pixel + 0.5)
      // 1 − p loses digits where p is next to 1.
      #expect(abs(output[index] - (log(p) - log1p(-p))) < 1e-10)
      expected += log(1 - 2 * margin) - log(p) - log1p(-p)
      for (image, weight) in weights.enumerated() {
        let slope = (1 - 2 * margin) / (p * (1 - p))
        let gradient = slope * (dy[16 * image + index] + weight * (2 * p - 1))
        #expect(abs(dx[16 * image + index] / gradient - 1) < 1e-9)
      }
    }
    for found in logDeterminants { #expect(abs(found - expected) < 1e-9) }
    for (found, pixel) in zip(try layer.inverse(output), pixels + pixels) {
      #expect(abs(found - pixel) < 1e-12)
    }
  }

  @Test("in Float values at the ends come back within a hundredth of a level, with a finite likelihood")
  func ends() throws {
    var configuration = GlowConfiguration()
    (configuration.imageHeight, configuration.imageWidth, configuration.imageChannels) = (8, 8, 1)
    (configuration.levels, configuration.depth, configuration.width) = (2, 2, 8)
    configuration.logit = 1e-5
    let glow = try Glow<Float>(configuration: configuration, seed: 3)
    let workspace = try glow.workspace(batch: 2, purpose: .inference)
    let images = (0..<128).map { place -> Float in
      let noise = place % 5 == 0 ? Float(1).nextDown : Float(place % 7) / 7
      return ((place % 3 == 0 ? 255 : 0) + noise) / 256 - 0.5
    }
    workspace.images.update(from: images, count: images.count)
    try glow.initialize(workspace, count: 2)
    workspace.images.update(from: images, count: images.count)
    #expect(glow.forward(workspace, count: 2).allSatisfy { $0.nats.isFinite })
    let latents = (0..<2).flatMap { image in
      var own = [Float](repeating: 0, count: 64)
      workspace.readLatents(image, into: &own)
      return own
    }
    try glow.makeInverses()
    workspace.setLatents(latents, count: 2)
    try glow.inverse(workspace, count: 2)
    for (place, image) in images.enumerated() {
      #expect(abs(workspace.images[place] - image) < 0.01 / 256)
    }
  }

  @Test("without it a configuration is that of versions that had none, and with it both ways the same")
  func files() throws {
    var configuration = GlowConfiguration()
    func text() throws -> String { String(decoding: try JSONEncoder().encode(configuration), as: UTF8.self) }
    #expect(try !text().contains("logit"))
    configuration.logit = 1e-5
    let written = try text()
    #expect(written.contains("logit"))
    #expect(try JSONDecoder().decode(GlowConfiguration.self, from: Data(written.utf8)) == configuration)
    #expect(configuration.settings.contains { $0 == ("logit", "1e-05") })
    var other = configuration
    other.begin(.realNVP)
    #expect(!other.has(.logit))
    other.begin(.glow)
    #expect(other.logit == 0)
    other.begin(.realNVP)
    other.logit = 0.05
    let error = #expect(throws: ConfigurationError.self) { try other.validate() }
    #expect(error?.description == "a RealNVP has a logit of its own")
  }

  @Test("margins that cannot be are refused", arguments: [-0.1, 1e-6, 0.26, .nan, .infinity])
  func refused(margin: Double) {
    var configuration = GlowConfiguration()
    configuration.logit = margin
    let error = #expect(throws: ConfigurationError.self) { try configuration.validate() }
    #expect(error?.description == "logit must be 1e-5 to 0.25, or 0 for none, not \(margin)")
  }
}
