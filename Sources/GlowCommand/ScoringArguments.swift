import ArgumentParser
import GlowFlow
import GlowImages
import GlowStorage
import GlowTraining

extension ErrorPolicy: ExpressibleByArgument {}

/// How a command scores images.
struct ScoringArguments: ParsableArguments {
  @Option(help: "Images a pass; the result does not depend on it.") var batch = 64
  @Option(help: "uniform, none or variational (default: as the model was trained, but never none).")
  var dequantization: DequantizationKind?
  @Option(help: "Seed of the dequantization noise.") var seed: UInt64 = 0
  @Option(help: "Draws of the noise for each image; more than one tighten the bound.")
  var importanceSamples = 1
  @Option(help: "fail at the first image that cannot be read or scored, or skip those.")
  var onError = ErrorPolicy.fail

  @Option(
    name: .customLong("class"),
    help: ArgumentHelp(
      "For a conditional model: score all images as of this class (its name or number), as of all classes together "
        + "(marginal), or each as of its most probable (best); by default as of the class that each has.",
      valueName: "class"))
  var className: String?

  static let largestSamples = 10_000

  func validate() throws {
    if !(1...1_000_000).contains(batch) {
      throw ValidationError("--batch must be 1 to 1000000, not \(batch)")
    }
    if !(1...Self.largestSamples).contains(importanceSamples) {
      throw ValidationError(
        "--importance-samples must be 1 to \(Self.largestSamples), not \(importanceSamples)")
    }
    if importanceSamples > 1 && dequantization == DequantizationKind.none {
      throw ValidationError("--importance-samples needs noise to draw: leave out --dequantization none")
    }
  }

  /// As of which class a model is to score.
  ///
  /// - Throws: as `ClassArguments.given`.
  func classes(
    _ stored: StoredModel, model: String, default preset: String? = nil
  ) throws -> ClassChoice {
    guard let className = className ?? preset else { return .ofImages }
    let words: [String: ClassChoice] = ["marginal": .marginal, "best": .best]
    if stored.glow.configuration.isConditional, let choice = words[className] { return choice }
    return .one(try ClassArguments.label(className, stored, model: model))
  }

  /// The same as provenance has it: a class by its name, however it was asked for.
  ///
  /// - Throws: `FileError` if the names of the model's classes are damaged.
  func classText(_ choice: ClassChoice, _ stored: StoredModel, path: String) throws -> String? {
    switch choice {
    case .ofImages: return nil
    case .one(let label): return try scoreColumns(stored, self, path: path).name(ofClass: label)
    case .marginal: return "marginal"
    case .best: return "best"
    }
  }

  /// - Throws: `ConfigurationError` if the model has not learned the noise that is asked for.
  func settings(_ stored: StoredModel) throws -> ScoringSettings {
    var settings = ScoringSettings()
    settings.dequantization = dequantization ?? stored.glow.configuration.dequantization
    try stored.glow.configuration.requireNoise(settings.dequantization)
    settings.seed = seed
    settings.importanceSamples = importanceSamples
    settings.onError = onError
    return settings
  }

}

/// The fields of the records that a model's scores get.
///
/// - Throws: `FileError` if the names of its classes are damaged.
func scoreColumns(_ stored: StoredModel, _ scoring: ScoringArguments, path: String) throws -> ScoreColumns {
  let configuration = stored.glow.configuration
  var columns = ScoreColumns(levels: stored.glow.levelCount)
  columns.hasDequantizer = configuration.hasDequantizer
  columns.draws = scoring.importanceSamples
  columns.classNames =
    try ClassNames.read(stored.metadata, count: configuration.classCount, path: path) ?? []
  return columns
}
