import GlowFiles

/// What a few image files hold: the first one and others, evenly spread over all.
struct FolderProbe {
  /// Of those files that can be read.
  let found: [(header: ImageHeader, like: String)]
  /// What a person should know of how they become bytes.
  let notes: [String]

  static let largestCount = 16

  init(_ names: NameList, in container: any Container, background: Background?) {
    var found: [(header: ImageHeader, like: String)] = []
    var largest = 0
    var transparent: String?
    let count = min(Self.largestCount, names.count)
    for index in (0..<count).map({ $0 * names.count / count }) {
      let path = container.path(of: names.bytes(index))
      guard let content = try? container.openImage(names.bytes(index)) else { continue }
      try? content.withBytes { bytes in
        guard let header = try? ImageFile.header(of: bytes, path: path) else { return }
        found.append((header, path))
        if header.traits.contains(.deep) {
          largest = max(largest, (try? PNG.largestValue(bytes, path: path)) ?? 0)
        }
        // A channel of transparency may be in use nowhere.
        if background == nil, transparent == nil, header.traits.contains(.alpha),
          let traits = try? ImageFile.decoded(bytes, path: path).traits, traits.contains(.transparent)
        {
          transparent = path
        }
      }
    }
    self.found = found
    func first(_ trait: ImageTraits) -> String? { found.first { $0.header.traits.contains(trait) }?.like }
    var notes: [String] = []
    if let path = first(.deep) {
      notes.append(
        "16-bit values become 8-bit ones (\(path)), the largest of a few files is \(largest) of 65535"
          + (largest < 32768 ? Self.dark(largest, of: 65535) : ""))
    }
    if let path = transparent {
      notes.append("transparency is dropped and the colors below it are taken (\(path)), see --background")
    }
    if let path = first(.turned) {
      notes.append("images are turned as their EXIF orientation says (\(path))")
    }
    if let path = first(.inks) { notes.append("CMYK images become RGB (\(path))") }
    if let path = first(.unended) { notes.append("\(path) lacks its last chunk and is whole otherwise") }
    if let path = first(.animated) { notes.append("\(path) is an animation, of which one picture is taken") }
    self.notes = notes
  }

  /// What is said of images whose largest value leaves most of the range empty, and what to do.
  static func dark(_ largest: Int, of top: Int) -> String {
    darkness + (largest > 0 ? "; multiply their values by \(top / largest) to fill the range" : "")
  }

  static let darkness = ": these images are dark"

  var hasColor: Bool { found.contains { $0.header.shape.channels == 3 } }
  var hasGray: Bool { found.contains { $0.header.shape.channels == 1 } }

  /// What files must have that do not have the model's size: that of the first one, unless there are some of the
  /// model's among these.
  func expectation(for model: ImageShape, canResize: Bool) -> (shape: ImageShape, like: String) {
    let shapes = found.map { (shape: $0.header.shape, like: $0.like) }
    return shapes.first { $0.shape.hasSize(of: model) } ?? (canResize ? shapes.first : nil)
      ?? (model, "the model's images")
  }
}

extension ImageShape {
  func hasSize(of other: ImageShape) -> Bool { (height, width) == (other.height, other.width) }
}
