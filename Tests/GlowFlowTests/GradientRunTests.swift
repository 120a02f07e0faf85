import GlowKernels
import Testing

@testable import GlowFlow

@Suite("Backward in runs")
struct GradientRunTests {
  enum Kind: CaseIterable { case conditional, dequantizing, realNVP }

  private func model(_ kind: Kind, _ cut: Cut) throws -> SmallModel {
    switch kind {
    case .conditional:
      try SmallModel({ ($0.levels, $0.depth, $0.classCount) = (2, 3, 3) }, cut: cut, threads: 3)
    case .dequantizing:
      try SmallModel({ ($0.levels, $0.depth, $0.bits, $0.dequantizerWidth) = (2, 2, 2, 5) }, cut: cut)
    case .realNVP: try RealNVPLayerTests.model(cut, scales: 2, .batch)
    }
  }

  @Test(
    "wherever a level is cut, the gradient is the same to the bit, whole, and final when it is said to be",
    arguments: Kind.allCases, [Cut.groups, .bands])
  func cuts(kind: Kind, cut: Cut) throws {
    let model = try model(kind, cut)
    let (glow, workspace) = (model.glow, model.workspace)
    let (architecture, gradient) = (glow.architecture, glow.foldedGradient!.values)
    // Between matrices and vectors there are gaps, in which anything may stand.
    let places = architecture.foldables.flatMap { placed in
      let gradient = glow.weightGradient(of: placed.index)
      let matrices = placed.needs.weights.matrices.map {
        (gradient[$0].base, $0.rows * $0.columns)
      }
      let vectors = placed.needs.weights.vectors.map { (gradient[$0], $0.count) }
      return (matrices + vectors).flatMap { base, count in
        let start = base - glow.foldedGradient!.base
        return Array(start..<start + count)
      }
    }
    let images = model.randomImages()
    func bits(in values: Range<Int>) -> [UInt64] {
      places.filter(values.contains).map { gradient[$0].bitPattern }
    }
    func pullBack(_ runs: [GradientRun], whenFinal: (Range<Int>) -> Void = { _ in }) {
      gradient.update(repeating: 7)
      workspace.images.update(from: images, count: images.count)
      glow.pass(workspace, count: model.images, labels: model.labels, normalization: .batch)
      for image in 0..<model.images { workspace.setLikelihoodWeight(0.5, image: image) }
      glow.pullBack(
        workspace, classifierWeight: 0.3, imageGradient: nil, runs: runs, whenFinal: whenFinal)
    }
    pullBack(architecture.levelRuns)
    let whole = bits(in: gradient.indices)
    for size in [1, 200, 1000] {
      let runs = GradientRun.all(architecture.levels, architecture.classifier, size: size)
      #expect(size > 1 || runs.count > 2 * architecture.levelRuns.count)
      var told: [(values: Range<Int>, bits: [UInt64])] = []
      pullBack(runs) { told.append(($0, bits(in: $0))) }
      #expect(bits(in: gradient.indices) == whole, "runs of \(size)")
      #expect(told.allSatisfy { bits(in: $0.values) == $0.bits }, "runs of \(size)")
      // Each value is in one of them.
      #expect(places.allSatisfy { place in told.count { $0.values.contains(place) } == 1 }, "runs of \(size)")
    }
  }
}
