import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowStorage
import GlowTraining

extension DetectionScore: ExpressibleByArgument {}
extension Compressor: ExpressibleByArgument {}

struct DetectCommand: SharedCommand {
  static let configuration = CommandConfiguration(
    commandName: "detect", abstract: "Measure how well a model's scores tell foreign images from known ones.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Option(name: .customLong("in"), help: ArgumentHelp("Images that belong.", valueName: "data"))
  var known: String?
  @Option(name: .customLong("out"), help: ArgumentHelp("Images that do not.", valueName: "data"))
  var foreign: String?
  @Option(
    help: ArgumentHelp(
      "A .json file: with --in it is written and keeps the scores of those images, with --images it is read.",
      valueName: "file"))
  var reference: String?
  @Option(
    name: .customLong("images"),
    help: ArgumentHelp("New images, to be judged one by one against --reference.", valueName: "data"))
  var judged: String?
  @Option(help: "With --images, the share of known images that may be taken for foreign (default: 0.05).")
  var fpr: Double?
  @Option(
    name: .customLong("by"),
    help: "With --images, the score to judge by: bits_per_dim, complexity (default) or typicality.")
  var score: DetectionScore?
  @Option(help: "What complexity is measured by: png or webp (lossless).") var compressor = Compressor.png
  @Option(
    help: ArgumentHelp(
      "Training images, to compute the mean bits/dim that typicality needs if the model does not keep it.",
      valueName: "data"))
  var train: String?
  @Option(help: "train, valid or test, where the images of --in and --out have them.") var split = DataPart
    .test
  @Option(
    help:
      "A folder for the records in.jsonl and out.jsonl and a histogram of each score; with --images a .jsonl or .csv file."
  )
  var scores: String?
  @OptionGroup var images: ImageArguments
  @OptionGroup var scoring: ScoringArguments
  @Flag(help: "Print one JSON object.") var json = false
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    for destination in destinations { try destination.checkName() }
    if let fpr, !(fpr > 0 && fpr < 1) {
      throw ValidationError("--fpr must be between 0 and 1, not \(fpr)")
    }
    if judged == nil, let option = fpr != nil ? "--fpr" : score != nil ? "--by" : nil {
      throw ValidationError("\(option) is for --images, which are judged one by one: leave it out")
    }
    if judged != nil {
      if known != nil || foreign != nil || train != nil {
        throw ValidationError("--images are judged by --reference alone: leave out --in, --out and --train")
      }
      if reference == nil { throw ValidationError("--images needs the --reference to judge by") }
    } else if known == nil || (foreign == nil && reference == nil) {
      throw ValidationError(
        "give --in and --out to compare, --in and --reference to keep one, or --images and --reference to judge"
      )
    }
  }

  var destinations: [Destination] {
    if judged != nil { return scores.map(recordDestinations) ?? [] }
    let kept = reference.map { [Destination("--reference", $0, .reference)] } ?? []
    guard let scores else { return kept }
    let records = ["in", "out"].map { recordsFile($0, in: scores) }
    // The folder, and all that may be written there.
    return kept + [Destination("--scores", scores, .folder)]
      + records.flatMap(recordDestinations)
      + DetectionScore.allCases.map { Destination("--scores", histogramFile($0, in: scores), .png) }
  }

  /// Of records, and of what says where they come from.
  private func recordDestinations(_ path: String) -> [Destination] {
    let records = Destination("--scores", path, .records)
    return records.isSpecial
      ? [records] : [records, Destination("--scores", ScoreProvenance.path(of: path), .provenance)]
  }

  func recordsFile(_ name: String, in folder: String) -> String { "\(folder)/\(name).jsonl" }

  func histogramFile(_ score: DetectionScore, in folder: String) -> String {
    "\(folder)/\(score.rawValue).png"
  }

  func run() throws {
    var command = self
    if !ranks.isFirst {
      command.scores = nil
      if judged == nil { command.reference = reference.map(ownPath) }
    }
    try judged == nil ? command.compare() : command.judge()
  }

  func settings(_ stored: StoredModel, _ classes: ClassChoice) throws -> ScoringSettings {
    var settings = try scoring.settings(stored)
    settings.compressor = compressor
    settings.takesDigests = true
    settings.classes = classes
    return settings
  }

  /// But for what is known only of images that are opened.
  func provenance(
    of data: String, _ stored: StoredModel, _ settings: ScoringSettings
  ) throws -> ScoreProvenance {
    var provenance = ScoreProvenance(stored.glow, model: model, data: data, count: 0, settings)
    provenance.imageOptions = images.own(of: model, data).settings
    provenance.classes = try scoring.classText(settings.classes, stored, path: model)
    return provenance
  }

  /// What is no regular file has no neighbor.
  func write(_ provenance: ScoreProvenance, beside path: String?) throws {
    if let path, recordDestinations(path).count > 1 { try provenance.write(for: path) }
  }
}
