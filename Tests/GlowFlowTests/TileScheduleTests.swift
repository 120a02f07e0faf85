import Glibc
import GlowKernels
import Synchronization
import Testing

@testable import GlowFlow

@Suite("Order of the tiles")
struct TileScheduleTests {
  /// 11 pictures of 4×4 positions, in tiles of pictures or of bands of 2 rows.
  private func tiling(inBands: Bool) -> Tiling {
    Tiling(
      shape: LevelShape(height: 4, width: 4, channels: 4), batch: 11, purpose: .training(keepsHidden: true),
      targetRows: inBands ? 8 : 32, products: [], Float.self)
  }

  @Test("every tile goes through every phase of every step once and in order", arguments: [false, true])
  func order(inBands: Bool) {
    let tiling = tiling(inBands: inBands)
    #expect(tiling.holdsWholeImages != inBands && tiling.tileCount == (inBands ? 22 : 6))
    let wrong = Atomic(0)
    let expected = (0..<5).flatMap { step in (0..<3).map { (step, $0) } }
    let seen = (0..<tiling.tileCount).map { _ in Slab<Double>(count: 1) }
    tiling.forEachTile(ThreadTeam(count: 3), steps: 5, phases: 3) { step, phase, tile, _ in
      let index = inBands ? tile.firstSlot : tile.firstImage / tiling.imagesPerTile
      // One tile is slow: the other threads come to its next step while it is still in this one.
      if index == 0 { usleep(1000) }
      let turn = Int(seen[index].base[0])
      if turn >= expected.count || expected[turn] != (step, phase) { wrong.add(1, ordering: .relaxed) }
      seen[index].base[0] += 1
    }
    #expect(wrong.load(ordering: .relaxed) == 0)
    #expect(seen.allSatisfy { $0.base[0] == Double(expected.count) })
  }

  @Test("a workspace has room for the parts of any smaller number of images", arguments: [16, 32, 64])
  func parts(targetRows: Int) {
    for batch in 1...150 {
      let tiling = Tiling(
        shape: LevelShape(height: 4, width: 4, channels: 4), batch: batch,
        purpose: .training(keepsHidden: true),
        targetRows: targetRows, products: [], Float.self)
      #expect((1...batch).allSatisfy { 2 * tiling.resized(batch: $0).groupCount <= tiling.partCount })
      #expect((0..<tiling.groupCount).flatMap { tiling.tiles(ofGroup: $0) } == Array(0..<tiling.tileCount))
    }
  }

  @Test(
    "sums over tiles are those of one loop, whatever the number of threads", arguments: [false, true],
    [1, 2, 5])
  func sums(inBands: Bool, threads: Int) {
    let tiling = tiling(inBands: inBands)
    // More values than one block of a sum, and more steps than there are parts for.
    let (steps, count) = (4, 5000)
    func contribution(_ step: Int, _ tile: Tile, _ index: Int) -> Float {
      1 / Float(1 + step * 31 + tile.start * 7 + index)
    }
    let parts = Slab<Float>(count: tiling.partCount * count)
    let sums = (0..<steps).map { _ in Slab<Float>(count: count) }
    for index in parts.values.indices { parts.base[index] = .nan }
    tiling.sumOverTiles(
      ThreadTeam(count: threads), phases: 2, parts: parts.base, count: count, into: sums.map(\.base)
    ) { step, phase, tile, part, isFirst, _ in
      if phase == 1 { return }
      if tile.firstImage == 0 { usleep(1000) }
      for index in 0..<count {
        part[index] = (isFirst ? 0 : part[index]) + contribution(step, tile, index)
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
      #expect(Array(sums[step].values) == expected, "step \(step)")
    }
  }
}
