import GlowFiles
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
  /// The images of each batch that this feed is asked for.
  private let share: Range<Int>
  /// Reads the places from `next` on, of which `room` may be asked for at once.
  private var reader: ReadAhead?
  private var next = 0
  private var room = 0
  /// Those of the images handed out by the last `load` that cannot be read, and that others have taken the place of.
  private(set) var skipped: [(index: Int, error: FileError)] = []
  /// So many images in a row that cannot be read are too many.
  private static let longestGap = 1000

  /// - Parameter share: of each batch; by default all of it.
  init(_ dataset: any Dataset, _ configuration: TrainingConfiguration, share: Range<Int>? = nil) {
    self.dataset = dataset
    self.configuration = configuration
    self.share = share ?? 0..<configuration.batch
  }

  /// The first place from `place` on that is in the share.
  private static func place(from place: Int, in share: Range<Int>, batch: Int) -> Int {
    let (start, image) = (place / batch * batch, place % batch)
    if image >= share.upperBound { return start + batch + share.lowerBound }
    return start + max(image, share.lowerBound)
  }

  /// Puts images `start..<start + count` of the sequence into `workspace.images`, dequantized by the team, and
  /// returns their places in the data set. Those that follow are read ahead.
  ///
  /// - Throws: `FileError` with the name of the first image that cannot be read, unless such are skipped.
  mutating func load(
    _ start: Int, count: Int, into images: UnsafeMutablePointer<Float>, dequantization: Dequantization,
    team: ThreadTeam
  ) throws -> [Int] {
    let reader = reader(from: start, count: count, threads: team.count)
    self.reader = nil
    skipped = []
    let indices = try reader.withNext(count) { items in
      let indices = try items.map { try replaceIfBroken($0) }
      team.run(count) { item, _ in
        put(
          items[item], place: start + item, into: images + item * dataset.shape.count,
          dequantization: dequantization)
      }
      return indices
    }
    next = ImageFeed.place(from: start + count, in: share, batch: configuration.batch)
    self.reader = reader
    return indices
  }

  /// Puts the next image of the data set that can be read in the place of one that cannot, and returns its index.
  private mutating func replaceIfBroken(_ item: ReadAhead.Item) throws -> Int {
    guard let reason = item.error else { return item.index }
    let error = FileError(dataset.source(item.index), (reason as? FileError)?.reason ?? "\(reason)")
    if configuration.onError == .fail { throw error }
    skipped.append((item.index, error))
    let pixels = UnsafeMutableBufferPointer(mutating: item.pixels)
    for distance in 1..<max(1, min(dataset.count, ImageFeed.longestGap)) {
      let index = (item.index + distance) % dataset.count
      if (try? dataset.read(index, into: pixels)) != nil { return index }
    }
    throw FileError(error.path, "\(error.reason); none of the images after it can be read either")
  }

  private mutating func reader(from start: Int, count: Int, threads: Int) -> ReadAhead {
    if let reader, next == start, count <= room { return reader }
    room = 2 * count
    return ReadAhead(
      dataset,
      Order(imageCount: dataset.count, configuration: configuration, share: share, place: start),
      capacity: room, threads: threads)
  }

  private func put(
    _ item: ReadAhead.Item, place: Int, into values: UnsafeMutablePointer<Float>,
    dequantization: Dequantization
  ) {
    let stream = UInt64(place / dataset.count) << 32 | UInt64(item.index)
    if configuration.flips,
      Philox(seed: configuration.seed, purpose: .flip, stream: stream).words(0)[0] & 1 == 1
    {
      mirror(UnsafeMutableBufferPointer(mutating: item.pixels), shape: dataset.shape)
    }
    let noise = Philox(seed: configuration.seed, purpose: .dequantization, stream: stream)
    let kind = configuration.dequantization
    dequantization.apply(
      item.pixels, noise: kind == .none ? nil : noise, byParts: kind == .variational, into: values)
  }

  /// The image at `place`, and at each place after it that is in the share.
  private struct Order: Sequence, IteratorProtocol {
    let imageCount: Int
    let configuration: TrainingConfiguration
    let share: Range<Int>
    var place: Int
    private var epoch = -1
    private var order: [Int] = []

    init(imageCount: Int, configuration: TrainingConfiguration, share: Range<Int>, place: Int) {
      self.imageCount = imageCount
      self.configuration = configuration
      self.share = share
      self.place = place
    }

    mutating func next() -> Int? {
      place = ImageFeed.place(from: place, in: share, batch: configuration.batch)
      if place / imageCount != epoch { begin(place / imageCount) }
      defer { place += 1 }
      return order[place % imageCount]
    }

    private mutating func begin(_ epoch: Int) {
      self.epoch = epoch
      order =
        configuration.shuffles
        ? Philox(seed: configuration.seed, purpose: .order, stream: UInt64(epoch)).permutation(imageCount)
        : Array(0..<imageCount)
    }
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
