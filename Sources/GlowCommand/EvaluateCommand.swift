import ArgumentParser
import Foundation
import Glibc
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import GlowTraining

struct EvaluateCommand: SharedCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate", abstract: "Score images in bits/dim.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @OptionGroup var data: DataArguments
  @Option(help: "train, valid or test, where the data has them.") var split = DataPart.test
  @Option(
    help: "A .jsonl or .csv file to write one record an image to; NAME.meta.json says where they come from.")
  var scores: String?
  @Flag(help: "Go on with the records of --scores where an earlier job has ended.") var resume = false
  @Option(
    help: ArgumentHelp(
      "Score part I of N, such as 2/4; the files of all parts, one after the other, are the whole one.",
      valueName: "I/N"))
  var shard: Shard?
  @OptionGroup var scoring: ScoringArguments
  @Flag(help: "Print one JSON object.") var json = false
  @Option(
    help: ArgumentHelp(
      "End after this time, \(TimeSpan.help), with status 142; --resume goes on.", valueName: "time"))
  var maxTime: TimeSpan?
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    for destination in destinations { try destination.checkName() }
    if resume && !keepsRecords {
      throw ValidationError("--resume needs --scores with the name of a file, whose records it goes on with")
    }
    if maxTime != nil && !keepsRecords {
      throw ValidationError("--max-time needs --scores with the name of a file, which keeps what is done")
    }
  }

  private var destinations: [Destination] {
    guard let scores else { return [] }
    let records = Destination("--scores", scores, .records)
    return records.isSpecial
      ? [records] : [records, Destination("--scores", ScoreProvenance.path(of: scores), .provenance)]
  }

  /// Whether records stay when the job ends early: what is no regular file is written through.
  private var keepsRecords: Bool { destinations.count > 1 }

  private struct Result: Encodable {
    let provenance: ScoreProvenance
    let images: Int
    let bitsPerDim: Double
    let standardError: Nullable
    let quantiles: [String: Double]
    /// With one draw of the noise, if there are more.
    let bitsPerDimFirstDraw: Double?
    /// How the bound rises with the number of draws, if there are more than one.
    let convergence: [Bound]?
    /// Of the images whose class is known, with `--class marginal` or `best`.
    let accuracy: Double?
    /// Images whose class is known.
    let accuracyImages: Int?
    let seconds: Double
    let imagesPerSecond: Double
    /// Of the time, and of the processors' time, what was spent waiting for images and reading them.
    let waitingShare: Double
    let readingShare: Double
    let limit: Int?
    let imageSize: Int?
    let resize: String
    let batch: Int
    let threads: Int
    let note: String?

    private enum CodingKeys: CodingKey {
      case images, bitsPerDim, standardError, quantiles, bitsPerDimFirstDraw, convergence, accuracy,
        accuracyImages,
        seconds, imagesPerSecond, waitingShare, readingShare, limit, imageSize, resize, batch, threads, note
    }

    /// What the scores come from, beside the rest; of the images only those that have a score count here.
    func encode(to encoder: any Encoder) throws {
      try provenance.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(images, forKey: .images)
      try container.encode(bitsPerDim, forKey: .bitsPerDim)
      try container.encode(standardError, forKey: .standardError)
      try container.encode(quantiles, forKey: .quantiles)
      try container.encodeIfPresent(bitsPerDimFirstDraw, forKey: .bitsPerDimFirstDraw)
      try container.encodeIfPresent(convergence, forKey: .convergence)
      try container.encodeIfPresent(accuracy, forKey: .accuracy)
      try container.encodeIfPresent(accuracyImages, forKey: .accuracyImages)
      try container.encode(seconds, forKey: .seconds)
      try container.encode(imagesPerSecond, forKey: .imagesPerSecond)
      try container.encode(waitingShare, forKey: .waitingShare)
      try container.encode(readingShare, forKey: .readingShare)
      try container.encodeIfPresent(limit, forKey: .limit)
      try container.encodeIfPresent(imageSize, forKey: .imageSize)
      try container.encode(resize, forKey: .resize)
      try container.encode(batch, forKey: .batch)
      try container.encode(threads, forKey: .threads)
      try container.encodeIfPresent(note, forKey: .note)
    }
  }

  private struct Bound: Encodable {
    let draws: Int
    let bitsPerDim: Double
    let standardError: Nullable
  }

  func run() throws {
    // That of one ends all.
    if let maxTime, ranks.isFirst { alarm(UInt32(clamping: maxTime.seconds)) }
    let team = try threads.team()
    let stored = try weights.read(model, team)
    let glow = stored.glow
    var settings = try scoring.settings(stored)
    settings.classes = try scoring.classes(stored, model: model)
    settings.takesDigests = true
    let location = try formerLocation() ?? data.data
    let opened = try openData(
      location, data.images, split, for: stored, path: model, needsClasses: settings.classes == .ofImages)
    let range = shard?.range(of: opened.dataset.count) ?? 0..<opened.dataset.count
    if range.isEmpty {
      throw ConfigurationError(
        "--shard \(shard!): the data has no more than \(counted(opened.dataset.count, "image"))")
    }
    try requireSame(glow, [opened.dataset])
    try ranks.first { try Destination.prepare(destinations, inputs: [model], data: [data.data]) }
    if try ranks.isFirst && isTrainedOn(opened.dataset) {
      remark("these are the images that the model was trained on: \(Self.ownImagesHint)")
    }
    var provenance = ScoreProvenance(glow, model: model, data: location, count: range.count, settings)
    provenance.split = opened.part?.rawValue
    provenance.imageOptions = data.images.own(of: model, location).settings
    provenance.shard = shard?.description
    provenance.notes = opened.notes.isEmpty ? nil : opened.notes
    provenance.classes = try scoring.classText(settings.classes, stored, path: model)
    let scorer = try Scorer(glow, batch: scoring.batch)
    scorer.ranks = ranks
    var collected = CollectedScores(draws: scoring.importanceSamples)
    var former = 0
    let processor = processorSeconds()
    let seconds = try secondsOf {
      func score(_ append: (ScoreRecord) throws -> Void) throws {
        let rest = range.dropFirst(former)
        if rest.isEmpty { return }
        let countdown = Countdown("images")
        scorer.progress = { done, _ in countdown.reached(former + done, of: range.count) }
        try scorer.score(opened.dataset.images(rest), settings) { record in
          var record = record
          record.index += rest.lowerBound
          collected.add(record)
          try append(record)
        }
      }
      if !ranks.isFirst {
        // How many records are there the first process knows, which alone writes.
        if keepsRecords { former = try ranks.largest(0) }
        return try score { _ in }
      }
      let columns = try scoreColumns(stored, scoring, path: model)
      guard let scores, keepsRecords else {
        return try ScoreTable.write(to: scores, columns: columns) { table in
          try score { try table?.append($0) }
        }
      }
      let part = PartialFile.name(of: scores)
      Interruption.message = {
        Log.line(
          .error, "interrupted by signal \($0): the records so far are in \(part); go on with --resume")
      }
      let file = try ScoreFile(
        scores, columns, provenance, hasHeader: (shard?.number ?? 1) == 1, resumes: resume,
        dimensions: glow.configuration.dimensions
      ) { record in
        try check(record, opened.dataset, range.lowerBound + former)
        collected.add(record)
        former += 1
      }
      _ = try ranks.largest(former)
      if former > 0 { remark("\(counted(former, "record")) of \(range.count) are there already") }
      do { try score(file.append) } catch {
        file.discardIfEmpty()
        throw error
      }
      try file.finish(collected)
    }
    if !ranks.isFirst { return }
    warnOfSkipped(collected, data.data)
    let score = try collected.summary()
    let counts = [1] + ImageScore.gainCounts(scoring.importanceSamples)
    let bounds = zip(counts, collected.bounds.map { Score($0) })
    let recognized = collected.recognized
    let hasAccuracy = [.marginal, .best].contains(settings.classes) && recognized.labeled > 0
    let result = Result(
      provenance: provenance.completed(by: collected), images: score.images,
      bitsPerDim: score.bitsPerDimension, standardError: Nullable(score.standardError),
      quantiles: Dictionary(
        uniqueKeysWithValues: Self.fractions.map { (String(format: "%g", $0), score.quantile($0)) }),
      bitsPerDimFirstDraw: collected.bounds.first.map { Score($0).bitsPerDimension },
      convergence: collected.bounds.isEmpty
        ? nil
        : bounds.map {
          Bound(draws: $0, bitsPerDim: $1.bitsPerDimension, standardError: Nullable($1.standardError))
        },
      accuracy: hasAccuracy ? Double(recognized.right) / Double(recognized.labeled) : nil,
      accuracyImages: hasAccuracy ? recognized.labeled : nil, seconds: seconds,
      imagesPerSecond: Double(score.images + collected.skipped - former) / seconds,
      waitingShare: scorer.readingCost.waited / seconds,
      readingShare: scorer.readingCost.processor / max(processorSeconds() - processor, 1e-6),
      limit: data.images.limit, imageSize: data.images.imageSize, resize: data.images.resizing.rawValue,
      batch: scoring.batch, threads: team.count, note: opened.note)
    try answer(json ? jsonLine(result) : text(result, score, found: collected.traits.note))
  }

  /// What is to be known of scores of those images that a model learns from.
  static let ownImagesHint = "of others bits/dim are higher (--hold-out keeps some back)"

  /// Whether the run that the model is of has learned from these very images.
  private func isTrainedOn(_ dataset: any Dataset) throws -> Bool {
    guard let run = RunFolder.configuration(ofModel: model), run.imageCount == dataset.count,
      let digest = run.dataDigest
    else { return false }
    return try DataDigest.of(dataset, onError: .skip) == digest
  }

  /// The data as the job to go on with has written them, if these are the same: records name images that way.
  private func formerLocation() throws -> String? {
    guard resume, let scores, let former = try ScoreProvenance.readFormer(for: scores)?.data,
      case let path? = Folder.resolved(former), path == Folder.resolved(data.data)
    else { return nil }
    return former
  }

  /// Records are only gone on with for the images that they are of: some are looked at again.
  private func check(_ record: ScoreRecord, _ dataset: any Dataset, _ index: Int) throws {
    let isLooked = index % 1000 == 0
    if record.index == index && record.path == dataset.source(index) {
      if !isLooked { return }
      let pixels = (try? dataset.image(index))?.pixels
      if pixels?.withUnsafeBytes({ SHA256.digest($0) }) == record.digest { return }
    }
    throw FileError(data.data, "\(dataset.source(index)) is not the image that record \(index) is of")
  }

  private static let fractions = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]

  /// - Parameter found: of how many images something was changed.
  private func text(_ result: Result, _ score: Score, found: String?) -> String {
    let provenance = result.provenance
    var lines = [
      "\(provenance.model) on \(provenance.data)" + (provenance.split.map { ", its \($0) images" } ?? "")
    ]
    lines += [result.note, found].compactMap { $0 }
    lines.append(
      "bits/dim \(score) on \(counted(result.images, "image")), "
        + String(format: "%.1f images/s", result.imagesPerSecond))
    lines.append(
      "quantiles: "
        + Self.fractions.map { String(format: "%g %% %.4f", 100 * $0, score.quantile($0)) }.joined(
          separator: ", ")
    )
    if let convergence = result.convergence {
      lines.append(
        "bound by draws an image: "
          + convergence.map { bound in
            "\(bound.draws): " + String(format: "%.4f", bound.bitsPerDim)
              + (bound.standardError.value.map { String(format: " ± %.4f", $0) } ?? "")
          }.joined(separator: ", "))
    }
    if let accuracy = result.accuracy {
      lines.append(
        String(format: "the most probable class is the image's own: %.2f %%", 100 * accuracy)
          + " of the \(counted(result.accuracyImages ?? 0, "image")) whose class the model knows")
    }
    lines.append(
      String(
        format: "batch %d, %@, %.1f s, %.1f %% of it waiting for images, whose reading took %.1f %% of the "
          + "processors' time; %@ skipped",
        result.batch, counted(result.threads, "thread") as NSString, result.seconds,
        100 * result.waitingShare, 100 * result.readingShare,
        counted(provenance.skipped ?? 0, "image") as NSString))
    return (lines + provenance.lines).joined(separator: "\n")
  }
}
