import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowPlots
import GlowStorage
import GlowTraining

struct DetectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "detect", abstract: "Measure how well a model's scores tell foreign images from known ones.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Option(name: .customLong("in"), help: ArgumentHelp("Images that belong.", valueName: "data"))
  var known: String
  @Option(name: .customLong("out"), help: ArgumentHelp("Images that do not.", valueName: "data"))
  var foreign: String
  @Option(
    help: ArgumentHelp(
      "Training images, to compute the mean bits/dim that typicality needs if the model does not keep it.",
      valueName: "data"))
  var train: String?
  @Option(help: "train or test, where the images of --in and --out have both.") var split = DataPart.test
  @Option(help: "A folder for the records in.jsonl and out.jsonl and a histogram of each score.")
  var scores: String?
  @OptionGroup var images: ImageArguments
  @OptionGroup var scoring: ScoringArguments
  @Flag(help: "Print one JSON object.") var json = false
  @OptionGroup var threads: TeamArguments

  private struct Side: Encodable {
    let data: String
    let images: Int
    let skipped: Int
    let bitsPerDim: Double
    let standardError: Double
    let note: String?
  }

  private struct Metrics: Encodable {
    let auroc: Double
    let averagePrecision: Double
    /// At a true positive rate of 95 %.
    let falsePositiveRate: Double
  }

  private struct Result: Encodable {
    let model: String
    let known: Side
    let foreign: Side
    let meanTrainingBitsPerDim: Double?
    let scores: [String: Metrics]
    let seed: UInt64

    enum CodingKeys: String, CodingKey {
      case model
      case known = "in"
      case foreign = "out"
      case meanTrainingBitsPerDim, scores, seed
    }
  }

  func run() throws {
    let (glow, metadata) = try ModelFile.read(model, as: Float.self, team: threads.team())
    let sets = try [known, foreign].map { try openData($0, images, split, for: glow, model: model) }
    let scorer = try scoring.scorer(glow)
    let mean = try meanTrainingBits(glow, metadata, scorer)
    if let scores { try makeFolder(scores) }
    let collected = try zip(["in", "out"], sets).map { name, opened in
      try score(opened.dataset, scorer, glow, mean, to: scores.map { "\($0)/\(name).jsonl" })
    }
    for (data, scores) in zip([known, foreign], collected) { warnOfSkipped(scores, data) }
    let sides = try zip(zip([known, foreign], sets), collected).map { set, scores in
      let score = try scores.summary()
      return Side(
        data: set.0, images: score.images, skipped: scores.skipped, bitsPerDim: score.bitsPerDimension,
        standardError: score.standardError, note: set.1.note)
    }
    var metrics: [DetectionScore: DetectionMetrics] = [:]
    for score in DetectionScore.allCases {
      guard let known = collected[0].values[score], let foreign = collected[1].values[score] else { continue }
      metrics[score] = DetectionMetrics(known: known, foreign: foreign)
      if let scores { try draw(score, known: known, foreign: foreign, in: scores) }
    }
    if json {
      let result = Result(
        model: model, known: sides[0], foreign: sides[1], meanTrainingBitsPerDim: mean,
        scores: Dictionary(
          uniqueKeysWithValues: metrics.map {
            (
              $0.rawValue,
              Metrics(
                auroc: $1.auroc, averagePrecision: $1.averagePrecision,
                falsePositiveRate: $1.falsePositiveRate)
            )
          }), seed: scoring.seed)
      print(try jsonLine(result))
    } else {
      print(text(sides, mean, metrics))
    }
  }

  /// What the model keeps, or the mean over --train.
  private func meanTrainingBits(
    _ glow: Glow<Float>, _ metadata: [String: String], _ scorer: Scorer
  ) throws -> Double? {
    if let train {
      var collected = CollectedScores()
      let opened = try openData(train, images, .train, for: glow, model: model)
      try scorer.score(opened.dataset, scoring.settings) { collected.add($0) }
      warnOfSkipped(collected, train)
      return try collected.summary().bitsPerDimension
    }
    let mean = try TrainingBits.read(metadata, path: model)
    if mean == nil {
      warn(
        "\(model) keeps no mean bits/dim of its training images, so typicality is left out: "
          + "give the training images with --train DATA")
    }
    return mean
  }

  private func score(
    _ dataset: any Dataset, _ scorer: Scorer, _ glow: Glow<Float>, _ mean: Double?, to path: String?
  ) throws -> CollectedScores {
    var settings = scoring.settings
    settings.measuresComplexity = true
    var collected = CollectedScores(meanTrainingBits: mean)
    try ScoreTable.write(
      to: path, levels: glow.configuration.levels, detection: DetectionScore.allCases, meanTrainingBits: mean
    ) { table in
      try scorer.score(dataset, settings) { record in
        collected.add(record)
        try table?.append(record)
      }
    }
    return collected
  }

  /// Writes a histogram of both sets.
  private func draw(_ score: DetectionScore, known: [Double], foreign: [Double], in folder: String) throws {
    let histogram = Histogram(
      horizontalTitle: score.title,
      samples: [.init("in: \(name(self.known))", known), .init("out: \(name(self.foreign))", foreign)])
    try PNG.write(histogram.image(), to: "\(folder)/\(score.rawValue).png")
  }

  /// The last part of a path.
  private func name(_ data: String) -> String { URL(filePath: data).lastPathComponent }

  private func makeFolder(_ path: String) throws {
    do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw FileError(path, "cannot make this folder: \(error.localizedDescription)")
    }
  }

  private func text(
    _ sides: [Side], _ mean: Double?, _ metrics: [DetectionScore: DetectionMetrics]
  ) -> String {
    var lines = zip(["in", "out"], sides).map { name, side in
      String(
        format: "%@: %@, bits/dim %.4f ± %.4f (standard error) on %d images%@", name, side.data,
        side.bitsPerDim, side.standardError, side.images, side.note.map { "; \($0)" } ?? "")
    }
    if let mean { lines.append(String(format: "mean bits/dim of the training images: %.4f", mean)) }
    lines.append("score           AUROC  average precision  FPR at 95 % TPR")
    for score in DetectionScore.allCases {
      guard let values = metrics[score] else { continue }
      let name = score.rawValue.padding(toLength: 12, withPad: " ", startingAt: 0)
      lines.append(
        String(
          format: "%@  %7.4f  %17.4f  %15.4f", name, values.auroc, values.averagePrecision,
          values.falsePositiveRate))
    }
    return lines.joined(separator: "\n")
  }
}

extension DetectionScore {
  /// For the axis of a chart.
  fileprivate var title: String {
    switch self {
    case .likelihood: "bits/dim"
    case .complexity: "bits/dim less bits/dim as PNG"
    case .typicality: "distance of bits/dim to the training mean"
    }
  }
}
