import GlowFlow
import GlowKernels
import Testing

@Suite("Likelihoods of all classes")
struct ClassLikelihoodTests {
  @Test("are those that each class has by itself, to the bit", arguments: [true, false])
  func ofAllClasses(learnsTopPrior: Bool) throws {
    var configuration = GlowConfiguration()
    (configuration.imageHeight, configuration.imageWidth) = (16, 16)
    (configuration.levels, configuration.depth, configuration.width) = (2, 1, 8)
    configuration.classCount = 3
    configuration.learnsTopPrior = learnsTopPrior
    let glow = try Glow<Float>(configuration: configuration, seed: 1, team: ThreadTeam(count: 2))
    // Classes begin alike.
    let entry = try #require(glow.parameters["top.class_embedding.weight"])
    Philox(seed: 2, purpose: .latents, stream: 0).fillNormal(
      UnsafeMutableBufferPointer(start: glow.values.base + entry.offset, count: entry.count))
    try glow.parametersChanged()
    let workspace = try glow.workspace(batch: 5, purpose: .inference)
    let count = 5
    let images = UnsafeMutableBufferPointer(
      start: workspace.images, count: count * configuration.dimensions)
    func load() { Philox(seed: 3, purpose: .latents, stream: 1).fillUniform(images) }
    load()
    let all = glow.forwardOfAllClasses(workspace, count: count)
    #expect(all.count == 3)
    for (label, likelihoods) in all.enumerated() {
      load()
      let alone = glow.forward(workspace, count: count, labels: Array(repeating: label, count: count))
      for (one, other) in zip(likelihoods, alone) {
        #expect(one.priors == other.priors && one.logDeterminants == other.logDeterminants)
      }
    }
    #expect(all[0].map(\.nats) != all[1].map(\.nats))
  }
}
