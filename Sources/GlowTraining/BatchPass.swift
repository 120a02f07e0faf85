import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowRanks

/// Objective and gradient of the batch of a step: part after part, of several processes each its own, whose gradients are
/// then added up in a tree that the number of parts alone decides.
///
/// What is added up are gradients of folded weights. What follows from the sum (gradients of the parameters, their norm,
/// the update) every process computes for itself: the same numbers, so that all models stay the same without being sent.
struct BatchPass {
  private let glow: Glow<Float>
  private let ranks: Ranks
  private let parts: BatchParts
  /// Those of this process.
  private let own: Range<Int>
  let workspace: Workspace<Float>
  let gradients: Slab<Float>
  private var feed: ImageFeed
  /// Sums of own parts; one is kept for each node of the tree that is not ready to be merged.
  private var free: [Slab<Float>] = []
  private let exchange: SumExchange?
  /// Of each own part, what batch normalization has found in it.
  private var partStatistics: [Double] = []
  /// Of the part that was the last, in a conditional model.
  private(set) var labels: [Int]?

  /// - Throws: `MemoryError`.
  init(
    _ glow: Glow<Float>, _ training: TrainingConfiguration, _ images: any Dataset, purpose: Purpose,
    ranks: Ranks = .one
  ) throws {
    (self.glow, self.ranks, parts) = (glow, ranks, BatchParts(training))
    let shares = parts.shares(of: ranks.count)
    own = shares[ranks.rank]
    feed = ImageFeed(images, training, share: parts.images(of: own))
    workspace = try glow.workspace(batch: parts.size, purpose: purpose)
    gradients = try Slab(count: glow.parameters.count)
    let count = glow.foldedGradient!.count
    exchange = ranks.count == 1 ? nil : try SumExchange(ranks, shares: shares, count: count)
    if parts.count > 1 {
      free = try (0..<BatchPass.sumCount(own)).map { _ in try Slab(count: count) }
    }
  }

  /// The most sums that wait at once while those of parts are added up.
  static func sumCount(_ parts: Range<Int>) -> Int {
    var (tree, most) = (TreeSum<Void>(), 0)
    for part in parts {
      most = max(most, tree.nodes.count + 1)
      tree.append(.init(first: part, count: 1, sum: ())) { _, _ in }
    }
    return most
  }

  /// Of the batch of a step.
  struct Outcome {
    /// A failure if a channel map could not be inverted.
    let objective: Result<Objective, any Error>
    /// Images of this batch that cannot be read and were skipped, by any process.
    let skipped: [FileError]
  }

  /// - Parameter loading: is handed what reads images, to be timed.
  /// - Throws: `FileError` of an image that cannot be read, in any process.
  mutating func run(step: Int, loading: (() throws -> [Int]) throws -> [Int]) throws -> Outcome {
    var images: [ImageBits] = []
    var skipped: [FileError] = []
    var tree = TreeSum<Slab<Float>>()
    partStatistics.removeAll(keepingCapacity: true)
    // Only then do the others know that no image was in the way.
    let news = try ranks.exchangeValues {
      for part in own {
        let range = parts.images(of: part)
        let found = try loading {
          try feed.load(
            step * parts.batch + range.lowerBound, count: range.count, into: workspace.images,
            dequantization: glow.dequantization, team: glow.team)
        }
        skipped += feed.skipped.map(\.error)
        labels = glow.configuration.isConditional ? found : nil
        images += glow.pullBackObjective(workspace, count: range.count, of: parts.batch, labels: labels)
        partStatistics += glow.statistics(of: workspace)
        if parts.count > 1 { append(part, to: &tree) }
      }
      return StepNews(images, skipped)
    }
    if parts.count > 1 { total(&tree) }
    return Outcome(
      objective: Result {
        try glow.foldObjectiveBackward(batch: parts.batch, into: gradients.base)
        return Objective(news.flatMap(\.images))
      }, skipped: news.flatMap(\.errors))
  }

  /// What batch normalization has found in the batch: the same in all processes.
  ///
  /// - Throws: `RankFailure`.
  func statistics() throws -> [Double] {
    if !glow.normalizesByBatch { return [] }
    return parts.mean(try ranks.gather { partStatistics })
  }

  private mutating func append(_ part: Int, to tree: inout TreeSum<Slab<Float>>) {
    let slab = free.removeLast()
    let source = glow.foldedGradient!
    copy(source, to: slab)
    var emptied: [Slab<Float>] = []
    tree.append(.init(first: part, count: 1, sum: slab)) { sum, next in
      add(next.base, to: sum.base, count: sum.count, glow.team)
      emptied.append(next)
    }
    free += emptied
  }

  /// Makes the sum over all parts the gradient of the folded weights.
  private mutating func total(_ tree: inout TreeSum<Slab<Float>>) {
    let target = glow.foldedGradient!
    if let exchange {
      exchange.sum(
        tree.nodes.map { UnsafePointer($0.sum.base) }, count: target.count, into: target.base, glow.team)
      free += tree.nodes.map(\.sum)
      return
    }
    free += tree.nodes.dropFirst().map(\.sum)
    let sum = tree.total { add($1.base, to: $0.base, count: $0.count, glow.team) }
    copy(sum, to: target)
    free.append(sum)
  }

  private func copy(_ source: Slab<Float>, to target: Slab<Float>) {
    let block = 1 << 16
    glow.team.run((source.count + block - 1) / block) { index, _ in
      let start = index * block
      (target.base + start).update(from: source.base + start, count: min(block, source.count - start))
    }
  }

  /// Where in this process's last part the numbers go bad.
  func diagnosis() -> String {
    glow.diagnose(workspace, count: workspace.count, labels: labels, gradients: gradients.base).description
  }
}

/// What a process tells the others of its parts of a batch.
private struct StepNews: Codable {
  let bits: [Double]
  let classifierBits: [Double]
  /// Paths and reasons.
  let skipped: [[String]]

  init(_ images: [ImageBits], _ skipped: [FileError]) {
    bits = images.map(\.perDimension)
    classifierBits = images.compactMap(\.classifier)
    self.skipped = skipped.map { [$0.path, $0.reason] }
  }

  var images: [ImageBits] {
    bits.indices.map {
      ImageBits(perDimension: bits[$0], classifier: classifierBits.isEmpty ? nil : classifierBits[$0])
    }
  }

  var errors: [FileError] { skipped.map { FileError($0[0], $0[1]) } }
}
