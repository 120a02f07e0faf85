import ArgumentParser
import GlowFlow

/// The class of all images that a command works on.
struct ClassArguments: ParsableArguments {
  @Option(name: .customLong("class"), help: "The class of the images, which a conditional model needs.")
  var label: Int?

  /// The class, 0 for a model that is not conditional.
  ///
  /// - Parameter alternative: what may be given in place of --class, for the error.
  /// - Throws: `ConfigurationError` if the model needs a class and none is given, or does not know it.
  func label(_ glow: Glow<Float>, model: String, alternative: String = "") throws -> Int {
    try checkClass(label, glow, model: model)
    let classes = glow.configuration.classCount
    if label == nil && classes > 0 {
      throw ConfigurationError(
        "\(model) is conditional and needs the class of the images: give --class, 0 to \(classes - 1)"
          + alternative)
    }
    return label ?? 0
  }
}

/// - Throws: `ConfigurationError` if a class is given that the model does not know.
func checkClass(_ label: Int?, _ glow: Glow<Float>, model: String) throws {
  let classes = glow.configuration.classCount
  if let label, !(0..<classes).contains(label) {
    throw ConfigurationError(
      classes == 0
        ? "\(model) is not conditional: leave out --class"
        : "--class must be 0 to \(classes - 1), not \(label)")
  }
}
