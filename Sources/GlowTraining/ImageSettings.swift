import GlowImages

/// Which images of its data a run takes, and how it brings them to their size.
public struct ImageSettings: Codable, Sendable, Hashable {
  public var imageSize: Int?
  public var resizing: Resizing
  public var crop: Int?
  public var limit: Int?
  public var holdOut: Double?
  /// Of CIFAR-100.
  public var hasCoarseLabels: Bool?
  public var layout: ArrayLayout?
  /// As `--background` has it.
  public var background: String?

  public init(imageSize: Int? = nil, resizing: Resizing = .box, limit: Int? = nil) {
    (self.imageSize, self.resizing, self.limit) = (imageSize, resizing, limit)
  }

  /// What is not as by default, as the command line has it.
  public var options: [String] {
    let values: [(String, String?)] = [
      ("--image-size", imageSize.map(String.init)), ("--resize", resizing == .box ? nil : resizing.rawValue),
      ("--crop", crop.map(String.init)), ("--limit", limit.map(String.init)),
      ("--hold-out", holdOut.map { "\($0)" }), ("--labels", hasCoarseLabels == true ? "coarse" : nil),
      ("--layout", layout?.rawValue), ("--background", background),
    ]
    return values.compactMap { name, value in value.map { "\(name) \($0)" } }
  }
}

extension Resizing: Codable {}
extension ArrayLayout: Codable {}
