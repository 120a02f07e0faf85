import GlowImages
import GlowKernels

/// Logistic regression from the pixels of an image to each of its yes-or-no attributes: an observer from outside
/// of the model that tells whether a changed image has an attribute.
///
/// P(a_k = 1 | x) = sigmoid(x·w_k + b_k), with x the pixels less their mean over the images, in units of 128
/// levels.
package struct AttributeProbe: Sendable {
  package let names: [String]
  private let mean: [Float]
  /// w_k, one after the other.
  private let weights: [[Float]]
  private let bias: [Float]

  /// Fits the probe: −ln P, averaged over the images, plus ½·penalty·|w|², by Adam (Kingma & Ba 2015) over batches
  /// of images, with steps that fall to zero.
  ///
  /// - Parameters:
  ///   - dataset: images with attributes, at least one; they are held in memory as Float.
  ///   - seed: of the order of the images.
  /// - Throws: `FileError` of an image that cannot be read.
  package init(
    _ dataset: any Dataset, epochs: Int = 60, penalty: Float = 1e-4, seed: UInt64 = 0,
    kernels: ProductKernels = .standard
  ) throws {
    let attributes = DatasetAttributes(dataset)
    precondition(!attributes.names.isEmpty && dataset.count > 0)
    names = attributes.names
    let images = try (0..<dataset.count).map { try dataset.image($0).pixels }
    mean = (0..<dataset.shape.count).map { pixel in
      Float(images.reduce(0) { $0 + Int($1[pixel]) }) / Float(images.count) / 128
    }
    let fit = try LogisticFit(
      inputs: images.map { [mean] in Self.centered($0, mean) }, truths: images.indices.map(attributes.values),
      penalty: penalty, kernels)
    try fit.run(epochs: epochs, seed: seed)
    (weights, bias) = (fit.weights, fit.bias)
  }

  /// Which attributes an image seems to have.
  package func read(_ image: ByteImage) -> [Bool] {
    let input = Self.centered(image.pixels, mean)
    return zip(weights, bias).map { weights, bias in
      zip(input, weights).reduce(bias) { $0 + $1.0 * $1.1 } > 0
    }
  }

  /// The share of images whose attribute is told rightly, for each attribute.
  ///
  /// - Throws: `FileError` of an image that cannot be read.
  package func accuracy(on dataset: any Dataset) throws -> [Double] {
    let attributes = DatasetAttributes(dataset)
    precondition(attributes.names == names, "a probe reads the attributes that it was fitted to")
    var right = [Int](repeating: 0, count: names.count)
    for index in 0..<dataset.count {
      let readings = zip(read(try dataset.image(index)), attributes.values(index))
      for (attribute, (reading, truth)) in readings.enumerated() where reading == truth {
        right[attribute] += 1
      }
    }
    return right.map { Double($0) / Double(dataset.count) }
  }

  private static func centered(_ pixels: [UInt8], _ mean: [Float]) -> [Float] {
    zip(pixels, mean).map { Float($0) / 128 - $1 }
  }
}
