import GlowKernels

/// The order in which a team works through the tiles of a level, one layer after the other.
///
/// Tiles of whole pictures need nothing of each other, so no layer waits for the end of the one before it (a wavefront
/// schedule): pieces of work are numbered layer by layer and taken in order, and a piece waits only for those it needs,
/// which were taken earlier and are nearly always done. Bands need their neighbors' halo, and statistics of a
/// batch all of its tiles: there all tiles leave a stage before any enters the next.
final class TileSchedule {
  let tiling: Tiling
  private let stages: [[Stage]]
  private let traffic: Traffic
  private let layersDone: Milestones

  /// - Parameter stages: of each layer, in the order of the pass.
  init(_ tiling: Tiling, stages: [[Stage]], _ traffic: Traffic = Traffic("tiles")) {
    self.tiling = tiling
    self.stages = stages
    self.traffic = traffic
    layersDone = Milestones(count: tiling.tileCount)
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
    team.run(stages.count * tileCount, as: plan(0...stages.count - 1)) { piece, thread in
      let (layer, index) = piece.quotientAndRemainder(dividingBy: tileCount)
      layersDone.wait(for: index, toReach: layer)
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

/// The same for sums over all tiles, such as gradients of weights (split-K partial sums): the tiles of a group are
/// taken in order by one thread and add to a part of the group's own; a layer's parts are then added up, in order.
final class SumSchedule {
  let tiling: Tiling
  private let stages: [[Stage]]
  private let sums: [TileSum]
  private let traffic: Traffic
  private let largest: Int
  private let order: [SumPiece]
  private let layersDone: Milestones
  private let groupsDone: Milestones
  private let blocksDone: Milestones

  /// - Parameters:
  ///   - stages: of each layer, in the order of the pass.
  ///   - sums: of each layer.
  init(_ tiling: Tiling, stages: [[Stage]], sums: [TileSum], _ traffic: Traffic = Traffic("sums")) {
    self.tiling = tiling
    self.stages = stages
    self.sums = sums
    self.traffic = traffic
    largest = sums.reduce(0) { max($0, $1.count) }
    order = SumPiece.order(groups: tiling.groupCount, blocks: sums.map(\.blockCount))
    layersDone = Milestones(count: tiling.groupCount)
    groupsDone = Milestones(count: sums.count)
    blocksDone = Milestones(count: sums.count)
  }

  /// - Parameters:
  ///   - target: where the sums go, at their offsets.
  ///   - parts: room for `Tiling.partCount` times the largest of the sums.
  ///   - visit: works at some stages of one tile and layer, and adds to the part.
  func run<S: Scalar>(
    _ team: ThreadTeam, into target: UnsafeMutablePointer<S>, parts: UnsafeMutablePointer<S>,
    _ visit: (
      _ layer: Int, _ stages: ArraySlice<Stage>, _ tile: Tile, _ part: Weights<S>, _ thread: Int
    ) -> Void
  ) {
    let groups = tiling.groupCount
    // While one layer's parts are being added up, the next layer fills others.
    func layerParts(_ layer: Int) -> UnsafeMutablePointer<S> {
      tiling.meetsBatch ? parts : parts + layer % 2 * groups * largest
    }
    func work(_ layer: Int, _ places: Range<Int>, _ group: Int, _ thread: Int) {
      let part = Weights(base: layerParts(layer) + group * sums[layer].count)
      if places.lowerBound == 0 { part.clear(sums[layer].vectors) }
      let tiles = tiling.tiles(ofGroup: group)
      for index in tiles {
        let part = Weights(base: part.base, isEmpty: index == tiles.lowerBound)
        visit(layer, stages[layer][places], tiling.tile(index), part, thread)
      }
    }
    func addUp(_ layer: Int, _ block: Int) {
      let sum = sums[layer]
      addParts(
        layerParts(layer), groups, stride: sum.count, sum.values(ofBlock: block), into: target + sum.offset)
    }
    if tiling.isStaged || groups == 1 {
      for layer in sums.indices {
        for place in stages[layer].indices {
          if stages[layer][place].isOfBatch {
            visit(layer, stages[layer][place...place], tiling.tile(0), Weights(base: layerParts(layer)), 0)
            continue
          }
          team.run(groups, as: plan { .group($0, layer: layer) }) { group, thread in work(layer, place..<place + 1, group, thread) }
        }
        team.run(sums[layer].blockCount, as: plan { .block($0, layer: layer) }) { block, _ in addUp(layer, block) }
      }
      return
    }
    layersDone.reset()
    groupsDone.reset()
    blocksDone.reset()
    team.run(order.count, as: wavefrontPlan()) { piece, thread in
      switch order[piece] {
      case .group(let group, let layer):
        layersDone.wait(for: group, toReach: layer)
        if layer >= 2 { blocksDone.wait(for: layer - 2, toReach: sums[layer - 2].blockCount) }
        work(layer, stages[layer].indices, group, thread)
        layersDone.advance(group)
        groupsDone.advance(layer)
      case .block(let block, let layer):
        groupsDone.wait(for: layer, toReach: groups)
        addUp(layer, block)
        blocksDone.advance(layer)
      }
    }
  }

  /// What a trace is told of a run.
  private func plan(
    _ piece: @escaping (Int) -> SumPiece, waits: @escaping (Int) -> [Range<Int>] = { _ in [] }
  ) -> WorkPlan {
    let (tiling, sums, traffic, size) = (tiling, sums, traffic, MemoryLayout<Float>.stride)
    return WorkPlan(traffic.part, waits: waits) {
      switch piece($0) {
      case .group(let group, let layer):
        let positions = tiling.tiles(ofGroup: group).reduce(0) { $0 + tiling.tile($1).positions }
        return traffic.bytes(layer, positions) + size * sums[layer].count
      case .block(let block, let layer):
        return size * (tiling.groupCount + 1) * sums[layer].values(ofBlock: block).count
      }
    }
  }

  private func wavefrontPlan() -> WorkPlan {
    let (order, groups) = (order, tiling.groupCount)
    // Where the groups of each layer and the blocks of its sum begin.
    var firstGroup = sums.map { _ in 0 }
    var firstBlock = firstGroup
    for (place, piece) in order.enumerated() {
      switch piece {
      case .group(let group, let layer): if group == 0 { firstGroup[layer] = place }
      case .block(let block, let layer): if block == 0 { firstBlock[layer] = place }
      }
    }
    let blocks = sums.map(\.blockCount)
    return plan(
      { order[$0] },
      waits: { [firstGroup, firstBlock] in
        switch order[$0] {
        case .group(let group, let layer):
          var waits: [Range<Int>] = []
          if layer > 0 { waits.append(firstGroup[layer - 1] + group..<firstGroup[layer - 1] + group + 1) }
          if layer > 1 {
            waits.append(firstBlock[layer - 2]..<firstBlock[layer - 2] + blocks[layer - 2])
          }
          return waits
        case .block(_, let layer): return [firstGroup[layer]..<firstGroup[layer] + groups]
        }
      })
  }
}

/// A layer's sum over all tiles.
struct TileSum {
  /// Where it starts among the sums of all layers.
  let offset: Int
  let count: Int
  /// What of it has to be zero at first; products overwrite the rest.
  let vectors: [WeightVector]

  /// Values that one piece of work adds up.
  private static var blockSize: Int { 4096 }

  var blockCount: Int { (count + Self.blockSize - 1) / Self.blockSize }

  func values(ofBlock block: Int) -> Range<Int> {
    block * Self.blockSize..<min(count, (block + 1) * Self.blockSize)
  }
}

/// A piece of the work of a `SumSchedule`.
private enum SumPiece {
  /// All stages of a group's tiles in a layer.
  case group(Int, layer: Int)
  /// A block of the sum of a layer's parts.
  case block(Int, layer: Int)

  /// The groups of the first layer, then of each further layer the groups and the sum of the layer before, then the last
  /// sum. The groups come first because a sum has to wait for the slowest group.
  static func order(groups: Int, blocks: [Int]) -> [SumPiece] {
    var order: [SumPiece] = []
    for layer in 0...blocks.count {
      if layer < blocks.count { order += (0..<groups).map { .group($0, layer: layer) } }
      if layer > 0 { order += (0..<blocks[layer - 1]).map { .block($0, layer: layer - 1) } }
    }
    return order
  }
}
