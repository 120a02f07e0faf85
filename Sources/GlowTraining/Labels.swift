import GlowFiles
import GlowFlow
import GlowImages

extension GlowConfiguration {
  /// The classes of images for a pass of this model; nil if it does not depend on them.
  ///
  /// - Throws: `FileError` with the name of the first image whose class is not known, or not one of the model's.
  func labels(of images: some Sequence<Int>, in dataset: any Dataset) throws -> [Int]? {
    if !isConditional { return nil }
    return try images.map { index in
      guard let label = dataset.label(index) else {
        throw FileError(
          dataset.source(index), "has no class, and the model needs one of its \(classCount) for every image")
      }
      if !(0..<classCount).contains(label) {
        throw FileError(
          dataset.source(index), "has the class \(label), and the model knows 0 to \(classCount - 1)")
      }
      return label
    }
  }
}
