import Foundation
import GlowFlow
import GlowImages
import GlowKernels

/// Bits/dim of a set of images.
public struct Score: Sendable {
  public let images: Int
  public let bitsPerDimension: Double
  /// Of the mean, from the spread over the images.
  public let standardError: Double
}

/// Scores images with a model, in batches through one workspace.
///
/// An image's dequantisation noise is keyed by the seed and the image's own bytes, so its score depends on nothing
/// but the image, the model and the seed.
public final class Scorer {
  let glow: Glow<Float>
  let workspace: Workspace<Float>

  public init(_ glow: Glow<Float>, batch: Int = 64) {
    self.glow = glow
    workspace = glow.workspace(batch: batch, purpose: .inference)
  }

  /// Calls `body` with each image's index and log-likelihood, in order.
  ///
  /// - Parameter indices: which images; by default all.
  /// - Throws: `FileError` of the first image that cannot be read.
  public func score(
    _ dataset: any Dataset, _ indices: Range<Int>? = nil, dequantisation: DequantisationKind = .uniform,
    seed: UInt64 = 0, shouldStop: () -> Bool = { false },
    _ body: (_ index: Int, _ likelihood: LogLikelihood) throws -> Void
  ) throws {
    try pass(
      dataset, indices ?? 0..<dataset.count, dequantisation, seed: seed, shouldStop: shouldStop,
      body: { index, _, likelihood in try body(index, likelihood) })
  }

  /// Calls `body` with each image's index and latents, in order: ε of split 0, split 1, …, top, each in
  /// (row, column, channel) order.
  ///
  /// - Throws: `FileError` of the first image that cannot be read.
  public func encode(
    _ dataset: any Dataset, dequantisation: DequantisationKind = .uniform, seed: UInt64 = 0,
    _ body: (_ index: Int, _ latents: [Float]) throws -> Void
  ) throws {
    try pass(
      dataset, 0..<dataset.count, dequantisation, seed: seed, shouldStop: { false },
      body: { index, item, _ in try body(index, latents(item)) })
  }

  /// ε of an image in the workspace.
  func latents(_ item: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: glow.latentCount) { buffer, count in
      workspace.readLatents(item, into: buffer.baseAddress!)
      count = glow.latentCount
    }
  }

  /// Sends images through the flow; `body` gets each one's index, its place in the workspace and its likelihood.
  private func pass(
    _ dataset: any Dataset, _ indices: Range<Int>, _ dequantisation: DequantisationKind, seed: UInt64,
    shouldStop: () -> Bool, body: (_ index: Int, _ item: Int, _ likelihood: LogLikelihood) throws -> Void
  ) throws {
    for start in stride(from: indices.lowerBound, to: indices.upperBound, by: workspace.batch) {
      if shouldStop() { return }
      let count = min(workspace.batch, indices.upperBound - start)
      try load(dataset, start, count: count, dequantisation, seed: seed)
      let labels = (0..<count).map { dataset.label(start + $0) ?? 0 }
      let likelihoods = glow.forward(
        workspace, count: count, labels: glow.configuration.isConditional ? labels : nil)
      for (item, likelihood) in likelihoods.enumerated() { try body(start + item, item, likelihood) }
    }
  }

  func load(
    _ dataset: any Dataset, _ start: Int, count: Int, _ dequantisation: DequantisationKind, seed: UInt64
  ) throws {
    let size = dataset.shape.count
    let failures = FirstFailure()
    glow.team.run(count) { item, _ in
      failures.catching(item) {
        try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: size) { pixels in
          try dataset.read(start + item, into: pixels)
          let bytes = UnsafeBufferPointer(pixels)
          let noise = Philox(seed: seed, purpose: .evaluation, stream: Dequantisation.digest(bytes))
          glow.dequantisation.apply(
            bytes, noise: dequantisation == .uniform ? noise : nil, into: workspace.images + item * size)
        }
      }
    }
    try failures.rethrow()
  }

  /// The log-likelihood of one image.
  ///
  /// - Throws: `TrainingError` if its shape is not the model's.
  public func score(_ image: ByteImage, seed: UInt64 = 0) throws -> LogLikelihood {
    if image.shape != ImageShape(glow.configuration) {
      throw TrainingError(
        "an image of \(image.shape) does not fit a model for \(ImageShape(glow.configuration))")
    }
    var result: LogLikelihood?
    try score(ImageArray([image]), seed: seed) { result = $1 }
    return result!
  }

  /// The mean over a set of images.
  public func score(
    _ dataset: any Dataset, dequantisation: DequantisationKind = .uniform, seed: UInt64 = 0,
    shouldStop: () -> Bool = { false }
  ) throws -> Score {
    var scores: [Double] = []
    try score(dataset, dequantisation: dequantisation, seed: seed, shouldStop: shouldStop) {
      scores.append($1.bitsPerDimension)
    }
    return Score(scores)
  }
}

extension Score {
  public init(_ bitsPerDimension: [Double]) {
    images = bitsPerDimension.count
    let mean = bitsPerDimension.reduce(0, +) / Double(images)
    self.bitsPerDimension = mean
    let squares = bitsPerDimension.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    standardError = images > 1 ? (squares / Double(images - 1) / Double(images)).squareRoot() : 0
  }
}
