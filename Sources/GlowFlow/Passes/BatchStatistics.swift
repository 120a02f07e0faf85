import GlowKernels

/// What batch normalization normalizes with.
package enum Normalization: Sendable {
  /// Mean and variance of the batch: training.
  case batch
  /// Those that training has kept: everything else.
  case running
}

/// Statistics of some channels over all positions of a batch, as their layer knows them.
///
/// Each tile writes its own sums in Double; at a stage of the batch (`Stage.batch`) they are added up in the order of the
/// tiles, which does not depend on the threads. What follows from them lasts from forward to backward.
struct BatchStatistics: Sendable {
  let channels: Int
  /// From the start of the layer's statistics.
  let offset: Int

  /// Values that last: mean, variance, 1/√(variance + ε), and two means of backward.
  var count: Int { 5 * channels }
}

/// The statistics of a layer, as a tile sees them.
struct StatisticsMemory {
  fileprivate let results: UnsafeMutablePointer<Double>
  fileprivate let tileSums: UnsafeMutablePointer<Double>
  fileprivate let tileCount: Int
  fileprivate let tile: Int
  /// Of the batch.
  let positions: Int
  let normalization: Normalization

  /// - Parameters:
  ///   - tiles: the sums of all tiles, and how many tiles there are.
  ///   - tile: the one that looks.
  init(
    results: UnsafeMutablePointer<Double>, tiles: (sums: UnsafeMutablePointer<Double>, count: Int), tile: Int,
    positions: Int, normalization: Normalization
  ) {
    (self.results, tileSums, tileCount, self.tile) = (results, tiles.sums, tiles.count, tile)
    (self.positions, self.normalization) = (positions, normalization)
  }

  /// [channels] each.
  func mean(_ statistics: BatchStatistics) -> UnsafeMutablePointer<Double> { results + statistics.offset }
  func variance(_ statistics: BatchStatistics) -> UnsafeMutablePointer<Double> {
    results + statistics.offset + statistics.channels
  }
  func inverseDeviation(_ statistics: BatchStatistics) -> UnsafeMutablePointer<Double> {
    results + statistics.offset + 2 * statistics.channels
  }
  /// In backward: the mean gradient of the normalized values, and its mean product with them. [channels] each.
  func meanGradient(_ statistics: BatchStatistics) -> UnsafeMutablePointer<Double> {
    results + statistics.offset + 3 * statistics.channels
  }
  func meanProduct(_ statistics: BatchStatistics) -> UnsafeMutablePointer<Double> {
    results + statistics.offset + 4 * statistics.channels
  }

  /// Where the tile's two sums of each channel go, [2, channels].
  func tileSums(_ statistics: BatchStatistics) -> UnsafeMutablePointer<Double> {
    tileSums + tile * 2 * statistics.channels
  }

  /// All tiles' sums, added up: [2, channels].
  func total(_ statistics: BatchStatistics) -> [Double] {
    let count = 2 * statistics.channels
    return [Double](unsafeUninitializedCapacity: count) { sums, initialized in
      sums.initialize(repeating: 0)
      for tile in 0..<tileCount {
        for index in 0..<count { sums[index] += tileSums[tile * count + index] }
      }
      initialized = count
    }
  }
}
