/// A part of backward, after which a stretch of the gradient of the folded weights is final: what several
/// processes add up of it can go on its way while backward goes on.
struct GradientRun {
  enum Work {
    /// Some of a level's layers, the last first.
    case layers(Range<Int>, level: Int)
    case classifier(Placed<Classifier>)
  }

  let work: Work
  /// Where its gradients stand in the slab of all of them.
  let values: Range<Int>

  /// Values that are worth a message of their own (4 MB).
  static let size = 1 << 20

  /// Backward in its order. Each level is cut into runs of at least `size` values but for the one that its first
  /// layer is in. The classifier looks at the latents of the top prior, the last layer of all, which so is a run
  /// of its own.
  static func all(_ levels: [Level], _ classifier: Placed<Classifier>?, size: Int = .max) -> [GradientRun] {
    var runs: [GradientRun] = []
    for (number, level) in levels.enumerated().reversed() {
      var end = level.layers.count
      for first in level.layers.indices.reversed() {
        let values = level.layers[first].weights.lowerBound..<level.layers[end - 1].weights.upperBound
        let looking = number == levels.count - 1 && first == level.layers.count - 1 ? classifier : nil
        if first > 0 && values.count < size && looking == nil { continue }
        runs.append(GradientRun(work: .layers(first..<end, level: number), values: values))
        if let looking { runs.append(GradientRun(work: .classifier(looking), values: looking.weights)) }
        end = first
      }
    }
    return runs
  }
}
