import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

@Suite("What a model comes to does not depend on how a batch is cut or what memory there is")
struct CutTests {
  private func model(_ kind: NetworkKind, _ kernel: Int, _ cut: Cut) throws -> SmallModel {
    try SmallModel(
      {
        $0.network = kind
        $0.kernel = kernel
        $0.levels = 2
        $0.width = 13
      }, cut: cut)
  }

  private func expectEqual(_ found: [Double], _ expected: [Double], _ what: String) {
    let error = zip(found, expected).map { abs($0 - $1) / max(1, abs($1)) }.max()!
    #expect(found.count == expected.count && error < 1e-11, "\(what): \(error)")
  }

  /// A batch of 19 images in one tile and otherwise.
  private let cuts = [
    Cut(name: "one tile for four", images: 19, side: 12, tileRows: 256),
    Cut(name: "one picture a tile", images: 19, side: 12, tileRows: 36),
    Cut(name: "bands", images: 19, side: 12, tileRows: 24),
    Cut(name: "bands of one row", images: 19, side: 12, tileRows: 6),
  ]

  @Test("likelihoods and latents, in training and in inference", arguments: NetworkKind.allCases, [1, 3])
  func forward(kind: NetworkKind, kernel: Int) throws {
    var expected: [Double]?
    for cut in cuts {
      let model = try model(kind, kernel, cut)
      let images = model.randomInput().map { 0.2 * $0 }
      for purpose in [Purpose.training(keepsHidden: true), .training(keepsHidden: false), .inference] {
        let workspace = try model.glow.workspace(batch: cut.images, purpose: purpose)
        workspace.images.update(from: images, count: images.count)
        var found = model.glow.forward(workspace, count: cut.images).map(\.nats)
        for image in 0..<cut.images {
          var latents = [Double](repeating: 0, count: model.glow.latentCount)
          workspace.readLatents(image, into: &latents)
          found += latents
        }
        expectEqual(found, expected ?? found, "\(kind), kernel \(kernel), \(cut), \(purpose)")
        expected = found
      }
    }
  }

  @Test("data-dependent initialization", arguments: NetworkKind.allCases, [1, 3])
  func initialization(kind: NetworkKind, kernel: Int) throws {
    var expected: [Double]?
    for cut in cuts {
      let model = try model(kind, kernel, cut)
      let images = model.randomInput().map { 0.2 * $0 }
      let workspace = try model.glow.workspace(batch: cut.images, purpose: .inference)
      workspace.images.update(from: images, count: images.count)
      try model.glow.initialize(workspace, count: cut.images)
      let found = Array(model.glow.values.values)
      expectEqual(found, expected ?? found, "\(kind), kernel \(kernel), \(cut)")
      expected = found
    }
  }
}

/// Packed products alone share out gradients, in Float. Here a workspace that is booked as for them takes the same way in
/// Double.
