import GlowFlow
import GlowImages
import GlowKernels
import GlowTraining

/// A model as a map between a few images and their latents, without noise: what is encoded decodes to itself.
package final class LatentSpace {
  package let shape: ImageShape
  /// What the model is multiplied with.
  package let kernels: ProductKernels
  private let scorer: Scorer
  private let sampler: Sampler
  private let label: Int

  /// - Parameters:
  ///   - batch: images that are worked on at a time, fewer where memory is short.
  ///   - label: the class of all images, in a conditional model.
  /// - Throws: `MemoryError` if not even one image fits.
  package init(_ glow: Glow<Float>, batch: Int = 16, label: Int = 0) throws {
    shape = ImageShape(glow.configuration)
    kernels = glow.kernels
    let batch = glow.batchThatFits(batch, passes: 2)
    scorer = try Scorer(glow, batch: batch)
    sampler = try Sampler(glow, batch: batch)
    self.label = label
  }

  /// Tells how many images of how many are done.
  package func report(to progress: @escaping (_ done: Int, _ count: Int) -> Void) {
    (scorer.progress, sampler.progress) = (progress, progress)
  }

  /// All images that this space has decoded.
  package var decoded: DecodedCount { sampler.decoded }

  /// ε of each image.
  ///
  /// - Throws: `TrainingError` if an image's shape is not the model's.
  package func encode(_ images: [ByteImage]) throws -> [[Float]] {
    if images.isEmpty { return [] }
    if let other = images.first(where: { $0.shape != shape }) {
      throw TrainingError("an image of \(other.shape) does not fit a model for \(shape)")
    }
    var latents: [[Float]] = []
    try scorer.encode(ImageArray(images, label: label), dequantization: .none) { latents.append($1) }
    return latents
  }

  /// ε, in this space, of the image that `latents` would stand for in that of another class. Between the two lie the
  /// images whose top prior lies between those of the classes.
  ///
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  package func moved(_ latents: [Float], toClass label: Int) throws -> [Float] {
    try scorer.translate(latents, from: label, to: self.label)
  }

  /// The image that each ε stands for.
  ///
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  package func decode(_ latents: [[Float]]) throws -> [ByteImage] {
    if latents.isEmpty { return [] }
    return try Array(latents.joined()).withUnsafeBufferPointer {
      try sampler.decode($0, labels: [label], toNearest: true)
    }
  }
}
