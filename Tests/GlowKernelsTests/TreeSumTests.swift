import GlowKernels
import Testing

@Suite("Sums in a tree of fixed shape")
struct TreeSumTests {
  /// A sum as it was made.
  private final class Term {
    var text: String
    init(_ text: String) { self.text = text }
  }

  private static func merge(_ sum: Term, _ next: Term) { sum.text = "(\(sum.text)+\(next.text))" }

  /// The nodes that some parts come to.
  private func nodes(_ parts: Range<Int>) -> [TreeSum<Term>.Node] {
    var tree = TreeSum<Term>()
    for part in parts {
      tree.append(.init(first: part, count: 1, sum: Term("\(part)")), Self.merge)
    }
    return tree.nodes
  }

  private func total(_ shares: [Range<Int>]) -> String {
    var tree = TreeSum<Term>()
    for node in shares.flatMap(nodes) { tree.append(node, Self.merge) }
    return tree.total(Self.merge).text
  }

  @Test("pairs first, then pairs of these; what is left over from the last to the first")
  func shape() {
    #expect(total([0..<1]) == "0")
    #expect(total([0..<4]) == "((0+1)+(2+3))")
    #expect(total([0..<7]) == "(((0+1)+(2+3))+((4+5)+6))")
  }

  @Test("whoever has added up which parts, the sum is the same", arguments: 1...11)
  func shares(count: Int) {
    let whole = total([0..<count])
    // Every way to cut the parts into shares.
    for cuts in 0..<1 << (count - 1) {
      let bounds = [0] + (1..<count).filter { cuts >> ($0 - 1) & 1 == 1 } + [count]
      let shares = zip(bounds, bounds.dropFirst()).map { $0..<$1 }
      #expect(total(shares) == whole, "\(shares)")
      for share in shares {
        let made = nodes(share).map { [$0.first, $0.count] }
        #expect(TreeSum<Void>.nodes(of: share).map { [$0.first, $0.count] } == made)
      }
    }
  }
}
