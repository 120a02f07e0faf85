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

  /// What other settings do otherwise to the images of a data set, as options with both values. How arrays are understood
  /// and which classes are taken is the data's own, and counts where these settings say it and the data ask for it.
  package func differences(to here: ImageSettings, _ opened: OpenedData) -> [String] {
    var values: [(option: String, value: String?, here: String?)] = [
      ("--resize", resizing.rawValue, here.resizing.rawValue),
      ("--crop", crop.map(String.init), here.crop.map(String.init)),
      ("--background", background, here.background),
    ]
    if let layout, opened.isOfArrays { values.append(("--layout", layout.rawValue, here.layout?.rawValue)) }
    if hasCoarseLabels == true, opened.hasCoarseLabels {
      values.append(("--labels", "coarse", here.hasCoarseLabels == true ? "coarse" : "fine"))
    }
    return values.filter { $0.value != $0.here }.map {
      "\($0.option) \($0.value ?? "none"), here \($0.here ?? "none")"
    }
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
