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
      schedule.run(ThreadTeam(count: threads), into: sums.base, parts: parts.base) { task, _ in
        guard case .visit(let step, let stages, let tile, let part) = task, stages.contains(.finish) else {
          return
        }
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

  @Test("blocks cover a matrix once")
  func blocks() {
    var reservation = WeightReservation()
    for (rows, columns, cutsRows) in [(5, 3, true), (128, 128, true), (300, 216, true), (300, 512, false)] {
      let blocks = GradientBlock.blocks(of: reservation.matrix(rows, columns), cutsRows: cutsRows)
      var counts = [Int](repeating: 0, count: rows * columns)
      for block in blocks {
        for row in block.rows { for column in block.columns { counts[row * columns + column] += 1 } }
        #expect(block.rows == 0..<rows || cutsRows && block.rows.count <= 128)
      }
      #expect(counts.allSatisfy { $0 == 1 })
    }
  }

  @Test(
    "gradients that are shared out are made of all tiles in order, after the layer and before the next but one",
    arguments: [1, 2, 5])
  func shared(threads: Int) throws {
    let tiling = Tiling.fitting(
      LevelShape(height: 4, width: 4, channels: 4), batch: 11,
      TileGrain(.training(keepsHidden: true), .packed), products: [ProductShape(inner: 512, columns: 512)],
      Float.self)
    #expect(tiling.sharesGradients && tiling.groupCount == 6)
    let layers = 5
    var reservation = WeightReservation()
    let matrix = reservation.matrix(200, 100)
    let blocks = GradientBlock.blocks(of: matrix, cutsRows: true)
    let vector = reservation.vector(10)
    let count = reservation.count
    let sums = (0..<layers).map {
      TileSum(offset: $0 * count, count: count, vectors: [vector], shared: blocks)
    }
    let schedule = SumSchedule(tiling, stages: (0..<layers).map { _ in stages }, sums: sums)
    let (target, parts) = (
      try Slab<Float>(count: layers * count), try Slab<Float>(count: tiling.partCount * count)
    )
    // How many tiles have left each layer, and how many blocks of it have been made.
    let (left, made) = ((0..<layers).map { _ in Counter() }, (0..<layers).map { _ in Counter() })
    let wrong = Counter()
    for turn in 1...2 {
      schedule.run(ThreadTeam(count: threads), into: target.base, parts: parts.base) { task, _ in
        switch task {
        case .visit(let layer, _, let tile, let part):
          if layer >= 2 && made[layer - 2].value != turn * blocks.count { wrong.add() }
          if tile.firstImage == 0 { usleep(500) }
          part[vector][0] += 1
          left[layer].add()
        case .add(let layer, let block, let tile, let sum):
          if left[layer].value != turn * tiling.tileCount { wrong.add() }
          for row in block.rows {
            for column in block.columns {
              let place = sum[matrix][row] + column
              // In order: the number of the tiles so far, in the base of a number that is larger.
              place.pointee = sum.isEmpty ? 1 : place.pointee * 2 + Float(tiling.index(of: tile) % 2)
            }
          }
          if tiling.index(of: tile) == tiling.tileCount - 1 { made[layer].add() }
        }
      }
    }
    let expected = (1..<tiling.tileCount).reduce(Float(1)) { $0 * 2 + Float($1 % 2) }
    for layer in 0..<layers {
      let sum = Weights(base: target.base + layer * count)
      #expect(
        (0..<matrix.rows).allSatisfy { row in
          (0..<matrix.columns).allSatisfy { sum[matrix][row][$0] == expected }
        })
      #expect(sum[vector][0] == Float(tiling.tileCount))
    }
    #expect(wrong.value == 0)
  }

  @Test("a batch makes tiles enough, if they have enough to do")
  func fine() {
    func counts(_ batch: Int, width: Int, _ channels: Int, side: Int) -> [Int] {
      let products = [
        ProductShape(inner: 9 * channels / 2, columns: width), ProductShape(inner: width, columns: width),
        ProductShape(inner: width, columns: 9 * channels),
      ]
      let tiling = Tiling.fitting(
        LevelShape(height: side, width: side, channels: channels), batch: batch,
        TileGrain(.training(keepsHidden: true), .packed), products: products, Float.self)
      return [tiling.tileCount, tiling.groupCount]
    }
    for (batch, coarsest) in [(256, 64), (64, 32), (16, 8)] {
      #expect(counts(batch, width: 512, 24, side: 8) == [min(64, batch), min(64, batch)])
      #expect(counts(batch, width: 512, 48, side: 4) == [coarsest, coarsest])
    }
    #expect(counts(16, width: 128, 24, side: 8) == [16, 16])
    // Small networks: as many pictures as there is room for.
    #expect(counts(16, width: 16, 24, side: 8) == [4, 4])
  }
}

private final class Counter: Sendable {
  private let count = Atomic(0)
  var value: Int { count.load(ordering: .sequentiallyConsistent) }
  func add() { count.wrappingAdd(1, ordering: .sequentiallyConsistent) }
}
