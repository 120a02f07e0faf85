import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowRanks

/// How many images were decoded, and how many of them have a value that is not finite. As bytes, NaN and −∞ are 0 and
/// ∞ is the highest level.
package struct DecodedCount: Sendable, Equatable {
  package internal(set) var images = 0
  package internal(set) var nonFinite = 0

  package static func + (first: DecodedCount, second: DecodedCount) -> DecodedCount {
    DecodedCount(images: first.images + second.images, nonFinite: first.nonFinite + second.nonFinite)
  }

  package static func - (later: DecodedCount, earlier: DecodedCount) -> DecodedCount {
    DecodedCount(images: later.images - earlier.images, nonFinite: later.nonFinite - earlier.nonFinite)
  }
}

/// Draws images from a model, and decodes latents.
package final class Sampler {
  private let glow: Glow<Float>
  let workspace: Workspace<Float>
  /// The processes that share out the samples, with batches of one size: in each round every one draws the next.
  package var ranks = Ranks.one
  /// All images that this sampler has drawn or decoded.
  package private(set) var decoded = DecodedCount()
  /// Is told, after every pass, how many images of how many are done.
  package var progress: (_ done: Int, _ count: Int) -> Void = { _, _ in }

  /// - Throws: `MemoryError` if a batch does not fit.
  package init(_ glow: Glow<Float>, batch: Int = 64) throws {
    self.glow = glow
    try glow.requireMemory(batch: batch)
    workspace = try glow.workspace(batch: batch, purpose: .inference)
  }

  /// `count` samples. Sample i depends on the seed and i alone.
  ///
  /// - Parameters:
  ///   - temperature: a factor on the ε of every level.
  ///   - labels: the class of sample i is `labels[i % labels.count]`, in a conditional model.
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  package func sample(count: Int, temperature: Double, seed: UInt64, labels: [Int] = [0]) throws
    -> [ByteImage]
  {
    var images: [ByteImage] = []
    try sample(count: count, temperature: temperature, seed: seed, labels: labels) { images += $1 }
    return images
  }

  /// The same, what is drawn handed to `body` as it is there, with the number of its first sample. Of several processes
  /// each has all.
  ///
  /// - Throws: what `body` throws, too.
  package func sample(
    count: Int, temperature: Double, seed: UInt64, labels: [Int] = [0],
    _ body: (_ first: Int, _ images: [ByteImage]) throws -> Void
  ) throws {
    let size = glow.latentCount
    // Drawn where the images come to stand, which are as many values.
    precondition(size == glow.configuration.dimensions)
    let latents = workspace.images
    func draw(_ samples: Range<Int>) throws -> [ByteImage] {
      if samples.isEmpty { return [] }
      glow.team.run(samples.count) { item, _ in
        let own = UnsafeMutableBufferPointer(start: latents + item * size, count: size)
        Philox(seed: seed, purpose: .latents, stream: UInt64(samples.lowerBound + item)).fillNormal(own)
        for index in own.indices { own[index] *= Float(temperature) }
      }
      workspace.setLatents(latents, count: samples.count)
      return try decode(samples.count, labels: samples.map { labels[$0 % labels.count] })
    }
    let round = workspace.batch * ranks.count
    for start in stride(from: 0, to: count, by: round) {
      let first = min(count, start + ranks.rank * workspace.batch)
      let images = try gather { try draw(first..<min(count, first + workspace.batch)) }
      try body(start, images)
      progress(start + images.count, count)
    }
  }

  /// The images that all processes make, in their order; they count as decoded in each.
  private func gather(_ own: () throws -> [ByteImage]) throws -> [ByteImage] {
    if ranks.count == 1 { return try own() }
    let shape = ImageShape(glow.configuration)
    let before = decoded
    let parts = try ranks.exchangeValues {
      let images = try own()
      return DrawnImages(
        pixels: Data(images.flatMap(\.pixels)), nonFinite: decoded.nonFinite - before.nonFinite)
    }
    decoded = before
    return parts.flatMap { part in
      let count = part.pixels.count / shape.count
      decoded.images += count
      decoded.nonFinite += part.nonFinite
      return (0..<count).map {
        ByteImage(shape: shape, pixels: Array(part.pixels.dropFirst($0 * shape.count).prefix(shape.count)))
      }
    }
  }

  /// The images that latents stand for.
  ///
  /// - Parameters:
  ///   - latents: laid out as `Scorer.encode` gives them, one image after the other.
  ///   - labels: the class of image i is `labels[i % labels.count]`, in a conditional model.
  ///   - toNearest: take values to the nearest level of a byte, for latents of images without noise; else down.
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  package func decode(_ latents: UnsafeBufferPointer<Float>, labels: [Int] = [0], toNearest: Bool) throws
    -> [ByteImage]
  {
    let size = glow.latentCount
    precondition(latents.count % size == 0)
    return try stride(from: 0, to: latents.count / size, by: workspace.batch).flatMap { start in
      let count = min(workspace.batch, latents.count / size - start)
      workspace.setLatents(latents.baseAddress! + start * size, count: count)
      defer { progress(start + count, latents.count / size) }
      return try decode(
        count, labels: (start..<start + count).map { labels[$0 % labels.count] }, toNearest: toNearest)
    }
  }

  private func decode(_ count: Int, labels: [Int], toNearest: Bool = false) throws -> [ByteImage] {
    try glow.inverse(workspace, count: count, labels: glow.configuration.isConditional ? labels : nil)
    let size = ImageShape(glow.configuration).count
    decoded.images += count
    var isFinite = [Bool](repeating: true, count: count)
    isFinite.withUnsafeMutableBufferPointer { isFinite in
      glow.team.run(count) { item, _ in
        let image = UnsafeBufferPointer(start: workspace.images + item * size, count: size)
        isFinite[item] = !image.contains { !$0.isFinite }
      }
    }
    decoded.nonFinite += isFinite.count { !$0 }
    return glow.images(in: workspace, count: count, toNearest: toNearest)
  }
}

/// What one process tells the others of its samples.
private struct DrawnImages: Codable {
  let pixels: Data
  let nonFinite: Int
}

extension Glow<Float> {
  /// The first images in a workspace, as bytes.
  func images(in workspace: Workspace<Float>, count: Int, toNearest: Bool) -> [ByteImage] {
    let shape = ImageShape(configuration)
    var pixels = [UInt8](repeating: 0, count: count * shape.count)
    pixels.withUnsafeMutableBufferPointer { pixels in
      team.run(count) { item, _ in
        dequantization.quantize(
          workspace.images + item * shape.count, toNearest: toNearest,
          into: UnsafeMutableBufferPointer(rebasing: pixels[item * shape.count..<(item + 1) * shape.count]))
      }
    }
    return (0..<count).map {
      ByteImage(shape: shape, pixels: Array(pixels[$0 * shape.count..<($0 + 1) * shape.count]))
    }
  }
}

extension ImageShape {
  /// The shape of a model's images.
  package init(_ configuration: GlowConfiguration) {
    self.init(
      height: configuration.imageHeight, width: configuration.imageWidth,
      channels: configuration.imageChannels)
  }
}
