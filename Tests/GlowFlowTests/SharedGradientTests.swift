import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

@Suite("Gradients of wide weights that are shared out by blocks")
struct SharedGradientTests {
  /// Three blocks of outputs and of inputs; three tiles, the last not full.
  private static let cut = Cut(name: "tiles of two pictures", images: 5, side: 8, tileRows: 256)
  private static let tolerance = 1e-12

  private let model: SmallModel
  private let shared: Workspace<Double>

  init() throws {
    model = try SmallModel({ $0.width = 384 }, cut: Self.cut)
    shared = try Self.sharing(model, .training(keepsHidden: true))
  }

  private static func sharing(_ model: SmallModel, _ purpose: Purpose) throws -> Workspace<Double> {
    let plan = WorkspacePlan<Double>(
      model.glow.architecture, dimensions: model.glow.latentCount, batch: cut.images, purpose: purpose,
      grain: TileGrain(purpose, .packed))
    let workspace = try Workspace(plan, threads: model.glow.team.count)
    #expect(workspace.levels.contains { $0.tiling.sharesGradients && $0.tiling.tileCount == 3 })
    return workspace
  }

  /// Of all parameters, where each image has a weight.
  private func gradient(_ workspace: Workspace<Double>, _ weights: [Double]) throws -> [Double] {
    let images = model.randomImages()
    workspace.images.update(from: images, count: images.count)
    _ = model.glow.forward(workspace, count: model.images)
    let gradients = try Slab<Double>(count: model.glow.parameters.count)
    try model.glow.backward(workspace, weights: weights, gradients: gradients.base)
    return Array(gradients.values)
  }

  /// The largest difference over the root mean square, of the worst parameter.
  private func error(_ found: [Double], _ expected: [Double]) -> Double {
    model.glow.parameters.entries.filter(\.isTrainable).map { entry in
      let size = (entry.range.reduce(0) { $0 + expected[$1] * expected[$1] } / Double(entry.count))
        .squareRoot()
      return entry.range.map { abs(found[$0] - expected[$0]) }.max()! / max(size, 1e-300)
    }.max()!
  }

  private let weights = [0.5, 0.8, 1.1, 1.4, 1.7]

  @Test("are those that groups of tiles add up, kept and recomputed")
  func groups() throws {
    #expect(model.workspace.levels.allSatisfy { !$0.tiling.sharesGradients })
    let expected = try gradient(model.workspace, weights)
    let recomputed = try Self.sharing(model, .training(keepsHidden: false))
    for workspace in [shared, recomputed] {
      let error = try error(gradient(workspace, weights), expected)
      print("gradients by blocks beside those by groups: \(error)")
      #expect(error < Self.tolerance)
    }
  }

  @Test("agree with differences along a direction of each parameter, with which they change most")
  func differences() throws {
    let found = try gradient(shared, weights)
    let values = model.glow.values
    func objective() throws -> Double {
      try model.glow.parametersChanged()
      return zip(model.glow.forward(shared, count: model.images), weights).reduce(0) { $0 + $1.0.nats * $1.1 }
    }
    for entry in model.glow.parameters.entries where entry.isTrainable {
      let norm = entry.range.reduce(0) { $0 + found[$1] * found[$1] }.squareRoot()
      let before = entry.range.map { values.base[$0] }
      // Kinks lie within long steps, and short ones leave rounding alone.
      let error = try [1e-5, 1e-6, 1e-7].map { step in
        let f = try [-step, step].map { shift in
          for (place, index) in entry.range.enumerated() {
            values.base[index] = before[place] + shift * found[index] / norm
          }
          return try objective()
        }
        return abs((f[1] - f[0]) / (2 * step) / norm - 1)
      }.min()!
      for (place, index) in entry.range.enumerated() { values.base[index] = before[place] }
      print("\(entry.name) along its gradient: \(error)")
      #expect(error < 1e-6, "\(entry.name): \(error)")
    }
  }

  @Test("would differ if a block lacked a tile")
  func missingTile() throws {
    let expected = try gradient(shared, weights)
    let lacking = try gradient(shared, weights.dropLast() + [0])
    let weight = model.glow.parameters["level0.step0.coupling.conv2.weight"]!
    #expect(weight.count == 384 * 384)
    var found = expected
    for row in 128..<256 {
      for column in 256..<384 {
        let index = weight.offset + row * 384 + column
        found[index] = lacking[index]
      }
    }
    #expect(error(found, expected) > 1e-3)
  }
}
