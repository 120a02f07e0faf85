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
    let images = model.randomImages()
    func pullBack(_ runs: [GradientRun], whenFinal: (Range<Int>) -> Void = { _ in }) -> [UInt64] {
      gradient.update(repeating: 7)
      workspace.images.update(from: images, count: images.count)
      glow.pass(workspace, count: model.images, labels: model.labels, normalization: .batch)
      for image in 0..<model.images { workspace.setLikelihoodWeight(0.5, image: image) }
      glow.pullBack(
        workspace, classifierWeight: 0.3, imageGradient: nil, runs: runs, whenFinal: whenFinal)
      return gradient.map(\.bitPattern)
    }
    let whole = pullBack(architecture.levelRuns)
    for size in [1, 200, 1000] {
      let runs = GradientRun.all(architecture.levels, architecture.classifier, size: size)
      #expect(size > 1 || runs.count > 2 * architecture.levelRuns.count)
      var told: [Range<Int>] = []
      var isFinal = true
      let found = pullBack(runs) { values in
        told.append(values)
        isFinal = isFinal && zip(gradient[values], whole[values]).allSatisfy { $0.bitPattern == $1 }
      }
      #expect(found == whole && isFinal, "runs of \(size)")
      // Each layer's gradient is in one of them, and no value in two.
      for placed in architecture.foldables where !placed.weights.isEmpty {
        let holding = told.filter { $0.overlaps(placed.weights) }
        #expect(holding.count == 1 && holding[0].clamped(to: placed.weights) == placed.weights)
      }
      let sorted = told.sorted { $0.lowerBound < $1.lowerBound }
      #expect(zip(sorted, sorted.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
    }
  }
}
