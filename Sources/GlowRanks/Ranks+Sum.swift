import CRanks
import GlowKernels

/// Memory for sums over processes.
package final class SumExchange {
  /// Values that are added up at a time, which bounds the memory.
  private static let chunk = 1 << 22

  private let ranks: Ranks
  /// The parts of each process, as the nodes of the tree that it adds up alone.
  private let nodes: [[(first: Int, count: Int)]]
  private let sent: Slab<Float>
  private let received: Slab<Float>

  /// - Parameters:
  ///   - shares: the parts of each process, in order.
  ///   - count: values of a sum.
  /// - Throws: `MemoryError`.
  package init(_ ranks: Ranks, shares: [Range<Int>], count: Int) throws {
    self.ranks = ranks
    nodes = shares.map { TreeSum<Void>.nodes(of: $0) }
    let chunk = min(count, SumExchange.chunk)
    sent = try Slab(count: nodes[ranks.rank].count * chunk)
    let block = (chunk + ranks.count - 1) / ranks.count
    received = try Slab(count: nodes.reduce(0) { $0 + $1.count } * block)
  }

  /// The sum over the parts of all processes, in the order of `TreeSum`: each process adds up a block of the values, and
  /// then has those of the others. All processes are in time here: none fails before the next exchange.
  ///
  /// - Parameters:
  ///   - own: the sums of this process's nodes, `count` values each.
  ///   - target: receives the sum.
  package func sum(
    _ own: [UnsafePointer<Float>], count: Int, into target: UnsafeMutablePointer<Float>, _ team: ThreadTeam
  ) {
    for start in stride(from: 0, to: count, by: SumExchange.chunk) {
      let length = min(SumExchange.chunk, count - start)
      sumChunk(own.map { $0 + start }, length, into: target + start, team)
    }
  }

  private func sumChunk(
    _ own: [UnsafePointer<Float>], _ length: Int, into target: UnsafeMutablePointer<Float>, _ team: ThreadTeam
  ) {
    let blocks = (0..<ranks.count).map { rank in
      rank * length / ranks.count..<(rank + 1) * length / ranks.count
    }
    var place = 0
    for block in blocks {
      for values in own {
        (sent.base + place).update(from: values + block.lowerBound, count: block.count)
        place += block.count
      }
    }
    let mine = blocks[ranks.rank].count
    let sentCounts = blocks.map { Int32($0.count * own.count) }
    let receivedCounts = nodes.map { Int32($0.count * mine) }
    ranks_exchange_values(
      sent.base, sentCounts, starts(sentCounts), received.base, receivedCounts, starts(receivedCounts))
    let merge = { (sum: UnsafeMutablePointer<Float>, next: UnsafeMutablePointer<Float>) in
      add(next, to: sum, count: mine, team)
    }
    var tree = TreeSum<UnsafeMutablePointer<Float>>()
    for (index, node) in nodes.joined().enumerated() {
      tree.append(.init(first: node.first, count: node.count, sum: received.base + index * mine), merge)
    }
    (target + blocks[ranks.rank].lowerBound).update(from: tree.total(merge), count: mine)
    ranks_gather_values(target, blocks.map { Int32($0.count) }, blocks.map { Int32($0.lowerBound) })
  }
}
