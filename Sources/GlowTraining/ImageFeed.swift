import GlowFlow
import GlowImages
import GlowKernels

/// The endless sequence of training images: epoch after epoch in a new order, cut into whole batches.
///
/// What place `p` of the sequence holds, its noise included, follows from the seed and `p` alone, so a run can
/// go on from any step.
struct ImageFeed {
  let dataset: any Dataset
  let configuration: TrainingConfiguration
  private var epoch = -1
  private var order: [Int] = []

  init(_ dataset: any Dataset, _ configuration: TrainingConfiguration) {
    self.dataset = dataset
    self.configuration = configuration
  }

  /// Puts images `start..<start + count` of the sequence into `workspace.images`, decoded and dequantised by the
  /// team, and returns their labels.
  ///
  /// - Throws: `FileError` of the first image that cannot be read.
  mutating func load(
    _ start: Int, count: Int, into images: UnsafeMutablePointer<Float>, dequantisation: Dequantisation,
    team: ThreadTeam
  ) throws -> [Int] {
    var places: [(epoch: Int, index: Int)] = []
    for place in start..<start + count {
      let epoch = place / dataset.count
      if epoch != self.epoch { begin(epoch) }
      places.append((epoch, order[place % dataset.count]))
    }
    let size = dataset.shape.count
    let failures = FirstFailure()
    team.run(count) { item, _ in
      let (epoch, index) = places[item]
      failures.catching(item) {
        try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: size) { pixels in
          try dataset.read(index, into: pixels)
          let stream = UInt64(epoch) << 32 | UInt64(index)
          if configuration.flips,
            Philox(seed: configuration.seed, purpose: .flip, stream: stream).words(0)[0] & 1 == 1
          {
            mirror(pixels, shape: dataset.shape)
          }
          let noise = Philox(seed: configuration.seed, purpose: .dequantisation, stream: stream)
          dequantisation.apply(
            UnsafeBufferPointer(pixels), noise: configuration.dequantisation == .uniform ? noise : nil,
            into: images + item * size)
        }
      }
    }
    try failures.rethrow()
    return places.map { dataset.label($0.index) ?? 0 }
  }

  private mutating func begin(_ epoch: Int) {
    self.epoch = epoch
    order =
      configuration.shuffles
      ? Philox(seed: configuration.seed, purpose: .order, stream: UInt64(epoch)).permutation(dataset.count)
      : Array(0..<dataset.count)
  }
}

/// Exchanges left and right of an image [H, W, C].
private func mirror(_ pixels: UnsafeMutableBufferPointer<UInt8>, shape: ImageShape) {
  let (width, channels) = (shape.width, shape.channels)
  for row in 0..<shape.height {
    for column in 0..<width / 2 {
      for channel in 0..<channels {
        let start = row * width
        pixels.swapAt(
          (start + column) * channels + channel, (start + width - 1 - column) * channels + channel)
      }
    }
  }
}
