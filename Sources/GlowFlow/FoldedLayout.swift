import GlowKernels

/// Where each layer's folded weights start in the slab of all of them.
struct FoldedLayout {
  private(set) var steps: [Int] = []
  private(set) var splits: [Int] = []
  private(set) var top = 0
  private(set) var classifier = 0
  private(set) var count = 0
  /// The largest layer's count.
  private(set) var largest = 0

  init(steps: [[FlowStep]], splits: [Split], top: TopPrior, classifier: Classifier?) {
    var reservation = Reservation()
    func reserve(_ count: Int) -> Int {
      largest = max(largest, count)
      return reservation.reserve(count)
    }
    self.steps = steps.joined().map { reserve($0.foldedCount) }
    self.splits = splits.map { reserve($0.foldedCount) }
    self.top = reserve(top.foldedCount)
    self.classifier = reserve(classifier?.foldedCount ?? 0)
    count = reservation.count
  }
}
