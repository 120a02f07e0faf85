import CRanks
import Dispatch
import GlowKernels

/// Sums over processes, of the values of one run after the other, beside the work of the thread that begins them.
///
/// Between `begin` and `finish` nobody else may speak to the other processes.
package final class SumExchange: @unchecked Sendable {
  private let ranks: Ranks
  /// The parts of each process, as the nodes of the tree that it adds up alone.
  private let nodes: [[(first: Int, count: Int)]]
  /// Those of this process, block by block, where they are several.
  private let sent: Slab<Float>?
  private let received: Slab<Float>
  /// Does one sum after the other.
  private let queue = DispatchQueue(label: "glow.sums")

  /// - Parameters:
  ///   - shares: the parts of each process, in order.
  ///   - largest: most values of a sum.
  /// - Throws: `MemoryError`.
  package init(_ ranks: Ranks, shares: [Range<Int>], largest: Int) throws {
    self.ranks = ranks
    nodes = shares.map { TreeSum<Void>.nodes(of: $0) }
    let own = nodes[ranks.rank].count
    sent = own == 1 ? nil : try Slab(count: own * largest)
    let block = (largest + ranks.count - 1) / ranks.count
    received = try Slab(count: nodes.reduce(0) { $0 + $1.count } * block)
  }

  /// Begins the sum over the parts of all processes, in the order of `TreeSum`: each process adds up a block of
  /// the values, and then has those of the others. All processes begin the same sums in the same order.
  ///
  /// - Parameters:
  ///   - own: the sums of this process's nodes, `count` values each, which stay as they are until `finish`; nil if it has
  ///     failed, for sums that mean nothing.
  ///   - target: receives the sum; may be the only one of `own`.
  package func begin(_ own: [UnsafePointer<Float>]?, count: Int, into target: UnsafeMutablePointer<Float>) {
    let nothing = [UnsafePointer<Float>](repeating: UnsafePointer(target), count: nodes[ranks.rank].count)
    nonisolated(unsafe) let (own, target) = (own ?? nothing, target)
    queue.async { [self] in withoutDenormals { sum(own, count, into: target) } }
  }

  /// Returns when all sums that have begun are there.
  package func finish() {
    ranks_await(1)
    queue.sync {}
    ranks_await(0)
  }

  private func sum(_ own: [UnsafePointer<Float>], _ count: Int, into target: UnsafeMutablePointer<Float>) {
    let blocks = (0..<ranks.count).map { $0 * count / ranks.count..<($0 + 1) * count / ranks.count }
    let mine = blocks[ranks.rank].count
    let sentCounts = blocks.map { Int32($0.count * own.count) }
    let receivedCounts = nodes.map { Int32($0.count * mine) }
    ranks_exchange_values(
      sent == nil ? own[0] : packed(own, blocks), sentCounts, starts(sentCounts), received.base,
      receivedCounts, starts(receivedCounts))
    let merge = { (sum: UnsafeMutablePointer<Float>, next: UnsafeMutablePointer<Float>) in
      add(next, to: sum, count: mine)
    }
    var tree = TreeSum<UnsafeMutablePointer<Float>>()
    for (index, node) in nodes.joined().enumerated() {
      tree.append(.init(first: node.first, count: node.count, sum: received.base + index * mine), merge)
    }
    (target + blocks[ranks.rank].lowerBound).update(from: tree.total(merge), count: mine)
    ranks_gather_values(target, blocks.map { Int32($0.count) }, blocks.map { Int32($0.lowerBound) })
  }

  /// Of each block the values of all nodes.
  private func packed(_ own: [UnsafePointer<Float>], _ blocks: [Range<Int>]) -> UnsafePointer<Float> {
    var place = sent!.base
    for block in blocks {
      for values in own {
        place.update(from: values + block.lowerBound, count: block.count)
        place += block.count
      }
    }
    return UnsafePointer(sent!.base)
  }
}
