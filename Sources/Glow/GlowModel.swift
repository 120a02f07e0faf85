import GlowFlow
import GlowImages
import GlowKernels
import GlowLatents
import GlowStorage
import GlowTraining

/// A Glow (Kingma & Dhariwal 2018): an invertible map between images and latents that gives the exact log-likelihood of
/// each image.
///
/// A model is an actor and does one thing at a time, on a thread of its own and as many helpers as it was given. Two models
/// may work at the same time. Work on many images ends with a `CancellationError` soon after its task is cancelled, but that of
/// `scores(of:seed:)` without one.
public actor GlowModel {
  /// The shape of its images.
  public nonisolated let imageShape: ImageShape
  /// Its settings.
  public nonisolated let configuration: Configuration
  /// Names of the classes that its images are of; empty if the model knows none.
  public nonisolated let classNames: [String]

  /// The shape and the kinds of the parts of a model.
  public typealias Configuration = GlowConfiguration

  private let queue = WorkQueue()
  private let flow: Glow<Float>
  private let metadata: [String: String]
  /// Made when first needed.
  private var parts: (scorer: Scorer, sampler: Sampler)?

  /// Images that are sent through the model at a time.
  private static let batch = 64

  /// A thread of the model's own.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

  /// Reads a model.
  ///
  /// - Parameters:
  ///   - path: its file, or the run folder that holds it.
  ///   - threads: to work with; nil takes one for each processor that the process may use.
  /// - Throws: an error that names the file and what is wrong with it.
  public init(contentsOf path: String, threads: Int? = nil) throws {
    let (flow, metadata) = try ModelFile.read(path, as: Float.self, team: GlowModel.team(threads))
    let classes = flow.configuration.classCount
    try self.init(
      flow, metadata, classNames: ClassNames.read(metadata, count: classes, path: path) ?? [])
  }

  init(_ flow: Glow<Float>, _ metadata: [String: String], classNames: [String]) {
    self.flow = flow
    self.metadata = metadata
    self.classNames = classNames
    configuration = flow.configuration
    imageShape = ImageShape(flow.configuration)
  }

  static func team(_ threads: Int?) -> ThreadTeam {
    ThreadTeam(count: threads ?? ThreadTeam.availableCount)
  }

  /// Writes the model: the whole file, or none.
  ///
  /// - Throws: an error that names the file and what is wrong.
  public func write(to path: String) throws { try ModelFile.write(flow, metadata: metadata, to: path) }

  // MARK: Scores

  /// The score of one image.
  ///
  /// - Parameters:
  ///   - image: of the shape `imageShape`.
  ///   - seed: of the noise that makes densities of bytes. The score depends on the image, the model and the seed alone.
  ///   - label: the class of the image, for a model that knows classes.
  /// - Throws: if the image does not fit the model.
  public func score(_ image: Image, seed: UInt64 = 0, label: Int? = nil) throws -> ImageScore {
    if let label { try check([label]) }
    var result: ImageScore?
    try score(ImageSet(ImageArray([image], label: label)), seed) { result = try $0.result.get() }
    // There is none where the task has been cancelled.
    guard let result else { throw CancellationError() }
    return result
  }

  /// The scores of images, in order, as they are computed; those that cannot be read or scored are among them.
  ///
  /// Whoever stops to ask for more ends the work. As every `AsyncThrowingStream`, the sequence ends without an error, and
  /// without the rest, in a task that is cancelled.
  ///
  /// - Parameters:
  ///   - images: of the shape `imageShape`; for a model that knows classes, of some of these, by their names.
  ///   - seed: of the noise that makes densities of bytes.
  /// - Returns: a sequence that throws if the images do not fit the model or memory.
  public nonisolated func scores(
    of images: ImageSet, seed: UInt64 = 0
  ) -> AsyncThrowingStream<ScoredImage, any Error> {
    AsyncThrowingStream { continuation in
      let task = Task {
        do {
          try await self.score(images, seed, into: continuation)
          continuation.finish()
        } catch { continuation.finish(throwing: error) }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  private func score(
    _ images: ImageSet, _ seed: UInt64, into stream: AsyncThrowingStream<ScoredImage, any Error>.Continuation
  ) throws {
    try score(images, seed) { stream.yield($0) }
    try Task.checkCancellation()
  }

  private func score(_ images: ImageSet, _ seed: UInt64, _ body: (ScoredImage) throws -> Void) throws {
    let dataset = try images.dataset(for: self)
    var settings = ScoringSettings()
    settings.dequantization = flow.configuration.dequantization
    settings.seed = seed
    settings.onError = .skip
    func isCancelled() -> Bool { Task.isCancelled }
    try tools().scorer.score(dataset, settings, shouldStop: isCancelled) { record in
      try body(
        ScoredImage(
          index: record.index, name: record.path, label: record.label,
          result: record.result.map { ImageScore(nats: $0.nats, bitsPerDimension: $0.bitsPerDimension) }
            .mapError { $0 as any Error }))
    }
  }

  // MARK: Samples

  /// Draws images. Image i depends on the seed and i alone.
  ///
  /// - Parameters:
  ///   - count: images to draw.
  ///   - temperature: a factor on the latents: at 0.7 samples look cleaner and are less various than at 1.
  ///   - seed: of the latents.
  ///   - labels: the classes of the images, in turn, for a model that knows classes.
  /// - Throws: if the model cannot be inverted, or `count` or `temperature` is negative.
  public func sample(
    _ count: Int, temperature: Double = 0.7, seed: UInt64 = 0, labels: [Int] = [0]
  ) throws -> [Image] {
    try check(labels)
    if count < 0 { throw GlowError("\(count) images cannot be drawn") }
    if !(temperature >= 0 && temperature.isFinite) {
      throw GlowError("the temperature must not be negative, not \(temperature)")
    }
    var images: [Image] = []
    try tools().sampler.sample(count: count, temperature: temperature, seed: seed, labels: labels) {
      images += $1
      try Task.checkCancellation()
    }
    return images
  }

  // MARK: Latents

  /// The latents of images, without noise: `decode` makes the same images of them.
  ///
  /// - Parameters:
  ///   - images: of the shape `imageShape`.
  ///   - label: the class of the images, for a model that knows classes.
  /// - Throws: if an image does not fit the model.
  public func encode(_ images: [Image], label: Int = 0) throws -> [Latents] {
    try check([label])
    let space = try space(label)
    return try GlowModel.inBatches(images) { try space.encode($0).map { Latents($0) } }
  }

  /// The images that latents stand for.
  ///
  /// - Parameters:
  ///   - latents: each as many values as an image has.
  ///   - label: the class of the images, for a model that knows classes.
  /// - Throws: if the model cannot be inverted, or latents are not as many values as an image has.
  public func decode(_ latents: [Latents], label: Int = 0) throws -> [Image] {
    try check([label])
    if let other = latents.first(where: { $0.values.count != imageShape.count }) {
      throw GlowError("latents of \(other.values.count) values do not fit a model for \(imageShape)")
    }
    let space = try space(label)
    return try GlowModel.inBatches(latents) { try space.decode($0.map(\.values)) }
  }

  /// The direction in which the latents of images with an attribute, or of a class, lie from those without: the difference of
  /// both means.
  ///
  /// - Parameters:
  ///   - attribute: one of the images' `attributeNames` or `classNames`.
  ///   - images: some with it and some without; for a model that knows classes, of some of these, by their names.
  /// - Throws: if the images do not fit the model, have no such attribute, or all have it or none has.
  public func direction(of attribute: String, in images: ImageSet) throws -> Latents {
    let dataset = try images.dataset(for: self)
    let attributes = DatasetAttributes(dataset)
    let place = try attributes.index(of: attribute, data: "the images")
    let statistics = try AttributeStatistics(
      dataset, attributes: attributes, scorer: tools().scorer, size: flow.latentCount)
    return Latents(try statistics.meanDifference(place))
  }

  // MARK: Parts

  /// What `body` makes of items, as long as the task is not cancelled.
  private static func inBatches<Item, Result>(
    _ items: [Item], _ body: ([Item]) throws -> [Result]
  ) throws -> [Result] {
    try stride(from: 0, to: items.count, by: batch).flatMap { start in
      try Task.checkCancellation()
      return try body(Array(items[start..<min(start + batch, items.count)]))
    }
  }

  private func tools() throws -> (scorer: Scorer, sampler: Sampler) {
    if let parts { return parts }
    let batch = flow.batchThatFits(GlowModel.batch, passes: 2)
    let made = (try Scorer(flow, batch: batch), try Sampler(flow, batch: batch))
    parts = made
    return made
  }

  private func space(_ label: Int) throws -> LatentSpace { try LatentSpace(flow, label: label) }

  private func check(_ labels: [Int]) throws {
    if labels.isEmpty { throw GlowError("no class is given to draw images of") }
    if let label = labels.first(where: { $0 != 0 && !(0..<configuration.classCount).contains($0) }) {
      throw GlowError("the model has \(configuration.classCount) classes, and none is number \(label)")
    }
  }
}

extension ImageSet {
  /// The images with their classes under the model's numbers.
  ///
  /// - Throws: if they do not fit the model.
  fileprivate func dataset(for model: GlowModel) throws -> any Dataset {
    if shape != model.imageShape {
      throw GlowError("images of \(shape) do not fit a model for \(model.imageShape)")
    }
    return try model.configuration.isConditional ? dataset(of: model.classNames, "the model") : dataset
  }

  /// The images with their classes under other numbers: those of names that are known already, if any are.
  ///
  /// - Parameter owner: who knows the names, for the error.
  /// - Throws: `ConfigurationError` if a class is not among them.
  func dataset(of known: [String], _ owner: String) throws -> any Dataset {
    if known.isEmpty || classNames == known { return dataset }
    // By their numbers.
    if classNames.isEmpty { return dataset.relabeled(known, places: Array(known.indices)) }
    let places = try ClassNames.places(
      of: classNames, in: known, count: known.count, location: "the set", path: owner)
    return dataset.relabeled(known, places: places)
  }
}

/// What a model says of one image.
public struct ImageScore: Sendable, Hashable {
  /// A lower bound of the natural logarithm of the image's probability.
  public let nats: Double
  /// The same, negative, in bits for each of the image's values: less is likelier.
  public let bitsPerDimension: Double
}

/// An image of a set and its score, or why it has none.
public struct ScoredImage: Sendable {
  /// The image's place in its set.
  public let index: Int
  /// Where it comes from.
  public let name: String
  /// Its class, if it has one: by its number in the model, if that knows classes, else in the set.
  public let label: Int?
  /// Its score, or why it has none.
  public let result: Result<ImageScore, any Error>
}
