import ArgumentParser
import GlowFlow
import GlowStorage

/// The class of all images that a command works on.
struct ClassArguments: ParsableArguments {
  @Option(
    name: .customLong("class"),
    help:
      "The class of the images, for a conditional model: its name or, where no class has that name, its number."
  )
  var name: String?

  /// The class, 0 for a model that is not conditional.
  ///
  /// - Parameter alternative: what may be given in place of --class, for the error.
  /// - Throws: as `given`; `ConfigurationError` if the model needs a class and none is given, too.
  func label(_ stored: StoredModel, model: String, alternative: String = "") throws -> Int {
    if let label = try given(stored, model: model) { return label }
    let classes = stored.glow.configuration.classCount
    if classes > 0 {
      throw ConfigurationError(
        "\(model) is conditional and needs the class of the images: give --class, a name or 0 to \(classes - 1)"
          + alternative)
    }
    return 0
  }

  /// The class that is given, if one is. That a number was meant, and which class it is, is said where the classes
  /// have names.
  ///
  /// - Throws: `ConfigurationError` if the model does not know it; `FileError` if the names in the file are damaged.
  func given(_ stored: StoredModel, model: String) throws -> Int? {
    try name.map { try ClassArguments.label($0, stored, model: model) }
  }

  static func label(_ name: String, _ stored: StoredModel, model: String) throws -> Int {
    let classes = stored.glow.configuration.classCount
    if classes == 0 { throw ConfigurationError("\(model) is not conditional: it takes no class") }
    let names = try ClassNames.read(stored.metadata, count: classes, path: model)
    if let label = names?.firstIndex(of: name) { return label }
    guard let label = Int(name), (0..<classes).contains(label) else {
      throw ConfigurationError(
        "--class must be 0 to \(classes - 1)"
          + (names.map { " or one of \($0.prefix(20).joined(separator: ", "))" } ?? "")
          + ((names?.count ?? 0) > 20 ? ", …" : "") + ", not \(name)")
    }
    if let names { remark("--class \(name): no class has that name; number \(label) is '\(names[label])'") }
    return label
  }
}
