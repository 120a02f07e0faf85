import Foundation
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

/// The layer checks are in Double, where OpenBLAS makes the products. Here the same models run in Float with packed products,
/// beside Double, tensor by tensor.
@Suite(
  "Models with packed products",
  .needs("Tests of packed products", ProductKernels.best == .packed, lack: "they are not taken here"))
struct PackedModelTests {
  struct Kind: Sendable, CustomStringConvertible {
    let network: NetworkKind
    let kernel: Int
    let coupling: CouplingKind
    var width = 21
    var description: String { "\(network.rawValue) \(kernel) \(coupling.rawValue) \(width)" }

    /// So wide that gradients of weights are shared out where tiles are small.
    static let wide = Kind(network: .plain, kernel: 3, coupling: .affine, width: 384)

    static let all =
      CouplingKind.allCases.flatMap { coupling in
        [Kind(network: .plain, kernel: 3, coupling: coupling)]
          + [1, 3].map { Kind(network: .residual, kernel: $0, coupling: coupling) }
      } + [wide]
  }

  /// Tiles that go through a conditioner in several parts: of 512 rows and 256, the last not full, and bands.
  private static let cuts = [
    Cut(name: "whole images", images: 9, side: 16, tileRows: 256),
    Cut(name: "bands", images: 2, side: 36, tileRows: 200),
  ]

  private func configuration(_ kind: Kind, _ cut: Cut) -> GlowConfiguration {
    var configuration = GlowConfiguration()
    (configuration.imageHeight, configuration.imageWidth) = (cut.side, cut.side)
    (configuration.levels, configuration.depth, configuration.width) = (2, 2, kind.width)
    (configuration.network, configuration.kernel) = (kind.network, kind.kernel)
    configuration.coupling = kind.coupling
    return configuration
  }

  /// What a model comes to.
  private struct Results {
    var likelihoods: [Double] = []
    var latents: [Double] = []
    var images: [Double] = []
    var imageGradient: [Double] = []
    var gradients: [Double] = []
  }

  /// A model whose parameters all differ from zero, and from those of another `turn`.
  private func set<S: Scalar>(_ glow: Glow<S>, turn: UInt64) throws {
    for entry in glow.parameters.entries where entry.isTrainable {
      var values = [Double](repeating: 0, count: entry.count)
      values.withUnsafeMutableBufferPointer {
        Philox(seed: 11 + turn, purpose: .latents, stream: UInt64(entry.offset)).fillNormal($0)
      }
      // Couplings that stay near the identity, lest the inverse magnifies what rounding there is.
      let isLast = entry.name.contains(".conv3.") || entry.name.contains(".last.")
      let scale =
        isLast ? 0.01 : entry.name.hasSuffix("logs") ? 0.05 : entry.name.contains("invconv") ? 0.02 : 0.1
      for (index, value) in values.enumerated() { glow.values.base[entry.offset + index] += S(scale * value) }
    }
    try glow.parametersChanged()
  }

  private func results<S: Scalar>(_ glow: Glow<S>, _ workspace: Workspace<S>) throws -> Results {
    var results = Results()
    let (count, size) = (workspace.batch, glow.latentCount)
    var x = [Double](repeating: 0, count: count * size)
    x.withUnsafeMutableBufferPointer { Philox(seed: 3, purpose: .latents).fillNormal($0) }
    for index in x.indices { workspace.images[index] = S(0.2 * x[index]) }
    results.likelihoods = glow.forward(workspace, count: count).map(\.nats)
    var latents = [S](repeating: 0, count: count * size)
    latents.withUnsafeMutableBufferPointer { latents in
      for image in 0..<count { workspace.readLatents(image, into: latents.baseAddress! + image * size) }
    }
    results.latents = latents.map { Double($0) }
    if workspace.purpose != .inference {
      let gradients = try Slab<S>(count: glow.parameters.count)
      let imageGradient = try Slab<S>(count: count * size)
      let weights = (0..<count).map { 0.5 + Double($0 % 3) / 4 }
      try glow.backward(
        workspace, weights: weights, gradients: gradients.base, imageGradient: imageGradient.base)
      results.gradients = gradients.values.map { Double($0) }
      results.imageGradient = imageGradient.values.map { Double($0) }
    }
    workspace.setLatents(latents, count: count)
    try glow.inverse(workspace, count: count)
    results.images = (0..<count * size).map { Double(workspace.images[$0]) }
    return results
  }

