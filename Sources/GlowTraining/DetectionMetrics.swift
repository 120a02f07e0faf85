/// How well a score tells foreign images, which should have higher values, from known ones.
package struct DetectionMetrics: Sendable, Equatable {
  /// Area under the receiver operating characteristic: the probability that a foreign image scores higher than a known
  /// one, ties counting half (Fawcett 2006).
  package let auroc: Double
  /// Mean precision over the recall steps of falling thresholds, foreign images as positives, without interpolation.
  package let averagePrecision: Double
  /// The least share of known images taken for foreign at a threshold that finds at least 95 % of the foreign ones.
  package let falsePositiveRate: Double

  /// - Parameters: the scores of both sets, neither empty, all finite.
  package init(known: [Double], foreign: [Double]) {
    precondition(!known.isEmpty && !foreign.isEmpty)
    let ordered =
      (known.map { (score: $0, isForeign: false) } + foreign.map { (score: $0, isForeign: true) })
      .sorted { $0.score > $1.score }
    let (positives, negatives) = (Double(foreign.count), Double(known.count))
    var (found, wrong) = (0.0, 0.0)
    var (area, precision) = (0.0, 0.0)
    var rateAtRecall: Double?
    var start = 0
    while start < ordered.count {
      // All images of one score cross the threshold together.
      var end = start
      var (newFound, newWrong) = (0.0, 0.0)
      while end < ordered.count && ordered[end].score == ordered[start].score {
        if ordered[end].isForeign { newFound += 1 } else { newWrong += 1 }
        end += 1
      }
      area += newWrong * (found + newFound / 2)
      found += newFound
      wrong += newWrong
      precision += newFound * found / (found + wrong)
      if rateAtRecall == nil && found >= 0.95 * positives { rateAtRecall = wrong / negatives }
      start = end
    }
    auroc = area / (positives * negatives)
    averagePrecision = precision / positives
    falsePositiveRate = rateAtRecall!
  }
}
