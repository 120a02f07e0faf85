import GlowImages

/// Which images of its data a run takes, and how it brings them to their size.
package struct ImageSettings: Codable, Sendable, Hashable {
  package var imageSize: Int?
  package var resizing: Resizing
  package var crop: Int?
  package var limit: Int?
  package var holdOut: Double?
  /// Of CIFAR-100.
  package var hasCoarseLabels: Bool?
  package var layout: ArrayLayout?
  /// As `--background` has it.
  package var background: String?

  package init(imageSize: Int? = nil, resizing: Resizing = .box, limit: Int? = nil) {
    (self.imageSize, self.resizing, self.limit) = (imageSize, resizing, limit)
  }

  /// What is done to each image, as options and their values. Which images are taken, and how arrays are understood, is
  /// the data's own.
  package var treatment: [(option: String, value: String)] {
    [
      ("--resize", resizing.rawValue), ("--crop", crop.map(String.init) ?? "none"),
      ("--background", background ?? "none"),
    ]
  }

  /// What other settings do otherwise with a data set, as options with both values: the treatment, and the layout and the
  /// classes where these settings name some and the data has a choice.
  package func differences(to here: ImageSettings, _ opened: OpenedData) -> [String] {
    var pairs = zip(treatment, here.treatment).map { ($0.option, $0.value, $1.value) }
    if let layout, opened.isOfArrays {
      pairs.append(("--layout", layout.rawValue, here.layout?.rawValue ?? "none"))
    }
    if hasCoarseLabels == true, opened.hasCoarseLabels {
      pairs.append(("--labels", "coarse", here.hasCoarseLabels == true ? "coarse" : "fine"))
    }
    return pairs.compactMap { $1 == $2 ? nil : "\($0) \($1), here \($2)" }
  }

  /// What is not as by default, as the command line has it.
  package var options: [String] {
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
