import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowStorage
import GlowTraining

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Score images in bits/dim.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @OptionGroup var data: DataArguments
  @Option(help: "train or test, where the data has both.") var split = DataPart.test
  @Option(help: "Images a pass; the result does not depend on it.") var batch = 64
  @Option(help: "uniform or none.") var dequantization = DequantisationKind.uniform
  @Option(help: "Seed of the dequantisation noise.") var seed: UInt64 = 0
  @Flag(help: "Print one JSON object.") var json = false
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if batch < 1 { throw ValidationError("--batch must be at least 1, not \(batch)") }
  }

  private struct Result: Encodable {
    let images: Int
    let bitsPerDim: Double
    let standardError: Double
    let seconds: Double
    let imagesPerSecond: Double
    let note: String?
  }

  func run() throws {
    let glow = try ModelFile.read(model, as: Float.self, team: threads.team()).glow
    let opened = try openData(data, split, for: glow, model: model)
    let clock = ContinuousClock()
    let start = clock.now
    let score = try Scorer(glow, batch: batch).score(
      opened.dataset, dequantisation: dequantization, seed: seed)
    let duration = start.duration(to: clock.now).components
    let seconds = Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
    let result = Result(
      images: score.images, bitsPerDim: score.bitsPerDimension, standardError: score.standardError,
      seconds: seconds, imagesPerSecond: Double(score.images) / seconds, note: opened.note)
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      print(String(decoding: try encoder.encode(result), as: UTF8.self))
    } else {
      if let note = opened.note { print(note) }
      print(
        String(
          format: "bits/dim %.4f ± %.4f (standard error) on %d images, %.1f images/s",
          result.bitsPerDim, result.standardError, result.images, result.imagesPerSecond))
    }
  }
}

/// Opens images for a model, brought to its size if it is square.
///
/// - Throws: `ConfigurationError` if they do not fit it.
func openData(
  _ data: DataArguments, _ part: DataPart, for glow: Glow<Float>, model: String
) throws -> OpenedData {
  let shape = ImageShape(glow.configuration)
  let opened = try data.open(part, side: shape.height == shape.width ? shape.height : nil)
  if opened.dataset.shape != shape {
    throw ConfigurationError(
      "\(data.data): images of \(opened.dataset.shape) do not fit \(model), a model of \(shape) images")
  }
  if glow.configuration.isConditional && opened.dataset.classNames.count > glow.configuration.classCount {
    throw ConfigurationError(
      "\(data.data) has \(opened.dataset.classNames.count) classes and \(model) knows "
        + "\(glow.configuration.classCount)")
  }
  return opened
}
