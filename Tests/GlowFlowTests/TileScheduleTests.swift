import Glibc
import GlowKernels
import Synchronization
import Testing

@testable import GlowFlow

@Suite("Order of the tiles")
struct TileScheduleTests {
  /// 11 pictures of 4×4 positions, in tiles of pictures or of bands of 2 rows.
  private func tiling(inBands: Bool) -> Tiling { tiling(batch: 11, rows: inBands ? 8 : 32) }

  private func tiling(batch: Int, rows: Int) -> Tiling {
    .fitting(
      LevelShape(height: 4, width: 4, channels: 4), batch: batch,
      TileGrain(.training(keepsHidden: true), .best, rows: rows), products: [], Float.self)
  }

  private let stages = [Stage.start, .conditioner(round: 0), .finish]

  @Test("every tile goes through every stage of every layer once and in order", arguments: [false, true])
  func order(inBands: Bool) throws {
    let tiling = tiling(inBands: inBands)
    #expect(tiling.holdsWholeImages != inBands && tiling.tileCount == (inBands ? 22 : 6))
    let wrong = Atomic(0)
    let expected = (0..<5).flatMap { layer in stages.map { (layer, $0) } }
    let seen = try (0..<tiling.tileCount).map { _ in try Slab<Double>(count: 1) }
    TileSchedule(tiling, stages: (0..<5).map { _ in stages }).run(ThreadTeam(count: 3)) {
      layer, stages, tile, _ in
      let index = inBands ? tile.firstSlot : tile.firstImage / tiling.imagesPerTile
      // One tile is slow: the other threads come to its next layer while it is still in this one.
      if index == 0 { usleep(1000) }
      for stage in stages {
        let turn = Int(seen[index].base[0])
        if turn >= expected.count || expected[turn] != (layer, stage) { wrong.add(1, ordering: .relaxed) }
        seen[index].base[0] += 1
      }
    }
    #expect(wrong.load(ordering: .relaxed) == 0)
    #expect(seen.allSatisfy { $0.base[0] == Double(expected.count) })
  }

  @Test("a workspace has room for the parts of any smaller number of images", arguments: [16, 32, 64])
  func parts(targetRows: Int) {
    for batch in 1...150 {
      let tiling = tiling(batch: batch, rows: targetRows)
      #expect((1...batch).allSatisfy { 2 * tiling.resized(batch: $0).groupCount <= tiling.partCount })
      #expect((0..<tiling.groupCount).flatMap { tiling.tiles(ofGroup: $0) } == Array(0..<tiling.tileCount))
    }
  }

  @Test(
    "sums over tiles are those of one loop, whatever the number of threads", arguments: [false, true],
    [1, 2, 5])
  func sums(inBands: Bool, threads: Int) throws {
    let tiling = tiling(inBands: inBands)
    // More values than one block of a sum, and more steps than there are parts for.
    let (steps, count) = (4, 5000)
    func contribution(_ step: Int, _ tile: Tile, _ index: Int) -> Float {
      1 / Float(1 + step * 31 + tile.start * 7 + index)
    }
    let parts = try Slab<Float>(count: tiling.partCount * count)
    let sums = try Slab<Float>(count: steps * count)
    for index in parts.values.indices { parts.base[index] = .nan }
    // The first values of a part are a vector, which comes as zeros; the rest is overwritten by the first tile.
    var reservation = WeightReservation()
    let vector = reservation.vector(100)
    let schedule = SumSchedule(
      tiling, stages: (0..<steps).map { _ in stages },
      sums: (0..<steps).map { TileSum(offset: $0 * count, count: count, vectors: [vector]) })
    // A schedule is used again for every batch.
    for _ in 0..<2 {
      schedule.run(ThreadTeam(count: threads), into: sums.base, parts: parts.base) {
        step, stages, tile, part, _ in
        if !stages.contains(.finish) { return }
        if tile.firstImage == 0 { usleep(1000) }
        for index in 0..<count {
          let before = part.isEmpty && index >= vector.count ? 0 : part.base[index]
          part.base[index] = before + contribution(step, tile, index)
        }
      }
    }
    for step in 0..<steps {
      let expected = (0..<count).map { index in
        (0..<tiling.groupCount).reduce(Float(0)) { total, group in
          total
            + tiling.tiles(ofGroup: group).reduce(Float(0)) {
              $0 + contribution(step, tiling.tile($1), index)
            }
        }
      }
      #expect(Array(sums.values[step * count..<(step + 1) * count]) == expected, "step \(step)")
    }
  }
}
