/// A sum of numbered parts in the order of a binary tree whose shape depends on their number alone: parts 0 and 1, 2
/// and 3, … are added up, then these sums in pairs, and so on; what is left over at the end is added from the last to
/// the first. Part sums of neighboring parts that were made elsewhere fit in: whoever has made which, the result is
/// the same to the bit.
package struct TreeSum<Sum> {
  /// The sum of parts `first..<first + count`.
  package struct Node {
    package let first: Int
    package let count: Int
    package let sum: Sum

    package init(first: Int, count: Int, sum: Sum) {
      (self.first, self.count, self.sum) = (first, count, sum)
    }

    /// Whether the tree adds up this sum and the next before any other.
    func isSibling(of next: Node) -> Bool { count == next.count && first % (2 * count) == 0 }
  }

  /// What cannot be added up yet, in order.
  package private(set) var nodes: [Node] = []

  package init() {}

  /// The same sums as another type has them.
  package func map<Other>(_ change: (Sum) -> Other) -> TreeSum<Other> {
    var result = TreeSum<Other>()
    result.nodes = nodes.map { .init(first: $0.first, count: $0.count, sum: change($0.sum)) }
    return result
  }

  /// Adds the sum of the parts that follow.
  ///
  /// - Parameter merge: adds the second sum to the first, which is the result.
  package mutating func append(_ node: Node, _ merge: (Sum, Sum) -> Void) {
    nodes.append(node)
    while nodes.count > 1, nodes[nodes.count - 2].isSibling(of: nodes[nodes.count - 1]) { mergeLast(merge) }
  }

  /// Ends the sum, of which at least one part is there.
  package mutating func total(_ merge: (Sum, Sum) -> Void) -> Sum {
    while nodes.count > 1 { mergeLast(merge) }
    return nodes[0].sum
  }

  private mutating func mergeLast(_ merge: (Sum, Sum) -> Void) {
    let last = nodes.removeLast()
    let before = nodes.removeLast()
    merge(before.sum, last.sum)
    nodes.append(Node(first: before.first, count: before.count + last.count, sum: before.sum))
  }

  /// The parts of the nodes that parts `range` come to, which are maximal.
  package static func nodes(of range: Range<Int>) -> [(first: Int, count: Int)] {
    var tree = TreeSum<Void>()
    for part in range { tree.append(.init(first: part, count: 1, sum: ())) { _, _ in } }
    return tree.nodes.map { ($0.first, $0.count) }
  }
}

/// sum += values, on a team.
package func add(
  _ values: UnsafePointer<Float>, to sum: UnsafeMutablePointer<Float>, count: Int, _ team: ThreadTeam
) {
  let block = 1 << 14
  team.run((count + block - 1) / block) { index, _ in
    let start = index * block
    add(values + start, to: sum + start, count: min(block, count - start))
  }
}
