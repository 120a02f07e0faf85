import GlowKernels

/// The order in which a team works through the tiles of a level, one flow step after the other.
///
/// Tiles of whole pictures need nothing of each other, so no step waits for the end of the one before it: pieces of work
/// are numbered step by step and taken in order, and a piece waits only for those it needs, which were taken earlier
/// and are nearly always done. Bands need their neighbors: there all leave a phase before any enters the next.
extension Tiling {
  /// Runs `body` once for every step, tile and phase; the phases of a tile follow each other.
  func forEachTile(
    _ team: ThreadTeam, steps: Int = 1, phases: Int = 1,
    _ body: (_ step: Int, _ phase: Int, _ tile: Tile, _ thread: Int) -> Void
  ) {
    if !holdsWholeImages || tileCount == 1 {
      for step in 0..<steps {
        for phase in 0..<phases {
          team.run(tileCount) { index, thread in body(step, phase, tile(index), thread) }
        }
      }
      return
    }
    let stepsDone = Milestones(count: tileCount)
    team.run(steps * tileCount) { piece, thread in
      let (step, index) = piece.quotientAndRemainder(dividingBy: tileCount)
      stepsDone.wait(for: index, toReach: step)
      for phase in 0..<phases { body(step, phase, tile(index), thread) }
      stepsDone.advance(index)
    }
  }

  /// The same for sums over all tiles, such as gradients of parameters: the tiles of a group are taken in order by one
  /// thread and add to a part of the group's own; a step's parts are then added up, in order.
  ///
  /// - Parameters:
  ///   - parts: room for `partCount` of `count` values.
  ///   - sums: where the sum of each step, `count` values, goes.
  ///   - body: adds a tile's contribution to `part`, which holds nothing yet if `isFirst`.
  func sumOverTiles<S: Scalar>(
    _ team: ThreadTeam, phases: Int = 1, parts: UnsafeMutablePointer<S>, count: Int,
    into sums: [UnsafeMutablePointer<S>],
    _ body: (
      _ step: Int, _ phase: Int, _ tile: Tile, _ part: UnsafeMutablePointer<S>, _ isFirst: Bool, _ thread: Int
    ) -> Void
  ) {
    let steps = sums.count
    let groups = groupCount
    let blocks = (count + Tiling.sumBlock - 1) / Tiling.sumBlock
    // While one step's parts are being added up, the next step fills others.
    func stepParts(_ step: Int) -> UnsafeMutablePointer<S> { parts + step % 2 * groups * count }
    func visit(_ step: Int, _ phases: Range<Int>, _ group: Int, _ thread: Int) {
      let part = stepParts(step) + group * count
      let tiles = tiles(ofGroup: group)
      for index in tiles {
        for phase in phases { body(step, phase, tile(index), part, index == tiles.lowerBound, thread) }
      }
    }
    func addUp(_ step: Int, _ block: Int) {
      let range = block * Tiling.sumBlock..<min(count, (block + 1) * Tiling.sumBlock)
      addParts(stepParts(step), groups, stride: count, range, into: sums[step])
    }
    if !holdsWholeImages || groups == 1 {
      for step in 0..<steps {
        for phase in 0..<phases {
          team.run(groups) { group, thread in visit(step, phase..<phase + 1, group, thread) }
        }
        team.run(blocks) { block, _ in addUp(step, block) }
      }
      return
    }
    // In order: the groups of step 0, then of each further step the groups and the sum of the step before, then the
    // last sum. The groups come first because a sum has to wait for the slowest group.
    let stepsDone = Milestones(count: groups)
    let groupsDone = Milestones(count: steps)
    let blocksDone = Milestones(count: steps)
    team.run(steps * (groups + blocks)) { piece, thread in
      let (round, place) = (piece - groups).quotientAndRemainder(dividingBy: groups + blocks)
      let step = piece < groups ? 0 : round + 1
      let group = piece < groups ? piece : step < steps ? place : place + groups
      if group < groups {
        stepsDone.wait(for: group, toReach: step)
        if step >= 2 { blocksDone.wait(for: step - 2, toReach: blocks) }
        visit(step, 0..<phases, group, thread)
        stepsDone.advance(group)
        groupsDone.advance(step)
      } else {
        groupsDone.wait(for: step - 1, toReach: groups)
        addUp(step - 1, group - groups)
        blocksDone.advance(step - 1)
      }
    }
  }

  /// Values that one piece of work adds up.
  private static let sumBlock = 4096
}
