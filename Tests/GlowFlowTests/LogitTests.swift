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

  @Test("the layer", arguments: Cut.all, [1e-6, 0.25])
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
    let (output, logDeterminants) = try model.layer(1).forward(pixels + pixels)
    var expected = 0.0
    for (pixel, value) in zip(pixels, output) {
      let p = margin + (1 - 2 * margin) * (pixel + 0.5)
      // 1 − p loses digits where p is next to 1.
      #expect(abs(value - (log(p) - log1p(-p))) < 1e-10)
      expected += log(1 - 2 * margin) - log(p) - log1p(-p)
    }
    for found in logDeterminants { #expect(abs(found - expected) < 1e-9) }
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
  }

  @Test("margins that cannot be are refused", arguments: [-0.1, 1e-7, 0.26, .nan, .infinity])
  func refused(margin: Double) {
    var configuration = GlowConfiguration()
    configuration.logit = margin
    let error = #expect(throws: ConfigurationError.self) { try configuration.validate() }
    #expect(error?.description == "logit must be 1e-6 to 0.25, or 0 for none, not \(margin)")
  }
}
