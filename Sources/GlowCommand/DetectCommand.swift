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
  @Option(help: "train, valid or test, where the images of --in and --out have them.") var split = DataPart
    .test
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
    let standardError: Nullable
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
    let split: String
    let limit: Int?
    let meanTrainingBitsPerDim: Double?
    let scores: [String: Metrics]
    let dequantization: String
    let importanceSamples: Int
    let seed: UInt64
    /// Of both sets.
    let seconds: Double
    let imagesPerSecond: Double

    enum CodingKeys: String, CodingKey {
      case model
      case known = "in"
      case foreign = "out"
      case split, limit, meanTrainingBitsPerDim, scores, dequantization, importanceSamples, seed, seconds
      case imagesPerSecond
    }
  }

  func validate() throws { for destination in destinations { try destination.checkName() } }

  /// The folder, and all that may be written there.
  private var destinations: [Destination] {
    guard let scores else { return [] }
    return [Destination("--scores", scores, .folder)]
      + ["in", "out"].map { Destination("--scores", recordsFile($0, in: scores), .records) }
      + DetectionScore.allCases.map { Destination("--scores", histogramFile($0, in: scores), .png) }
  }

  private func recordsFile(_ name: String, in folder: String) -> String { "\(folder)/\(name).jsonl" }
  private func histogramFile(_ score: DetectionScore, in folder: String) -> String {
    "\(folder)/\(score.rawValue).png"
  }

  func run() throws {
    let stored = try ModelFile.read(model, as: Float.self, team: threads.team())
    let data = [known, foreign]
    let sets = try data.map { try openData($0, images, split, for: stored, path: model) }
    try Destination.prepare(
      destinations, inputs: [model], data: data + (train.map { [$0] } ?? []))
    let scorer = try Scorer(stored.glow, batch: scoring.batch)
    let mean = try meanTrainingBits(stored, scorer)
    var collected: [CollectedScores] = []
    let seconds = try secondsOf {
      for (name, opened) in zip(["in", "out"], sets) {
        let path = scores.map { recordsFile(name, in: $0) }
        collected.append(try records(opened.dataset, scorer, stored.glow, mean, to: path))
      }
    }
    let sides = try data.indices.map { place in
      warnOfSkipped(collected[place], data[place])
      let score = try collected[place].summary()
      return Side(
        data: data[place], images: score.images, skipped: collected[place].skipped,
        bitsPerDim: score.bitsPerDimension, standardError: Nullable(score.standardError),
        note: sets[place].note)
    }
    var metrics: [DetectionScore: DetectionMetrics] = [:]
    for score in DetectionScore.allCases {
      guard let known = collected[0].values[score], let foreign = collected[1].values[score] else { continue }
      metrics[score] = DetectionMetrics(known: known, foreign: foreign)
      if let scores { try draw(score, known: known, foreign: foreign, in: scores) }
    }
    try answer(json ? jsonLine(result(sides, mean, metrics, seconds)) : text(sides, mean, metrics))
  }

  private func result(
    _ sides: [Side], _ mean: Double?, _ metrics: [DetectionScore: DetectionMetrics], _ seconds: Double
  ) -> Result {
    var scores: [String: Metrics] = [:]
    for (score, values) in metrics {
      scores[score.rawValue] = Metrics(
        auroc: values.auroc, averagePrecision: values.averagePrecision,
        falsePositiveRate: values.falsePositiveRate)
    }
    return Result(
      model: model, known: sides[0], foreign: sides[1], split: split.rawValue, limit: images.limit,
      meanTrainingBitsPerDim: mean, scores: scores, dequantization: scoring.dequantization.rawValue,
      importanceSamples: scoring.importanceSamples, seed: scoring.seed, seconds: seconds,
      imagesPerSecond: Double(sides.reduce(0) { $0 + $1.images + $1.skipped }) / seconds)
  }

  /// The mean over --train, or what the model keeps, if it was taken with the same noise.
  private func meanTrainingBits(_ stored: StoredModel, _ scorer: Scorer) throws -> Double? {
    let advice = "typicality is left out: give the training images with --train DATA"
    if let train {
      var collected = CollectedScores()
      let opened = try openData(train, images, .train, for: stored, path: model)
      var settings = scoring.settings
      // The first draw of several: what typicality compares with the mean.
      settings.importanceSamples = 1
      try scorer.score(opened.dataset, settings) { collected.add($0) }
      warnOfSkipped(collected, train)
      return try collected.summary().bitsPerDimension
    }
    guard let kept = try TrainingBits.read(stored.metadata, path: model) else {
      warn(
        "\(model) keeps no mean bits/dim of its training images (only the model.safetensors of a finished run does, "
          + "best.safetensors does not), so \(advice)")
      return nil
    }
    if let noise = kept.dequantization, noise != scoring.dequantization {
      warn(
        "\(model) keeps the mean bits/dim of its training images with --dequantization \(noise.rawValue), not "
          + "\(scoring.dequantization.rawValue), so \(advice)")
      return nil
    }
    return kept.mean
  }

  /// Scores a data set, with a record of each image at `path`.
  private func records(
    _ dataset: any Dataset, _ scorer: Scorer, _ glow: Glow<Float>, _ mean: Double?, to path: String?
  ) throws -> CollectedScores {
    var settings = scoring.settings
    settings.measuresComplexity = true
    var collected = CollectedScores(meanTrainingBits: mean)
    try ScoreTable.write(
      to: path, levels: glow.levelCount, detection: DetectionScore.allCases, meanTrainingBits: mean
    ) { table in
      try scorer.score(dataset, settings) { record in
        collected.add(record)
        try table?.append(record)
      }
    }
    return collected
  }

  /// Writes a histogram of both sets. Scores far outside of the known images' range, which would squeeze all others
  /// into one bin, stand at its edge.
  private func draw(_ score: DetectionScore, known: [Double], foreign: [Double], in folder: String) throws {
    let sorted = known.sorted()
    let (lowest, highest) = (sorted[0], sorted[sorted.count - 1])
    let room = lowest < highest ? 3 * (highest - lowest) : .infinity
    let shown = foreign.map { min(max($0, lowest - room), highest + room) }
    let histogram = Histogram(
      horizontalTitle: shown == foreign
        ? score.title : "\(score.title) (what lies further out stands at the edge)",
      samples: [.init("in: \(name(self.known))", known), .init("out: \(name(self.foreign))", shown)])
    try PNG.write(histogram.image(), to: histogramFile(score, in: folder))
  }

  /// The last part of a path.
  private func name(_ data: String) -> String { URL(filePath: data).lastPathComponent }

  private func text(
    _ sides: [Side], _ mean: Double?, _ metrics: [DetectionScore: DetectionMetrics]
  ) -> String {
    var lines = zip(["in", "out"], sides).map { name, side in
      "\(name): \(side.data), bits/dim \(Score.text(side.bitsPerDim, error: side.standardError.value)) on "
        + counted(side.images, "image") + (side.note.map { "; \($0)" } ?? "")
    }
    if let mean { lines.append(String(format: "mean bits/dim of the training images: %.4f", mean)) }
    lines.append("dequantization \(scoring.dequantization.rawValue), seed \(scoring.seed)")
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
