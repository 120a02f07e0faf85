import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import GlowTraining

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Score images in bits/dim.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @OptionGroup var data: DataArguments
  @Option(help: "train, valid or test, where the data has them.") var split = DataPart.test
  @Option(help: "A .jsonl or .csv file to write one record an image to.") var scores: String?
  @OptionGroup var scoring: ScoringArguments
  @Flag(help: "Print one JSON object.") var json = false
  @OptionGroup var threads: TeamArguments

  func validate() throws { try destination?.checkName() }

  private var destination: Destination? { scores.map { Destination("--scores", $0, .records) } }

  private struct Result: Encodable {
    let images: Int
    let bitsPerDim: Double
    let standardError: Nullable
    let quantiles: [String: Double]
    /// With one draw of the noise, if there are more.
    let bitsPerDimFirstDraw: Double?
    let skipped: Int
    let seconds: Double
    let imagesPerSecond: Double
    let model: String
    let data: String
    /// The part that was scored, if the data have parts.
    let split: String?
    let limit: Int?
    let imageSize: Int?
    let resize: String
    let onError: String
    let dequantization: String
    let importanceSamples: Int
    let seed: UInt64
    let batch: Int
    let threads: Int
    let note: String?
  }

  func run() throws {
    let team = try threads.team()
    let stored = try ModelFile.read(model, as: Float.self, team: team)
    let opened = try openData(data, split, for: stored, path: model)
    try Destination.prepare(destination.map { [$0] } ?? [], inputs: [model], data: [data.data])
    let scorer = try Scorer(stored.glow, batch: scoring.batch)
    var collected = CollectedScores(keepsFirstDraw: scoring.importanceSamples > 1)
    let seconds = try secondsOf {
      try ScoreTable.write(to: scores, levels: stored.glow.levelCount) { table in
        try scorer.score(opened.dataset, scoring.settings) { record in
          collected.add(record)
          try table?.append(record)
        }
      }
    }
    warnOfSkipped(collected, data.data)
    let score = try collected.summary()
    let result = Result(
      images: score.images, bitsPerDim: score.bitsPerDimension, standardError: Nullable(score.standardError),
      quantiles: Dictionary(
        uniqueKeysWithValues: Self.fractions.map { (String(format: "%g", $0), score.quantile($0)) }),
      bitsPerDimFirstDraw: scoring.importanceSamples > 1
        ? Score(collected.firstDrawBits).bitsPerDimension : nil,
      skipped: collected.skipped, seconds: seconds,
      imagesPerSecond: Double(score.images + collected.skipped) / seconds, model: model, data: data.data,
      split: opened.part?.rawValue, limit: data.images.limit, imageSize: data.images.imageSize,
      resize: data.images.resizing.rawValue, onError: scoring.onError.rawValue,
      dequantization: scoring.dequantization.rawValue,
      importanceSamples: scoring.importanceSamples, seed: scoring.seed, batch: scoring.batch,
      threads: team.count, note: opened.note)
    try answer(json ? jsonLine(result) : text(result, score))
  }

  private static let fractions = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]

  private func text(_ result: Result, _ score: Score) -> String {
    var lines = [
      "\(result.model) on \(result.data)" + (result.split.map { ", its \($0) images" } ?? "")
    ]
    if let note = result.note { lines.append(note) }
    lines.append(
      "bits/dim \(score) on \(counted(result.images, "image")), "
        + String(format: "%.1f images/s", result.imagesPerSecond))
    lines.append(
      "quantiles: "
        + Self.fractions.map { String(format: "%g %% %.4f", 100 * $0, score.quantile($0)) }.joined(
          separator: ", ")
    )
    if let first = result.bitsPerDimFirstDraw {
      lines.append(
        String(
          format: "bound of %d draws an image; with the first alone %.4f", result.importanceSamples, first))
    }
    lines.append(
      String(
        format: "dequantization %@, seed %llu, batch %d, %@, %.1f s; %@ skipped",
        result.dequantization as NSString, result.seed, result.batch,
        counted(result.threads, "thread") as NSString, result.seconds,
        counted(result.skipped, "image") as NSString))
    return lines.joined(separator: "\n")
  }
}
