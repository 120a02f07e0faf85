import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowPlots
import GlowStorage
import GlowTraining

extension DetectCommand {
  /// One of two sets, with what its scores come from.
  private struct Side: Encodable {
    let provenance: ScoreProvenance
    /// That have a score.
    let images: Int
    let bitsPerDim: Double
    let standardError: Nullable
    let note: String?

    private enum CodingKeys: CodingKey { case images, bitsPerDim, standardError, note }

    func encode(to encoder: any Encoder) throws {
      try provenance.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(images, forKey: .images)
      try container.encode(bitsPerDim, forKey: .bitsPerDim)
      try container.encode(standardError, forKey: .standardError)
      try container.encodeIfPresent(note, forKey: .note)
    }
  }

  /// What a reference keeps.
  private struct Kept: Encodable {
    let reference: String
    let known: Side

    private enum CodingKeys: CodingKey { case reference }

    func encode(to encoder: any Encoder) throws {
      try known.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(reference, forKey: .reference)
    }
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
    let compressor: String
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
      case split, limit, meanTrainingBitsPerDim, scores, compressor, dequantization, importanceSamples, seed,
        seconds
      case imagesPerSecond
    }
  }

  /// Scores known images, and foreign ones if there are any, to tell one from the other.
  func compare() throws {
    let stored = try weights.read(model, threads.team())
    let data = [known, foreign].compactMap { $0 }
    let (sets, classes) = try openSets(data, stored)
    try requireSame(stored.glow, sets.map(\.dataset))
    try Destination.prepare(
      destinations, inputs: [model], data: data + (train.map { [$0] } ?? []))
    let scorer = try Scorer(stored.glow, batch: scoring.batch)
    scorer.ranks = ranks
    scorer.progress = Countdown("images").reached
    let mean = try meanTrainingBits(stored, scorer, classes)
    let settings = try settings(stored, classes)
    var columns = try scoreColumns(stored, scoring, path: model)
    columns.detection = DetectionScore.allCases
    columns.meanTrainingBits = mean
    var collected: [CollectedScores] = []
    var provenances: [ScoreProvenance] = []
    let seconds = try secondsOf {
      for (place, opened) in sets.enumerated() {
        let path = scores.map { recordsFile(["in", "out"][place], in: $0) }
        scorer.progress = Countdown("images of \(data[place])").reached
        let found = try records(opened.dataset, scorer, settings, columns, to: path)
        var provenance = try provenance(of: data[place], stored, settings)
        provenance.notes = opened.notes.isEmpty ? nil : opened.notes
        provenance = provenance.completed(by: found)
        provenance.split = opened.part?.rawValue
        provenance.images = opened.dataset.count
        provenance.meanTrainingBitsPerDim = mean
        try write(provenance, beside: path)
        collected.append(found)
        provenances.append(provenance)
      }
    }
    let sides = try data.indices.map { place in
      warnOfSkipped(collected[place], data[place])
      let score = try collected[place].summary()
      return Side(
        provenance: provenances[place], images: score.images, bitsPerDim: score.bitsPerDimension,
        standardError: Nullable(score.standardError),
        note: provenances[place].notes.map { $0.joined(separator: "; ") })
    }
    if let reference {
      try DetectionReference(provenances[0], scores: collected[0].values).write(to: reference)
    }
    if foreign == nil, let reference {
      if json { return try answer(jsonLine(Kept(reference: reference, known: sides[0]))) }
      return try answer(
        "\(reference): the scores of \(counted(sides[0].images, "image")) of \(data[0]); compressed as \(compressor.rawValue)"
          + (sides[0].note.map { "; \($0)" } ?? ""))
    }
    var metrics: [DetectionScore: DetectionMetrics] = [:]
    for score in DetectionScore.allCases {
      guard let known = collected[0].values[score], let foreign = collected[1].values[score] else { continue }
      metrics[score] = DetectionMetrics(known: known, foreign: foreign)
      if let scores { try draw(score, known: known, foreign: foreign, in: scores) }
    }
    try answer(json ? jsonLine(result(sides, settings, mean, metrics, seconds)) : text(sides, mean, metrics))
  }

  /// Opens images of each of `data`, and says by which class all are to be scored: marginally if some have none.
  private func openSets(_ data: [String], _ stored: StoredModel) throws -> ([OpenedData], ClassChoice) {
    let classes = try scoring.classes(stored, model: model)
    func open(needsClasses: Bool) throws -> [OpenedData] {
      try data.map {
        try openData($0, images, split, for: stored, path: model, needsClasses: needsClasses)
      }
    }
    do { return (try open(needsClasses: classes == .ofImages), classes) } catch let error
      as ConfigurationError
      where classes == .ofImages && stored.glow.configuration.isConditional
    {
      let sets = try open(needsClasses: false)
      remark("\(error): all images are scored by --class marginal")
      return (sets, .marginal)
    }
  }

  private func result(
    _ sides: [Side], _ settings: ScoringSettings, _ mean: Double?,
    _ metrics: [DetectionScore: DetectionMetrics], _ seconds: Double
  ) -> Result {
    var scores: [String: Metrics] = [:]
    for (score, values) in metrics {
      scores[score.rawValue] = Metrics(
        auroc: values.auroc, averagePrecision: values.averagePrecision,
        falsePositiveRate: values.falsePositiveRate)
    }
    return Result(
      model: model, known: sides[0], foreign: sides[1], split: split.rawValue, limit: images.limit,
      meanTrainingBitsPerDim: mean, scores: scores, compressor: compressor.rawValue,
      dequantization: settings.dequantization.rawValue,
      importanceSamples: scoring.importanceSamples, seed: scoring.seed, seconds: seconds,
      imagesPerSecond: Double(sides.reduce(0) { $0 + $1.images + ($1.provenance.skipped ?? 0) }) / seconds)
  }

  /// The mean over --train, or what the model keeps, if it was taken with the same noise.
  private func meanTrainingBits(_ stored: StoredModel, _ scorer: Scorer, _ classes: ClassChoice) throws
    -> Double?
  {
    let advice = "typicality is left out: give the training images with --train DATA"
    if let train {
      var collected = CollectedScores()
      let opened = try openData(
        train, images, .train, for: stored, path: model, needsClasses: classes == .ofImages)
      if let note = opened.note { remark("\(train): \(note)") }
      var settings = try scoring.settings(stored)
      // The first draw of several: what typicality compares with the mean.
      settings.importanceSamples = 1
      settings.classes = classes
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
    let asked = try scoring.settings(stored).dequantization
    if let noise = kept.dequantization, noise != asked {
      warn(
        "\(model) keeps the mean bits/dim of its training images with --dequantization \(noise.rawValue), not "
          + "\(asked.rawValue), so \(advice)")
      return nil
    }
    return kept.mean
  }

  /// Scores a data set, with a record of each image at `path`.
  private func records(
    _ dataset: any Dataset, _ scorer: Scorer, _ settings: ScoringSettings, _ columns: ScoreColumns,
    to path: String?
  ) throws -> CollectedScores {
    var collected = CollectedScores(meanTrainingBits: columns.meanTrainingBits)
    try ScoreTable.write(to: path, columns: columns) { table in
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
      samples: [.init("in: \(name(self.known!))", known), .init("out: \(name(self.foreign!))", shown)])
    try PNG.write(histogram.image(), to: histogramFile(score, in: folder))
  }

  /// The last part of a path.
  private func name(_ data: String) -> String { URL(filePath: data).lastPathComponent }

  private func text(
    _ sides: [Side], _ mean: Double?, _ metrics: [DetectionScore: DetectionMetrics]
  ) -> String {
    var lines = zip(["in", "out"], sides).map { name, side in
      "\(name): \(side.provenance.data), bits/dim \(Score.text(side.bitsPerDim, error: side.standardError.value)) on "
        + counted(side.images, "image") + (side.note.map { "; \($0)" } ?? "")
    }
    if let mean { lines.append(String(format: "mean bits/dim of the training images: %.4f", mean)) }
    lines.append("complexity by \(compressor.rawValue)")
    lines.append("score           AUROC  average precision  FPR at 95 % TPR")
    for score in DetectionScore.allCases {
      guard let values = metrics[score] else { continue }
      let name = score.rawValue.padding(toLength: 12, withPad: " ", startingAt: 0)
      lines.append(
        String(
          format: "%@  %7.4f  %17.4f  %15.4f", name, values.auroc, values.averagePrecision,
          values.falsePositiveRate))
    }
    return (lines + sides[0].provenance.lines).joined(separator: "\n")
  }
}

extension DetectionScore {
  /// For the axis of a chart.
  fileprivate var title: String {
    switch self {
    case .likelihood: "bits/dim"
    case .complexity: "bits/dim less bits/dim compressed"
    case .typicality: "distance of bits/dim to the training mean"
    }
  }
}
