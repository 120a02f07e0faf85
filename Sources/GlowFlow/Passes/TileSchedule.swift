import GlowKernels

/// The order in which a team works through the tiles of a level, one layer after the other.
///
/// Tiles of whole pictures need nothing of each other, so no layer waits for the end of the one before it (a wavefront
/// schedule), and each thread has tiles of its own, as far as none lags behind. Bands need their neighbors' halo, and
/// statistics of a batch all of its tiles: there all tiles leave a stage before any enters the next.
final class TileSchedule {
  let tiling: Tiling
  private let stages: [[Stage]]
  private let traffic: Traffic
  private let layersDone: Milestones
  private let wavefront: Wavefront

  /// - Parameter stages: of each layer, in the order of the pass.
  init(_ tiling: Tiling, stages: [[Stage]], _ traffic: Traffic = Traffic("tiles")) {
    self.tiling = tiling
    self.stages = stages
    self.traffic = traffic
    let count = tiling.tileCount
    let done = Milestones(count: count)
    layersDone = done
    wavefront = Wavefront(
      (0..<stages.count * count).map { .init(rank: $0 / count, line: $0 % count) }, lines: count,
      isReady: { done.has($0 % count, reached: $0 / count) })
  }

  /// Takes every tile through the stages of each layer.
  ///
  /// - Parameter visit: works at some stages of one tile and layer.
  func run(
    _ team: ThreadTeam,
    _ visit: (_ layer: Int, _ stages: ArraySlice<Stage>, _ tile: Tile, _ thread: Int) -> Void
  ) {
    let tileCount = tiling.tileCount
    if tiling.isStaged || tileCount == 1 {
      for (layer, stages) in stages.enumerated() {
        for place in stages.indices {
          team.run(stages[place].isOfBatch ? 1 : tileCount, as: plan(layer...layer)) { index, thread in
            visit(layer, stages[place...place], tiling.tile(index), thread)
          }
        }
      }
      return
    }
    layersDone.reset()
    team.run(wavefront, as: plan(0...stages.count - 1)) { piece, thread in
      let (layer, index) = piece.quotientAndRemainder(dividingBy: tileCount)
      visit(layer, stages[layer][...], tiling.tile(index), thread)
      layersDone.advance(index)
    }
  }

  /// What a trace is told of a run over some layers.
  private func plan(_ layers: ClosedRange<Int>) -> WorkPlan {
    let (tiling, traffic) = (tiling, traffic)
    let count = tiling.tileCount
    return WorkPlan(
      traffic.part, waits: { $0 < count ? [] : [$0 - count..<$0 - count + 1] },
      bytes: { traffic.bytes(layers.lowerBound + $0 / count, tiling.tile($0 % count).positions) })
  }
}

/// What passes between memory and the processor, for a trace of the work (`WorkTrace`).
struct Traffic: Sendable {
  /// What the trace calls the pass.
  let part: String
  /// Of each layer, in the order of the pass: bytes that a position takes.
  private let positions: [Int]

  init(_ part: String, positions: [Int] = []) { (self.part, self.positions) = (part, positions) }

  func bytes(_ layer: Int, _ count: Int) -> Int { positions.isEmpty ? 0 : positions[layer] * count }
}
