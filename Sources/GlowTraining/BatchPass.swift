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
  /// For the sums of own parts, one for each node of the tree that waits for the last part.
  private let sums: [Slab<Float>]
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
    exchange =
      ranks.count == 1
      ? nil
      : try SumExchange(ranks, shares: shares, largest: glow.gradientRuns.map(\.count).max()!)
    let count = glow.foldedGradient!.count
    sums = try (0..<BatchPass.sumCount(own)).map { _ in try Slab(count: count) }
  }

  /// The most sums that wait at once while those of parts are added up; the last part is added as it comes.
  static func sumCount(_ parts: Range<Int>) -> Int {
    var (tree, most) = (TreeSum<Void>(), 0)
    for part in parts.dropLast() {
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

  /// - Parameter clock: is told of the time that images take, and other processes.
  /// - Throws: `FileError` of an image that cannot be read, in any process.
  mutating func run(step: Int, _ clock: StepClock) throws -> Outcome {
    partStatistics.removeAll(keepingCapacity: true)
    let own = Result { try runParts(step, clock) }
    if case .failure = own {
      // The others wait for its sums, and hear only then that these are none.
      for run in glow.gradientRuns {
        exchange?.begin(nil, count: run.count, into: glow.foldedGradient!.base + run.lowerBound)
      }
    }
    // Only then do the others know that no image was in the way.
    let news = try clock.waiting {
      exchange?.finish()
      return try ranks.exchangeValues { try own.get() }
    }
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

  /// The parts of this process. The gradient of the folded weights becomes the sum over those of all processes,
  /// when the exchange has finished.
  private mutating func runParts(_ step: Int, _ clock: StepClock) throws -> StepNews {
    var (images, skipped) = ([ImageBits](), [FileError]())
    var (tree, free) = (TreeSum<Slab<Float>>(), sums)
    for part in own {
      let range = parts.images(of: part)
      let found = try clock.outside {
        try feed.load(
          step * parts.batch + range.lowerBound, count: range.count, into: workspace.images,
          dequantization: glow.dequantization, team: glow.team)
      }
      skipped += feed.skipped.map(\.error)
      labels = try glow.configuration.labels(of: found, in: feed.dataset)
      var whenFinal: ((Range<Int>) -> Void)?
      if part == own.last && exchange != nil {
        let (pass, before) = (self, tree)
        whenFinal = { pass.total(before, $0) }
      }
      images += glow.pullBackObjective(
        workspace, count: range.count, of: parts.batch, labels: labels, whenFinal: whenFinal)
      partStatistics += glow.statistics(of: workspace)
      if part != own.last { append(part, to: &tree, &free) }
    }
    if exchange == nil { total(tree, 0..<glow.foldedGradient!.count) }
    return StepNews(images, skipped)
  }

  private func append(_ part: Int, to tree: inout TreeSum<Slab<Float>>, _ free: inout [Slab<Float>]) {
    let (source, slab) = (glow.foldedGradient!, free.removeLast())
    copy(source.base, to: slab.base, count: source.count)
    tree.append(.init(first: part, count: 1, sum: slab)) { sum, next in
      add(next.base, to: sum.base, count: sum.count, glow.team)
      free.append(next)
    }
  }

  /// Makes the sum over all parts the gradient of the folded weights, or begins to, where the last own part has
  /// just written its own.
  private func total(_ before: TreeSum<Slab<Float>>, _ values: Range<Int>) {
    let target = glow.foldedGradient!.base + values.lowerBound
    let merge = { (sum: UnsafeMutablePointer<Float>, next: UnsafeMutablePointer<Float>) in
      add(next, to: sum, count: values.count, glow.team)
    }
    var tree = before.map { $0.base + values.lowerBound }
    tree.append(.init(first: own.last!, count: 1, sum: target), merge)
    if let exchange {
      exchange.begin(tree.nodes.map { UnsafePointer($0.sum) }, count: values.count, into: target)
      return
    }
    let sum = tree.total(merge)
    if sum != target { copy(sum, to: target, count: values.count) }
  }

  private func copy(_ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, count: Int) {
    let block = 1 << 16
    glow.team.run((count + block - 1) / block) { index, _ in
      let start = index * block
      (target + start).update(from: source + start, count: min(block, count - start))
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
