/// What the first files of a folder hold.
struct FolderProbe {
  let base: RawPath
  let names: NameList
  /// Of those files that can be read.
  let found: [(shape: ImageShape, like: String)]

  private static let largestCount = 16

  init(base: RawPath, names: NameList) {
    self.base = base
    self.names = names
    found = (0..<min(Self.largestCount, names.count)).compactMap { index in
      let path = base.appending(names.bytes(index))
      return (try? Self.shape(path)).map { (shape: $0, like: path.text) }
    }
  }

  var hasGray: Bool { found.contains { $0.shape.channels == 1 } }

  /// The shape of the first file.
  ///
  /// - Throws: `FileError`.
  func first() throws -> (shape: ImageShape, like: String) {
    let path = base.appending(names.bytes(0))
    return (try Self.shape(path), path.text)
  }

  /// What files must have that do not have the model's size: that of the first one, unless there are some of the
  /// model's among these.
  func expectation(for model: ImageShape, canResize: Bool) -> (shape: ImageShape, like: String) {
    found.first { $0.shape.hasSize(of: model) } ?? (canResize ? found.first : nil)
      ?? (model, "the model's images")
  }

  private static func shape(_ path: RawPath) throws -> ImageShape {
    try path.open().withBytes { try PNG.shape(of: $0, path: path.text) }
  }
}

extension ImageShape {
  func hasSize(of other: ImageShape) -> Bool { (height, width) == (other.height, other.width) }
}
