import Foundation
import GlowFlow
import GlowImages
import GlowRanks

/// How well images come back from their latents.
package struct Reconstruction: Sendable, Equatable, Codable, CustomStringConvertible {
  package internal(set) var images = 0
  /// Images that come back bit by bit, in the bits of a value that the model has.
  package internal(set) var equal = 0
  /// Of a value.
  package internal(set) var bits = 8
  /// The largest error of a value before it is rounded, in levels of a byte.
  package internal(set) var largestError = 0.0
  /// Of the images.
  package internal(set) var traits = TraitCounts()

  package var description: String {
    "\(equal) of \(counted(images, "image")) \(images == 1 ? "comes" : "come") back bit by bit"
      + (bits == 8 ? "; " : " in the \(counted(bits, "bit")) of a value that the model has; ")
      + String(format: "largest error %.5f of a level", largestError)
  }
}

extension Scorer {
  /// The latents that stand as of class `target` for the image that `latents` stand for as of class `source`.
  ///
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  package func translate(_ latents: [Float], from source: Int, to target: Int) throws -> [Float] {
    latents.withUnsafeBufferPointer { workspace.setLatents($0.baseAddress!, count: 1) }
    try glow.inverse(workspace, count: 1, labels: [source])
    _ = glow.forward(workspace, count: 1, labels: [target])
    return self.latents(0)
  }

  /// Takes images to their latents and back, batch by batch.
  ///
  /// - Parameters:
  ///   - dequantization: without noise, values are taken back to the nearest level; with noise, down. Learned noise is
  ///     taken back to the uniform noise that it was made of.
  ///   - body: gets each image's index, latents (laid out as `encode` gives them) and what they decode to, in order; of
  ///     several processes each gets all.
  /// - Throws: `FileError` of the first image that cannot be read, `LinearAlgebraError` if a channel map has no
  ///   inverse, or what `body` throws.
  package func reconstruct(
    _ dataset: any Dataset, dequantization: DequantizationKind = .none, seed: UInt64 = 0,
    _ body: (_ index: Int, _ latents: [Float], _ decoded: ByteImage) throws -> Void = { _, _, _ in }
  ) throws -> Reconstruction {
    var settings = ScoringSettings()
    settings.dequantization = dequantization
    settings.seed = seed
    var result = Reconstruction()
    result.bits = glow.configuration.bits
    try forEachBatch(dataset) { items in
      for round in try ranks.exchangeValues({ try reconstruct(items, dataset, settings) }) {
        for (place, index) in round.indices.enumerated() {
          try body(index, round.latents(place), round.image(place, dataset.shape))
        }
        result.add(round.summary)
      }
    }
    return result
  }

  /// A batch, which may be empty.
  private func reconstruct(
    _ items: [ReadAhead.Item], _ dataset: any Dataset, _ settings: ScoringSettings
  ) throws -> ReconstructedBatch {
    for item in items { if let error = item.error { throw error } }
    var batch = ReconstructedBatch(indices: items.map(\.index))
    if items.isEmpty { return batch }
    let count = items.count
    _ = try forward(items, dataset, settings)
    let values = UnsafeBufferPointer(start: workspace.images, count: count * glow.latentCount)
    let before = Array(values)
    for place in 0..<count { latents(place).withUnsafeBytes { batch.latents.append(contentsOf: $0) } }
    let labels = try glow.configuration.labels(of: items.map(\.index), in: dataset)
    try glow.inverse(workspace, count: count, labels: labels)
    for (old, new) in zip(before, values) { batch.summary.add(error: 256 * Double(abs(new - old))) }
    let decoded = glow.images(in: workspace, count: count, toNearest: settings.dequantization == .none)
    let unused = UInt8(8 - glow.configuration.bits)
    for (image, item) in zip(decoded, items) {
      let isEqual = zip(image.pixels, item.pixels).allSatisfy { $0 >> unused == $1 >> unused }
      if isEqual { batch.summary.equal += 1 }
      batch.summary.traits.add(item.traits)
      batch.pixels.append(contentsOf: image.pixels)
    }
    batch.summary.images = count
    return batch
  }
}

/// What one process tells the others of a batch that has gone to its latents and back.
private struct ReconstructedBatch: Codable {
  let indices: [Int]
  /// Float32 of each image, and its bytes.
  var latents = Data()
  var pixels = Data()
  var summary = Reconstruction()

  init(indices: [Int]) { self.indices = indices }

  func latents(_ place: Int) -> [Float] {
    let count = latents.count / MemoryLayout<Float>.stride / indices.count
    return latents.withUnsafeBytes { raw in
      (place * count..<(place + 1) * count).map {
        raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
      }
    }
  }

  func image(_ place: Int, _ shape: ImageShape) -> ByteImage {
    ByteImage(shape: shape, pixels: Array(pixels.dropFirst(place * shape.count).prefix(shape.count)))
  }
}

extension Reconstruction {
  fileprivate mutating func add(_ other: Reconstruction) {
    images += other.images
    equal += other.equal
    traits.add(other.traits)
    add(error: other.largestError)
  }

  fileprivate mutating func add(error: Double) {
    // Written so that a NaN is not passed over, and stays.
    if !(error <= largestError) && !largestError.isNaN { largestError = error }
  }
}
