import Foundation
import GlowKernels
import GlowTraining
import Testing

@testable import GlowFlow
@testable import GlowStorage

@Suite("Training steps of the original implementation")
struct TrajectoryTests {
  @Test(
    "20 steps of adamax on one batch: losses and final weights",
    arguments: Reference.all.filter { !$0.isDouble })
  func trajectory(reference: Reference) throws {
    try follow(ReferenceRun<Double>(reference))
    try follow(ReferenceRun<Float>(reference))
  }

  private func follow<S: Scalar>(_ run: ReferenceRun<S>) throws {
    let glow = run.glow
    let expected = try run.expected("trajectory.loss")
    #expect(expected.count == 20)
    let optimizer = try Optimizer<S>(.adamax, parameters: glow.parameters)
    let gradients = try Slab<S>(count: glow.parameters.count)
    var losses: [Double] = []
    for step in 1...expected.count {
      run.workspace.images.update(from: run.images, count: run.images.count)
      losses.append(
        try glow.objective(run.workspace, count: run.count, labels: run.labels, gradients: gradients.base)
          .loss)
      let change = optimizer.update(glow.values.base, gradients: gradients.base, step: step, rate: 1e-3)
      try glow.parametersChanged(by: change.apply)
    }
    let lossError = zip(losses, expected).map { abs($0 - $1) / abs($1) }.max()!

    let final = try finalWeights(run)
    var worst = (error: 0.0, name: "")
    for entry in glow.parameters.entries where entry.isTrainable {
      let found = entry.range.map { Double(glow.values.base[$0]) }
      let error = relativeError(found, entry.range.map { Double(final.values.base[$0]) })
      if error > worst.error { worst = (error, entry.name) }
    }
    print(
      "\(run.reference.name) in \(S.self), 20 steps: losses within \(lossError), final weights within \(worst.error) (\(worst.name))"
    )
    #expect(lossError <= 2e-6)
    // Adamax divides by gradients that, near zero, are the reference's rounding in float32.
    #expect(worst.error <= 6e-4)
  }

  /// The reference's weights after the last step, read as a model.
  private func finalWeights<S: Scalar>(_ run: ReferenceRun<S>) throws -> Glow<S> {
    let prefix = "trajectory.final_weight."
    var writer = SafetensorsWriter()
    for entry in run.file.entries where entry.name.hasPrefix("weight.") {
      let final = prefix + entry.name.dropFirst("weight.".count)
      let source = run.file[final] == nil ? entry.name : final
      writer.add(entry.name, shape: entry.shape, values: try run.file.values(source, as: Double.self))
    }
    let path = FileManager.default.temporaryDirectory.appending(path: "glow-trajectory-\(UUID()).safetensors")
      .path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try writer.write(to: path)
    return try ModelImport.read(
      path, from: run.reference.format, imageSize: run.reference.imageSize, bits: run.reference.bits,
      team: ThreadTeam(count: 2))
  }
}
