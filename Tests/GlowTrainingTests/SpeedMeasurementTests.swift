import GlowFlow
import GlowKernels
import Testing

@testable import GlowTraining

@Suite("Speed")
struct SpeedMeasurementTests {
  private func measurement() throws -> SpeedMeasurement {
    var model = GlowConfiguration()
    (model.imageHeight, model.imageWidth) = (8, 8)
    (model.levels, model.depth, model.width) = (2, 1, 8)
    return try SpeedMeasurement(model, batch: 5, team: ThreadTeam(count: 2))
  }

  @Test("of a pass alone is that of the pass in the whole work")
  func passes() throws {
    let measurement = try measurement()
    for job in [SpeedMeasurement.Job.evaluate, .sample] {
      let prepared = try measurement.prepare(job)
      let workspace = prepared.workspace
      func found() -> [Float] {
        if job == .sample { return Array(UnsafeBufferPointer(start: workspace.images, count: 5 * 192)) }
        return (0..<5).flatMap { image in
          [Float](unsafeUninitializedCapacity: 192) { buffer, count in
            workspace.readLatents(image, into: buffer.baseAddress!)
            count = 192
          }
        }
      }
      try prepared.run()
      let first = found()
      try prepared.pass()
      #expect(found() == first && Set(first).count > 500, "\(job)")
    }
  }

  @Test("of training takes steps, and leaves the model where it was")
  func training() throws {
    let measurement = try measurement()
    let before = Array(measurement.glow.values.values)
    let result = try measurement.measure(.train, runs: 2)
    let after = Array(measurement.glow.values.values)
    #expect(result.imagesPerSecond > 0 && result.breakdown.contains { $0.name == "optimizer and folding" })
    #expect(before != after && zip(before, after).allSatisfy { abs($0 - $1) < 1e-7 })
  }
}
