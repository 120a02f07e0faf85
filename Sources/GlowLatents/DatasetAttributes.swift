import GlowFiles
import GlowImages
import GlowTraining

/// The yes-or-no attributes of a data set's images: its own, and of each class whether the image is of it.
package struct DatasetAttributes: Sendable {
  package let names: [String]
  /// Those that are classes, of which an image has one at most.
  package var classRange: Range<Int> { names.count - classes.count..<names.count }
  private let dataset: any Dataset
  /// Classes that are attributes, without those named like an attribute.
  private let classes: [Int]

  package init(_ dataset: any Dataset) {
    self.dataset = dataset
    let own = dataset.attributeNames
    classes = dataset.classNames.indices.filter { !own.contains(dataset.classNames[$0]) }
    names = own + classes.map { dataset.classNames[$0] }
  }

  /// The place of an attribute in `names`.
  ///
  /// - Parameter data: where the images come from, for the error.
  /// - Throws: `FileError` naming the attributes there are.
  package func index(of name: String, data: String) throws -> Int {
    if names.isEmpty { throw FileError(data, "has no attributes and no classes") }
    guard let index = names.firstIndex(of: name) else {
      throw FileError(data, "has no attribute '\(name)', expected \(names.joined(separator: ", "))")
    }
    return index
  }

  /// What an image has, in the order of `names`.
  package func values(_ index: Int) -> [Bool] {
    let label = dataset.label(index)
    return (dataset.attributes(index) ?? []) + classes.map { $0 == label }
  }
}

extension AttributeStatistics {
  /// Statistics of a data set's images, encoded one batch after the other.
  ///
  /// - Throws: `FileError` of the first image that cannot be read.
  package init(_ dataset: any Dataset, attributes: DatasetAttributes, scorer: Scorer, size: Int) throws {
    self.init(names: attributes.names, exclusive: attributes.classRange, size: size)
    try scorer.encode(dataset) {
      try Task.checkCancellation()
      add($1, attributes: attributes.values($0))
    }
  }
}
