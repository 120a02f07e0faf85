import ArgumentParser
import GlowFlow
import GlowImages
import GlowTraining

extension ErrorPolicy: ExpressibleByArgument {}

/// How a command scores images.
struct ScoringArguments: ParsableArguments {
  @Option(help: "Images a pass; the result does not depend on it.") var batch = 64
  @Option(help: "uniform or none.") var dequantization = DequantizationKind.uniform
  @Option(help: "Seed of the dequantization noise.") var seed: UInt64 = 0
  @Option(help: "Draws of the noise for each image; more than one tighten the bound.")
  var importanceSamples = 1
  @Option(help: "fail at the first image that cannot be read or scored, or skip those.")
  var onError = ErrorPolicy.fail

  static let largestSamples = 10_000

  func validate() throws {
    if !(1...1_000_000).contains(batch) {
      throw ValidationError("--batch must be 1 to 1000000, not \(batch)")
    }
    if !(1...Self.largestSamples).contains(importanceSamples) {
      throw ValidationError(
        "--importance-samples must be 1 to \(Self.largestSamples), not \(importanceSamples)")
    }
    if importanceSamples > 1 && dequantization == .none {
      throw ValidationError("--importance-samples needs noise to draw: leave out --dequantization none")
    }
  }

  var settings: ScoringSettings {
    var settings = ScoringSettings()
    settings.dequantization = dequantization
    settings.seed = seed
    settings.importanceSamples = importanceSamples
    settings.onError = onError
    return settings
  }

}
