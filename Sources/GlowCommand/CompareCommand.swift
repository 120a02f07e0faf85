import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowPlots
import GlowTraining

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Compare the scores that two models give to the same images.",
    discussion:
      "Differences are bits/dim of the second less those of the first: negative where the second is better.")

  @Argument(help: "Scores of the first model, a .jsonl or .csv file of glow evaluate.") var first: String
  @Argument(help: "Scores of the second model.") var second: String
  @Option(help: "A PNG of the images that changed most, which --data has.") var out: String?
  @Option(help: dataHelp) var data: String?
  @Option(help: "train, valid or test, where the data has them.") var split = DataPart.test
  @OptionGroup var images: ImageArguments
  @Option(help: "Images a row of the PNG.") var count = 10
  @Option(help: "Samples of the bootstrap.") var resamples = 2000
  @Option(help: "Seed of the bootstrap.") var seed: UInt64 = 0
  @Flag(
    help: "Compare models of different numbers of bits a value too, whose bits/dim are of different images.")
  var anyBits = false
  @Flag(help: "Print one JSON object.") var json = false
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    try destination?.checkName()
    if (out == nil) != (data == nil) { throw ValidationError("--out and --data need each other") }
    if !(1...64).contains(count) { throw ValidationError("--count must be 1 to 64, not \(count)") }
    if !(100...1_000_000).contains(resamples) {
      throw ValidationError("--resamples must be 100 to 1000000, not \(resamples)")
    }
  }

  private var destination: Destination? { out.map { Destination("--out", $0, .png) } }

  private struct Result: Encodable {
    let first: String
    let second: String
    let images: Int
    let difference: Double
    let standardError: Nullable
    let interval95: NullableValue<[Double]>
    let improved: Double
    let onlyInFirst: Int
    let onlyInSecond: Int
    let withoutScore: Int
    let resamples: Int
    let seed: UInt64
  }

  func run() throws {
    let team = try threads.team()
    let paired = try PairedScores(first, second)
    noteDifferences()
    if let one = paired.bits.first, let other = paired.bits.second, one != other, !anyBits {
      throw ConfigurationError(
        "\(first) is of a model of \(counted(one, "bit")), \(second) of \(other): their bits/dim are of different images "
          + "(--any-bits compares them all the same)")
    }
    guard let mean = paired.mean else {
      throw TrainingError(
        "\(first) and \(second) have no image in common that both score: \(paired.unmatched.first) are only in the one, "
          + "\(paired.unmatched.second) only in the other, \(paired.withoutScore) without a score")
    }
    var images = images
    if let scored = try? ScoreProvenance.read(for: first) { images.fill(from: scored.imageOptions) }
    let opened = try data.map { try images.open($0, split) }
    if let note = opened?.note { remark(note) }
    try Destination.prepare(
      destination.map { [$0] } ?? [], inputs: [first, second], data: data.map { [$0] } ?? [])
    let interval = paired.interval(
      resamples: resamples, seed: seed, team: team, progress: Countdown("samples of the bootstrap").reached)
    if let opened, let out { try draw(paired, opened.dataset, to: out) }
    let result = Result(
      first: first, second: second, images: paired.pairs.count, difference: mean,
      standardError: Nullable(paired.standardError),
      interval95: NullableValue(interval.map { [$0.lowerBound, $0.upperBound] }),
      improved: paired.improved, onlyInFirst: paired.unmatched.first, onlyInSecond: paired.unmatched.second,
      withoutScore: paired.withoutScore, resamples: resamples, seed: seed)
    try answer(json ? jsonLine(result) : text(result))
  }

  private func text(_ result: Result) -> String {
    func number(_ value: Double) -> String { String(format: "%+.5f", value) }
    return [
      "bits/dim of \(second) less those of \(first): \(number(result.difference))"
        + (result.standardError.value.map { String(format: " ± %.5f (standard error)", $0) } ?? ""),
      result.interval95.value.map {
        "95 % interval \(number($0[0])) to \(number($0[1])) (bootstrap, \(resamples) samples, seed \(seed))"
      },
      String(format: "%.2f %% of ", 100 * result.improved) + counted(result.images, "image") + " improved; "
        + "\(result.onlyInFirst) only in the first, \(result.onlyInSecond) only in the second, "
        + "\(result.withoutScore) without a score",
    ].compactMap { $0 }.joined(separator: "\n")
  }

  /// Says where the scores were made in ways that change them besides the model.
  private func noteDifferences() {
    guard let one = try? ScoreProvenance.read(for: first), let other = try? ScoreProvenance.read(for: second)
    else { return }
    let differences = one.differences(
      to: other, in: [.dequantization, .seed, .importanceSamples, .classes, .kernels])
    if differences.isEmpty { return }
    remark("\(second) was not scored as \(first): \(differences.joined(separator: "; "))")
  }

  /// Draws the images that became most likely, and those that became least likely.
  private func draw(_ paired: PairedScores, _ dataset: any Dataset, to path: String) throws {
    let sorted = paired.pairs.sorted { ($0.difference, $0.index) < ($1.difference, $1.index) }
    func row(_ label: String, _ pairs: [PairedScores.Pair]) throws -> LabeledSheet.Row {
      var row = LabeledSheet.Row(label, [])
      for pair in pairs {
        guard pair.index < dataset.count, dataset.source(pair.index) == pair.path else {
          throw FileError(
            data!, "has no image \(pair.index) by the name of \(pair.path), which \(first) is of")
        }
        row.images.append(try dataset.image(pair.index))
        row.captions.append(String(format: "%+.2f", pair.difference))
      }
      return row
    }
    var sheet = LabeledSheet(
      rows: try [
        row("fewer bits", Array(sorted.prefix(count))),
        row("more bits", Array(sorted.suffix(count).reversed())),
      ])
    sheet.title = "Largest changes of bits/dim"
    try PNG.write(sheet.image(), to: path)
  }
}
