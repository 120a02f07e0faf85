import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowRanks

/// Scores images with a model, in batches through one workspace.
///
/// An image's dequantization noise is keyed by the seed and the image's own bytes, so its score depends on nothing
/// but the image, the model and the seed. Images are read ahead of the batch that is scored.
package final class Scorer {
  let glow: Glow<Float>
  let workspace: Workspace<Float>
  /// Is told, after every pass, how many images of how many are done.
  package var progress: (_ done: Int, _ count: Int) -> Void = { _, _ in }
  /// The processes that share out the images of `score`: in each round every one has the next batch.
  package var ranks = Ranks.one
  private var imagesDone = 0
  /// What reading has cost in all.
  package private(set) var readingCost = ReadAhead.Cost()

  /// - Throws: `MemoryError` if a batch does not fit.
  package init(_ glow: Glow<Float>, batch: Int = 64) throws {
    self.glow = glow
    try glow.requireMemory(batch: batch)
    workspace = try glow.workspace(batch: batch, purpose: .inference)
  }

  /// Calls `body` with each image's record, in order. Where an image has many draws of the noise, they make up the
  /// batch, so that records come one by one. Of several processes each has the records of all.
  ///
  /// - Parameter shouldStop: asked before each pass, it must not go back to false.
  /// - Throws: unless `settings.onError` is `skip`, `FileError` of the first image that cannot be read, or whose
  ///   log-likelihood is not finite.
  package func score(
    _ dataset: any Dataset, _ settings: ScoringSettings, shouldStop: () -> Bool = { false },
    _ body: (ScoreRecord) throws -> Void
  ) throws {
    let count = max(1, workspace.batch / settings.importanceSamples)
    try forEachBatch(dataset, of: count, shouldStop: shouldStop) { items in
      if ranks.count == 1 { return try forEachRecord(items, dataset, settings, shouldStop, body) }
      let told = try ranks.exchangeValues {
        var records: [ScoreRecord] = []
        try forEachRecord(items, dataset, settings, shouldStop) { records.append($0) }
        return records
      }
      for record in told.joined() { try body(record) }
    }
  }

  /// Scores a batch.
  private func forEachRecord(
    _ items: [ReadAhead.Item], _ dataset: any Dataset, _ settings: ScoringSettings, _ shouldStop: () -> Bool,
    _ body: (ScoreRecord) throws -> Void
  ) throws {
    let readable = items.filter { $0.error == nil }
    let found = try scores(readable, dataset, settings) {
      progress(imagesDone, dataset.count)
      return shouldStop()
    }
    guard var scores = found?.makeIterator() else { return }
    var digests = (settings.takesDigests ? digests(readable) : []).makeIterator()
    for item in items {
      let path = dataset.source(item.index)
      let result: Result<ImageScore, FileError>
      let digest = item.error == nil ? digests.next() : nil
      if let error = item.error {
        result = .failure(error as? FileError ?? FileError(path, "\(error)"))
      } else {
        let score = scores.next()!
        result =
          score.nats.isFinite
          ? .success(score) : .failure(FileError(path, "has a log-likelihood that is not finite"))
      }
      if settings.onError == .fail { _ = try result.get() }
      var record = ScoreRecord(
        index: item.index, path: path, label: dataset.label(item.index), result: result)
      record.digest = digest
      record.traits = item.error == nil ? item.traits : nil
      try body(record)
    }
  }

  /// The log-likelihood of one image.
  ///
  /// - Throws: `TrainingError` if its shape is not the model's; `FileError` if the model needs its class.
  package func score(_ image: ByteImage, seed: UInt64 = 0) throws -> LogLikelihood {
    if image.shape != ImageShape(glow.configuration) {
      throw TrainingError(
        "an image of \(image.shape) does not fit a model for \(ImageShape(glow.configuration))")
    }
    var settings = ScoringSettings()
    settings.dequantization = glow.configuration.dequantization
    settings.seed = seed
    var result: LogLikelihood?
    try forEachBatch(ImageArray([image])) { result = try forward($0, ImageArray([image]), settings)[0] }
    return result!
  }

  /// The mean over a set of images, which may be infinite or NaN.
  ///
  /// - Parameter onError: is told why an image cannot be read; if it does not throw, the mean goes without the image.
  /// - Throws: what `onError` throws.
  package func score(
    _ dataset: any Dataset, dequantization: DequantizationKind = .uniform, seed: UInt64 = 0,
    shouldStop: () throws -> Bool = { false },
    onError: (_ index: Int, _ error: any Error) throws -> Void = { throw $1 }
  ) throws -> Score {
    var settings = ScoringSettings()
    settings.dequantization = dequantization
    settings.seed = seed
    var scores: [Double] = []
    try forEachBatch(dataset, shouldStop: shouldStop) { items in
      scores += try ranks.gather {
        for item in items { if let error = item.error { try onError(item.index, error) } }
        return try forward(items.filter { $0.error == nil }, dataset, settings).map(\.bitsPerDimension)
      }
    }
    return Score(scores)
  }

  /// Calls `body` with each image's index and latents, in order: ε of split 0, split 1, …, top, each in
  /// (row, column, channel) order.
  ///
  /// - Throws: `FileError` of the first image that cannot be read.
  package func encode(
    _ dataset: any Dataset, dequantization: DequantizationKind = .uniform, seed: UInt64 = 0,
    _ body: (_ index: Int, _ latents: [Float]) throws -> Void
  ) throws {
    var settings = ScoringSettings()
    settings.dequantization = dequantization
    settings.seed = seed
    try forEachBatch(dataset) { items in
      for item in items { if let error = item.error { throw error } }
      _ = try forward(items, dataset, settings)
      for (place, item) in items.enumerated() {
        try body(item.index, latents(place))
      }
    }
  }

  /// ε of an image in the workspace.
  func latents(_ place: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: glow.latentCount) { buffer, count in
      workspace.readLatents(place, into: buffer.baseAddress!)
      count = glow.latentCount
    }
  }

  /// Calls `body` in rounds, in each with the next batch; of several processes each has one, or nothing at the end.
  ///
  /// - Parameter size: images a batch; by default as many as there is room for.
  func forEachBatch(
    _ dataset: any Dataset, of size: Int? = nil, shouldStop: () throws -> Bool = { false },
    _ body: ([ReadAhead.Item]) throws -> Void
  ) rethrows {
    let size = size ?? workspace.batch
    let (rank, count) = (ranks.rank, ranks.count)
    imagesDone = 0
    let reader = ReadAhead(
      dataset, (0..<dataset.count).lazy.filter { $0 / size % count == rank }, capacity: 2 * size,
      threads: max(1, min(glow.team.count, dataset.count)))
    defer { readingCost += reader.cost }
    for start in stride(from: 0, to: dataset.count, by: size * count) {
      if try shouldStop() { return }
      let images = min(size, dataset.count - start - rank * size)
      if images > 0 { try reader.withNext(images, body) } else { try body([]) }
      imagesDone = min(dataset.count, start + size * count)
      progress(imagesDone, dataset.count)
    }
  }

  /// The scores of images that could be read; nil if it was to stop.
  private func scores(
    _ items: [ReadAhead.Item], _ dataset: any Dataset, _ settings: ScoringSettings, _ shouldStop: () -> Bool
  ) throws -> [ImageScore]? {
    if items.isEmpty { return [] }
    let count = settings.importanceSamples
    let draws = items.flatMap { item in (0..<count).map { Draw(item: item, number: $0) } }
    // Of each pass, for each class, the likelihood of each draw.
    var passes: [[[LogLikelihood]]] = []
    for start in stride(from: 0, to: draws.count, by: workspace.batch) {
      if start > 0 && shouldStop() { return nil }
      let batch = draws[start..<min(start + workspace.batch, draws.count)]
      passes.append(try likelihoods(Array(batch), dataset, settings))
    }
    let classes = passes[0].indices.map { label in passes.flatMap { $0[label] } }
    let complexities = try settings.compressor.map { try self.complexities(items, dataset.shape, $0) }
    return items.indices.map { place in
      let ofClasses = classes.map { Array($0[place * count..<(place + 1) * count]) }
      return ImageScore(
        ofClasses: ofClasses, settings.classes,
        label: glow.configuration.isConditional ? label(of: items[place].index, dataset, settings) : nil,
        compressedBitsPerDimension: complexities?[place])
    }
  }

  /// The class that an image is scored as, where it is known before.
  private func label(of index: Int, _ dataset: any Dataset, _ settings: ScoringSettings) -> Int? {
    switch settings.classes {
    case .ofImages: dataset.label(index)
    case .one(let label): label
    case .marginal, .best: nil
    }
  }

  /// One draw of the noise of an image.
  private struct Draw {
    let item: ReadAhead.Item
    let number: Int
  }

  /// For the class that each image is scored as, or for all of them, the likelihood of each draw.
  private func likelihoods(
    _ draws: [Draw], _ dataset: any Dataset, _ settings: ScoringSettings
  ) throws -> [[LogLikelihood]] {
    try load(draws, dataset, settings)
    switch settings.classes {
    case .ofImages:
      let labels = try glow.configuration.labels(of: draws.map(\.item.index), in: dataset)
      return [glow.forward(workspace, count: draws.count, labels: labels)]
    case .one(let label):
      return [
        glow.forward(workspace, count: draws.count, labels: [Int](repeating: label, count: draws.count))
      ]
    case .marginal, .best: return glow.forwardOfAllClasses(workspace, count: draws.count)
    }
  }

  private func digests(_ items: [ReadAhead.Item]) -> [String] {
    var result = [String](repeating: "", count: items.count)
    result.withUnsafeMutableBufferPointer { buffer in
      // Each piece writes to its own place.
      nonisolated(unsafe) let digests = buffer
      glow.team.run(items.count) { place, _ in
        digests[place] = SHA256.digest(UnsafeRawBufferPointer(items[place].pixels))
      }
    }
    return result
  }

  /// Sends images through the flow; their latents are then in the workspace.
  ///
  /// - Throws: `FileError` of an image without the class that the model needs.
  func forward(
    _ items: [ReadAhead.Item], _ dataset: any Dataset, _ settings: ScoringSettings
  ) throws -> [LogLikelihood] {
    if items.isEmpty { return [] }
    try load(items.map { Draw(item: $0, number: 0) }, dataset, settings)
    let labels = try glow.configuration.labels(of: items.map(\.index), in: dataset)
    return glow.forward(workspace, count: items.count, labels: labels)
  }

  /// Puts images into the workspace.
  ///
  /// - Throws: `ConfigurationError` if the model has not learned the noise that is asked for.
  private func load(_ draws: [Draw], _ dataset: any Dataset, _ settings: ScoringSettings) throws {
    let size = dataset.shape.count
    let kind = settings.dequantization
    try glow.configuration.requireNoise(kind)
    workspace.imagesAreFinal = kind != .variational
    glow.team.run(draws.count) { place, _ in
      let pixels = draws[place].item.pixels
      let noise = Philox(
        seed: settings.seed, purpose: .evaluation,
        stream: Dequantization.digest(pixels, draw: draws[place].number))
      glow.dequantization.apply(
        pixels, noise: kind == .none ? nil : noise, byParts: kind == .variational,
        into: workspace.images + place * size)
    }
  }

  /// Bits a dimension of each image in the levels that the model sees, as a compressed file.
  ///
  /// - Throws: `FileError` if the compressor refuses, as it does when memory runs out.
  private func complexities(
    _ items: [ReadAhead.Item], _ shape: ImageShape, _ compressor: Compressor
  ) throws -> [Double] {
    let mask = UInt8(truncatingIfNeeded: 0xFF00 >> glow.configuration.bits)
    let failures = FirstFailure()
    let result = [Double](unsafeUninitializedCapacity: items.count) { buffer, count in
      buffer.initialize(repeating: 0)
      count = items.count
      // Each piece writes to its own place.
      let bits = buffer
      glow.team.run(items.count) { place, _ in
        failures.catching(place) {
          let image = ByteImage(shape: shape, pixels: items[place].pixels.map { $0 & mask })
          bits[place] = 8 * Double(try compressor.size(of: image)) / Double(shape.count)
        }
      }
    }
    try failures.rethrow()
    return result
  }
}
