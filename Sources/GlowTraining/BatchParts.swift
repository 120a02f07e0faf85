/// How a batch is cut into the parts that go through the model one after the other: `microBatch` images each, the last
/// one perhaps fewer. Each of several processes has some parts that follow each other. Batch normalization takes the
/// statistics of a part.
struct BatchParts {
  let batch: Int
  /// Images of a part.
  let size: Int

  init(_ configuration: TrainingConfiguration) {
    batch = configuration.batch
    size = configuration.microBatch ?? configuration.batch
  }

  var count: Int { (batch + size - 1) / size }

  /// Of a part, in the batch.
  func images(of part: Int) -> Range<Int> { part * size..<min(batch, (part + 1) * size) }

  /// The parts of each of `count` processes.
  func shares(of count: Int) -> [Range<Int>] {
    (0..<count).map { $0 * self.count / count..<($0 + 1) * self.count / count }
  }

  /// From statistics of each part, one part after the other, those of the batch: their mean, in which each part counts as
  /// many times as it has images.
  func mean(_ statistics: [Double]) -> [Double] {
    let length = statistics.count / count
    return (0..<count).reduce(into: [Double](repeating: 0, count: length)) { mean, part in
      let weight = Double(images(of: part).count) / Double(batch)
      for index in 0..<length { mean[index] += weight * statistics[part * length + index] }
    }
  }

  /// The images of some parts.
  func images(of parts: Range<Int>) -> Range<Int> {
    parts.lowerBound * size..<min(batch, parts.upperBound * size)
  }
}
