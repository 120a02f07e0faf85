import Foundation
import GlowFlow
import GlowImages

/// How well images come back from their latents.
package struct Reconstruction: Sendable, Equatable, CustomStringConvertible {
  package internal(set) var images = 0
  /// Images that come back bit by bit; of a model of fewer than 8 bits a value, those that have no more levels.
  package internal(set) var equal = 0
  /// The largest error of a value before it is rounded, in levels of a byte.
  package internal(set) var largestError = 0.0

  package var description: String {
    "\(equal) of \(counted(images, "image")) \(images == 1 ? "comes" : "come") back bit by bit; "
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
  ///   - body: gets each image's index, latents (laid out as `encode` gives them) and what they decode to, in order.
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
    try forEachBatch(dataset) { items in
      for item in items { if let error = item.error { throw error } }
      let count = items.count
      _ = try forward(items, dataset, settings)
      let values = UnsafeBufferPointer(start: workspace.images, count: count * glow.latentCount)
      let before = Array(values)
      let latents = (0..<count).map(latents)
      let labels = try glow.configuration.labels(of: items.map(\.index), in: dataset)
      try glow.inverse(workspace, count: count, labels: labels)
      for (old, new) in zip(before, values) {
        let error = 256 * Double(abs(new - old))
        // Written so that a NaN is not passed over, and stays.
        if !(error <= result.largestError) && !result.largestError.isNaN { result.largestError = error }
      }
      let decoded = glow.images(in: workspace, count: count, toNearest: dequantization == .none)
      for (place, item) in items.enumerated() {
        let original = ByteImage(shape: dataset.shape, pixels: Array(item.pixels))
        if decoded[place] == original { result.equal += 1 }
        try body(item.index, latents[place], decoded[place])
      }
      result.images += count
    }
    return result
  }
}
