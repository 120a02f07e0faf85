import GlowKernels

/// The order of a `TileSchedule` for sums over all tiles, such as gradients of weights (split-K partial sums): the tiles of a
/// group are taken in order by one thread and add to a part of the group's own; a layer's parts are then added up, in order.
///
/// Where the tiling shares gradients out, those of large matrices have no parts: each block of them is a piece of work, which
/// goes through all tiles in order after they have left the layer.
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
  private let wavefront: Wavefront

  /// What there is to do at one tile.
  enum Task<S: Scalar> {
    /// Some stages of a layer, which add to the part.
    case visit(layer: Int, stages: ArraySlice<Stage>, Tile, part: Weights<S>)
    /// The tile's share of a block of a gradient that is shared out.
    case add(layer: Int, GradientBlock, Tile, sum: Weights<S>)
  }

  /// - Parameters:
  ///   - stages: of each layer, in the order of the pass.
  ///   - sums: of each layer.
  init(_ tiling: Tiling, stages: [[Stage]], sums: [TileSum], _ traffic: Traffic = Traffic("sums")) {
    self.tiling = tiling
    self.stages = stages
    self.sums = sums
    self.traffic = traffic
    largest = sums.reduce(0) { max($0, $1.count) }
    order = SumPiece.order(groups: tiling.groupCount, sums)
    let groups = tiling.groupCount
    let (layersDone, groupsDone, blocksDone) = (
      Milestones(count: groups), Milestones(count: sums.count), Milestones(count: sums.count)
    )
    (self.layersDone, self.groupsDone, self.blocksDone) = (layersDone, groupsDone, blocksDone)
    wavefront = Wavefront(
      order.map { piece in
        switch piece {
        case .group(let group, let layer): .init(rank: 2 * layer, line: group)
        case .shared(let number, let layer):
          .init(rank: 2 * layer + 3, line: number * groups / sums[layer].pieceCount)
        case .block(let block, let layer):
          .init(
            rank: 2 * layer + 3,
            line: (sums[layer].shared.count + block) * groups / sums[layer].pieceCount)
        }
      }, lines: groups,
      isReady: { [order] in
        switch order[$0] {
        case .group(let group, let layer):
          // Its parts, and what it contributes to, are those of the layer before the last.
          layersDone.has(group, reached: layer)
            && (layer < 2 || blocksDone.has(layer - 2, reached: sums[layer - 2].pieceCount))
        case .shared(_, let layer), .block(_, let layer): groupsDone.has(layer, reached: groups)
        }
      })
  }

  /// - Parameters:
  ///   - target: where the sums go, at their offsets.
  ///   - parts: room for `Tiling.partCount` times the largest of the sums.
  func run<S: Scalar>(
    _ team: ThreadTeam, into target: UnsafeMutablePointer<S>, parts: UnsafeMutablePointer<S>,
    _ work: (_ task: Task<S>, _ thread: Int) -> Void
  ) {
    let groups = tiling.groupCount
    // While one layer's parts are being added up, the next layer fills others.
    func layerParts(_ layer: Int) -> UnsafeMutablePointer<S> {
      tiling.meetsBatch ? parts : parts + layer % 2 * groups * largest
    }
    func visit(_ layer: Int, _ places: Range<Int>, _ group: Int, _ thread: Int) {
      let part = Weights(base: layerParts(layer) + group * sums[layer].count)
      if places.lowerBound == 0 { part.clear(sums[layer].vectors) }
      let tiles = tiling.tiles(ofGroup: group)
      for index in tiles {
        let part = Weights(base: part.base, isEmpty: index == tiles.lowerBound)
        work(.visit(layer: layer, stages: stages[layer][places], tiling.tile(index), part: part), thread)
      }
    }
    func share(_ layer: Int, _ number: Int, _ thread: Int) {
      let sum = sums[layer]
      for index in 0..<tiling.tileCount {
        let whole = Weights(base: target + sum.offset, isEmpty: index == 0)
        work(.add(layer: layer, sum.shared[number], tiling.tile(index), sum: whole), thread)
      }
    }
    func addUp(_ layer: Int, _ block: Int) {
      let sum = sums[layer]
      addParts(layerParts(layer), groups, stride: sum.count, sum.blocks[block], into: target + sum.offset)
    }
    if tiling.isStaged || groups == 1 {
      for layer in sums.indices {
        for place in stages[layer].indices {
          if stages[layer][place].isOfBatch {
            let part = Weights(base: layerParts(layer))
            work(.visit(layer: layer, stages: stages[layer][place...place], tiling.tile(0), part: part), 0)
            continue
          }
          team.run(groups, as: plan { .group($0, layer: layer) }) { group, thread in
            visit(layer, place..<place + 1, group, thread)
          }
        }
        team.run(sums[layer].shared.count, as: plan { .shared($0, layer: layer) }) { number, thread in
          share(layer, number, thread)
        }
        team.run(sums[layer].blocks.count, as: plan { .block($0, layer: layer) }) { block, _ in
          addUp(layer, block)
        }
      }
      return
    }
    layersDone.reset()
    groupsDone.reset()
    blocksDone.reset()
    team.run(wavefront, as: wavefrontPlan()) { piece, thread in
      switch order[piece] {
      case .group(let group, let layer):
        visit(layer, stages[layer].indices, group, thread)
        layersDone.advance(group)
        groupsDone.advance(layer)
      case .shared(let number, let layer):
        share(layer, number, thread)
        blocksDone.advance(layer)
      case .block(let block, let layer):
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
    return WorkPlan(
      traffic.part, waits: waits,
      bytes: {
        switch piece($0) {
        case .group(let group, let layer):
          let positions = tiling.tiles(ofGroup: group).reduce(0) { $0 + tiling.tile($1).positions }
          let summed = sums[layer].blocks.reduce(0) { $0 + $1.count }
          return traffic.bytes(layer, positions) + size * summed
        case .shared(let number, let layer):
          let block = sums[layer].shared[number]
          return size * tiling.batch * tiling.shape.positions * (block.rows.count + block.columns.count)
        case .block(let block, let layer):
          return size * (tiling.groupCount + 1) * sums[layer].blocks[block].count
        }
      })
  }

  private func wavefrontPlan() -> WorkPlan {
    let (order, groups, counts) = (order, tiling.groupCount, sums.map(\.pieceCount))
    // Where the groups of each layer begin, and what comes after them.
    var (groupPlaces, sumPlaces) = (sums.map { _ in 0 }, sums.map { _ in 0 })
    for (place, piece) in order.enumerated().reversed() {
      switch piece {
      case .group(_, let layer): groupPlaces[layer] = place
      case .shared(_, let layer), .block(_, let layer): sumPlaces[layer] = place
      }
    }
    return plan(
      { order[$0] },
      waits: { [groupPlaces, sumPlaces] in
        switch order[$0] {
        case .group(let group, let layer):
          let before = layer == 0 ? [] : [groupPlaces[layer - 1] + group..<groupPlaces[layer - 1] + group + 1]
          if layer < 2 { return before }
          return before + [sumPlaces[layer - 2]..<sumPlaces[layer - 2] + counts[layer - 2]]
        case .shared(_, let layer), .block(_, let layer):
          return [groupPlaces[layer]..<groupPlaces[layer] + groups]
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
  /// What is made apart and is no sum of parts.
  let shared: [GradientBlock]
  /// The rest, in pieces of work.
  let blocks: [Range<Int>]

  /// Values that one piece of work adds up.
  private static var blockSize: Int { 4096 }

  init(offset: Int, count: Int, vectors: [WeightVector], shared: [GradientBlock] = []) {
    (self.offset, self.count, self.vectors, self.shared) = (offset, count, vectors, shared)
    var (rest, start) = ([Range<Int>](), 0)
    for range in Set(shared.map(\.range)).sorted(by: { $0.lowerBound < $1.lowerBound }) {
      rest.append(start..<range.lowerBound)
      start = range.upperBound
    }
    rest.append(start..<count)
    blocks = rest.flatMap { range in
      stride(from: range.lowerBound, to: range.upperBound, by: Self.blockSize).map {
        $0..<min(range.upperBound, $0 + Self.blockSize)
      }
    }
  }

  /// Pieces of work after those of the groups.
  var pieceCount: Int { shared.count + blocks.count }
}

/// A piece of the work of a `SumSchedule`.
private enum SumPiece {
  /// All stages of a group's tiles in a layer.
  case group(Int, layer: Int)
  /// A block of a gradient that is shared out.
  case shared(Int, layer: Int)
  /// A block of the sum of a layer's parts.
  case block(Int, layer: Int)

  /// The groups of the first layer, then of each further layer the groups and the sums of the layer before, then the last
  /// sums. The groups come first because a sum has to wait for the slowest group.
  static func order(groups: Int, _ sums: [TileSum]) -> [SumPiece] {
    var order: [SumPiece] = []
    for layer in 0...sums.count {
      if layer < sums.count { order += (0..<groups).map { .group($0, layer: layer) } }
      if layer > 0 {
        order += sums[layer - 1].shared.indices.map { .shared($0, layer: layer - 1) }
        order += sums[layer - 1].blocks.indices.map { .block($0, layer: layer - 1) }
      }
    }
    return order
  }
}