  /// The largest difference over the largest value.
  private func error(_ found: ArraySlice<Double>, _ expected: ArraySlice<Double>) -> Double {
    zip(found, expected).map { abs($0 - $1) }.max()! / max(1e-30, expected.map(abs).max()!)
  }

  @Test("come to what they come to in Double", arguments: Kind.all, cuts)
  func beside(kind: Kind, cut: Cut) throws {
    let configuration = configuration(kind, cut)
    for keepsHidden in [true, false] {
      let purpose = Purpose.training(keepsHidden: keepsHidden)
      let team = ThreadTeam(count: 2, kernels: .packed)
      let packed = try Glow<Float>(configuration: configuration, seed: 7, team: team, tileRows: cut.tileRows)
      let double = try Glow<Double>(configuration: configuration, seed: 7, team: team, tileRows: cut.tileRows)
      #expect(packed.kernels == .packed && double.kernels == .openBLAS)
      let workspace = try packed.workspace(batch: cut.images, purpose: purpose)
      let reference = try double.workspace(batch: cut.images, purpose: purpose)
      let shares = workspace.levels.contains { $0.tiling.sharesGradients }
      #expect(shares == (kind.width == Kind.wide.width))
      // Twice, because weights are packed, transposed and inverted anew when they have changed.
      for turn in 0..<2 {
        try set(packed, turn: UInt64(turn))
        try set(double, turn: UInt64(turn))
        let (found, expected) = (try results(packed, workspace), try results(double, reference))
        #expect(error(found.likelihoods[...], expected.likelihoods[...]) < 1e-5)
        #expect(error(found.latents[...], expected.latents[...]) < 1e-4)
        #expect(error(found.images[...], expected.images[...]) < 1e-4)
        #expect(error(found.imageGradient[...], expected.imageGradient[...]) < 1e-3)
        for entry in packed.parameters.entries where entry.isTrainable {
          let error = error(found.gradients[entry.range], expected.gradients[entry.range])
          #expect(error < 2e-3, "\(entry.name): \(error)")
        }
      }
    }
  }

  @Test("have the same gradients to the bit with any number of threads, hidden activations kept or not")
  func threads() throws {
    let cut = Cut(name: "", images: 9, side: 16, tileRows: 256)
    func gradients(_ threads: Int, keepsHidden: Bool) throws -> [Double] {
      let glow = try Glow<Float>(
        configuration: configuration(Kind.wide, cut), seed: 7,
        team: ThreadTeam(count: threads, kernels: .packed), tileRows: cut.tileRows)
      try set(glow, turn: 0)
      let purpose = Purpose.training(keepsHidden: keepsHidden)
      return try results(glow, try glow.workspace(batch: cut.images, purpose: purpose)).gradients
    }
    let expected = try gradients(1, keepsHidden: true)
    for threads in [2, 3, 16] {
      #expect(try gradients(threads, keepsHidden: true) == expected, "\(threads) threads")
    }
    #expect(try gradients(2, keepsHidden: false) == expected)
  }

  @Test("do not depend on the size of tiles", arguments: Kind.all)
  func tiles(kind: Kind) throws {
    let cut = Cut(name: "", images: 5, side: 16, tileRows: 0)
    func bits(_ tileRows: Int) throws -> Results {
      let glow = try Glow<Float>(
        configuration: configuration(kind, cut), seed: 7, team: ThreadTeam(count: 2, kernels: .packed),
        tileRows: tileRows)
      try set(glow, turn: 0)
      return try results(glow, try glow.workspace(batch: cut.images, purpose: .inference))
    }
    let expected = try bits(256)
    for tileRows in [16, 24, 64, 100, 1024] {
      let found = try bits(tileRows)
      #expect(found.latents == expected.latents && found.images == expected.images, "\(tileRows) rows")
    }
  }
}
