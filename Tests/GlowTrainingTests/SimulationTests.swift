import GlowFlow
import GlowKernels
import Testing

@testable import GlowTraining

@Suite("Simulation of threads")
struct SimulationTests {
  private typealias Piece = WorkTrace.Piece

  private func seconds(
    _ pieces: [WorkTrace.Piece], threads: Int, bandwidth: Double? = nil, launch: Double = 0
  ) -> Double {
    let pass = WorkTrace.Pass([WorkTrace.Run("part", before: 0, pieces)], after: 0)
    return ScheduleSimulation(pass, launch: launch).predict(threads: threads, bandwidth: bandwidth).seconds
  }

  @Test("pieces are taken in order, and a run ends with its last")
  func order() {
    let pieces = [3.0, 1, 1, 4].map { Piece(seconds: $0) }
    #expect(seconds(pieces, threads: 1) == 9)
    // The second thread does the two short ones and then the long one.
    #expect(seconds(pieces, threads: 2) == 6)
    #expect(seconds(pieces, threads: 3) == 5)
    #expect(seconds(pieces, threads: 100) == 4)
    #expect(seconds(pieces, threads: 100, launch: 0.5) == 4.5)
  }

  @Test("a thread takes the first piece that needs nothing more")
  func waits() {
    // Two lines of work; the second pieces of both wait for the first pieces.
    let pieces = [
      Piece(seconds: 5), Piece(seconds: 1), Piece(seconds: 1, waits: [0..<1]),
      Piece(seconds: 6, waits: [1..<2]), Piece(seconds: 2, waits: [0..<2, 2..<4]),
    ]
    // The third waits for the first until 5; the fourth goes from 1 to 7, and then the last.
    #expect(seconds(pieces, threads: 2) == 9)
    #expect(seconds(pieces, threads: 3) == 9)
    #expect(seconds(Array(pieces.dropLast()), threads: 2) == 7)
    #expect(seconds(Array(pieces.dropLast()), threads: 1) == 13)
  }

  @Test(
    "pieces at work together get the bytes a second that memory lets through, those that want little all of it"
  )
  func bandwidth() {
    let hungry = [Piece(seconds: 1, bytes: 10), Piece(seconds: 1, bytes: 10)]
    #expect(seconds(hungry, threads: 2) == 1)
    #expect(seconds(hungry, threads: 2, bandwidth: 20) == 1)
    #expect(abs(seconds(hungry, threads: 2, bandwidth: 10) - 2) < 1e-9)
    let mixed = [Piece(seconds: 1, bytes: 0), Piece(seconds: 1, bytes: 2), Piece(seconds: 1, bytes: 10)]
    // The last gets 5 − 2 until the others are done, then 5: 3 + 4·t = … 7 bytes at 5 a second are left.
    #expect(abs(seconds(mixed, threads: 3, bandwidth: 5) - (1 + 7.0 / 5)) < 1e-9)
  }

  @Test("what is lost, and how many threads a part feeds")
  func parts() throws {
    let pass = WorkTrace.Pass(
      [
        .init("wide", before: 1, (0..<4).map { _ in Piece(seconds: 1) }),
        .init("narrow", before: 0, [Piece(seconds: 1), Piece(seconds: 1, waits: [0..<1])]),
      ], after: 1)
    let prediction = ScheduleSimulation(pass, launch: 0).predict(threads: 4)
    #expect(prediction.seconds == 2 + 1 + 2)
    let parts = Dictionary(uniqueKeysWithValues: prediction.parts.map { ($0.name, $0) })
    #expect(parts["wide"]?.loss == 0 && parts["wide"]?.parallelism == 4 && parts["wide"]?.pieces == 4)
    #expect(parts["narrow"]?.loss == 1.5 / 5 && parts["narrow"]?.parallelism == 1)
    #expect(parts[ScheduleSimulation.alone]?.loss == 1.5 / 5)
  }

  @Test("of several records the medians of pieces count, and as a whole the fastest")
  func medians() {
    let passes = [[1.0, 6], [1, 9], [2, 4]].map { seconds in
      WorkTrace.Pass([.init("part", before: 0, seconds.map { Piece(seconds: $0) })], after: 1)
    }
    let typical = ScheduleSimulation.typical(passes)
    // Passes of 8, 11 and 7; medians of 1, 6 and 1.
    #expect(typical.runs[0].pieces.map(\.seconds) == [7.0 / 8, 42.0 / 8] && typical.after == 7.0 / 8)
  }

  @Test(
    "a record of a step has its pieces in the order of the schedule, and changes nothing", arguments: [1, 3])
  func record(threads: Int) throws {
    var configuration = GlowConfiguration()
    (configuration.levels, configuration.depth, configuration.width) = (2, 3, 8)
    (configuration.imageHeight, configuration.imageWidth) = (8, 8)
    let team = ThreadTeam(count: threads)
    let glow = try Glow<Float>(configuration: configuration, seed: 1, team: team)
    let count = 11
    let workspace = try glow.workspace(batch: count, purpose: .training(keepsHidden: true))
    let size = count * configuration.dimensions
    let images = UnsafeMutableBufferPointer(start: workspace.images, count: size)
    Philox(seed: 3, purpose: .dequantization).fillUniform(images)
    let gradients = try Slab<Float>(count: glow.parameters.count)
    let expected = try glow.objective(workspace, count: count, gradients: gradients.base)
    let expectedGradients = Array(gradients.values)

    let trace = WorkTrace(pieces: 10)
    team.trace = trace
    trace.begin()
    let objective = try glow.objective(workspace, count: count, gradients: gradients.base)
    let pass = trace.end()
    team.trace = nil
    #expect(objective.loss == expected.loss && Array(gradients.values) == expectedGradients)
    #expect(
      pass.runs.map(\.part) == [
        "forward, level 0", "forward, level 1", "backward, level 1", "backward, level 0",
        "backward of folding",
      ])
    for run in pass.runs {
      for (number, piece) in run.pieces.enumerated() {
        #expect(piece.seconds >= 0 && piece.bytes >= 0 && piece.waits.allSatisfy { $0.upperBound <= number })
      }
    }
    // Forward a tile waits for its own layer before; in backward the sums of a layer for all of its groups.
    let forward = pass.runs[0].pieces
    let tiles = forward.firstIndex { !$0.waits.isEmpty }!
    #expect(
      tiles > 1
        && forward.indices.dropFirst(tiles).allSatisfy { forward[$0].waits == [$0 - tiles..<$0 - tiles + 1] })
    let backward = pass.runs[3].pieces
    let groups = backward.firstIndex { !$0.waits.isEmpty }!
    #expect(groups > 1 && backward.last!.waits.contains { $0.count == groups })
  }
}
