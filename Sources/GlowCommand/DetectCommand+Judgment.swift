import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowStorage
import GlowTraining

extension DetectCommand {
  private struct Judged: Encodable {
    let provenance: ScoreProvenance
    let reference: String
    let knownImages: Int
    let images: Int
    let foreign: Int
    let score: String
    let falsePositiveRate: Double
    let note: String?

    private enum CodingKeys: CodingKey {
      case reference, knownImages, images, foreign, score, falsePositiveRate, note
    }

    func encode(to encoder: any Encoder) throws {
      try provenance.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(reference, forKey: .reference)
      try container.encode(knownImages, forKey: .knownImages)
      try container.encode(images, forKey: .images)
      try container.encode(foreign, forKey: .foreign)
      try container.encode(score, forKey: .score)
      try container.encode(falsePositiveRate, forKey: .falsePositiveRate)
      try container.encodeIfPresent(note, forKey: .note)
    }
  }

  /// Judges new images one by one.
  func judge() throws {
    let stored = try weights.read(model, threads.team())
    let (judged, path) = (judged!, reference!)
    let (score, fpr) = (score ?? .complexity, fpr ?? 0.05)
    let reference = try DetectionReference(path)
    guard let known = reference.scores[score.rawValue] else {
      throw FileError(path, "keeps no \(score.rawValue) of its images: give another --by")
    }
    // What is judged without classes of its own, a reference of all classes fits.
    let settings = try settings(stored, scoring.classes(stored, model: model, default: reference.classes))
    var provenance = try provenance(of: judged, stored, settings)
    let differences = reference.differences(to: provenance)
    if !differences.isEmpty {
      throw FileError(path, "was made otherwise: \(differences.joined(separator: "; "))")
    }
    if reference.provenance == nil {
      remark("\(path) does not say by which version, kernels and image options it was made")
    }
    let opened = try openJudged(judged, stored, settings.classes, reference: path)
    provenance.split = opened.part?.rawValue
    provenance.notes = opened.notes.isEmpty ? nil : opened.notes
    provenance.images = opened.dataset.count
    provenance.meanTrainingBitsPerDim = reference.meanTrainingBitsPerDim
    try requireSame(stored.glow, [opened.dataset])
    try Destination.prepare(destinations, inputs: [model, path], data: [judged])
    var columns = try scoreColumns(stored, scoring, path: model)
    columns.detection = DetectionScore.allCases
    columns.meanTrainingBits = reference.meanTrainingBitsPerDim
    let judge = DetectionJudge(reference, score, falsePositiveRate: fpr)
    provenance.judgment = ScoreProvenance.Judgment(reference: path, judge)
    if let least = reference.leastProbability(of: score), least > fpr {
      warn(
        "no p-value is below \(String(format: "%.2g", least)), 1 over 1 + the \(known.count) known images: at --fpr \(fpr) "
          + "no image is foreign")
    }
    columns.judge = judge
    var collected = CollectedScores(meanTrainingBits: columns.meanTrainingBits)
    var foreign = 0
    let scorer = try Scorer(stored.glow, batch: scoring.batch)
    scorer.ranks = ranks
    scorer.progress = Countdown("images").reached
    try ScoreTable.write(to: scores, columns: columns) { table in
      try scorer.score(opened.dataset, settings) { record in
        collected.add(record)
        if let verdict = try? judge.verdict(record.result.get()), verdict.isForeign { foreign += 1 }
        try table?.append(record)
      }
    }
    provenance = provenance.completed(by: collected)
    try write(provenance, beside: scores)
    warnOfSkipped(collected, judged)
    let count = try collected.summary().images
    if json {
      return try answer(
        jsonLine(
          Judged(
            provenance: provenance, reference: path, knownImages: known.count, images: count,
            foreign: foreign,
            score: score.rawValue, falsePositiveRate: fpr, note: opened.note)))
    }
    for note in [opened.note, collected.traits.note].compactMap({ $0 }) { try answer(note) }
    try answer(
      "\(foreign) of \(counted(count, "image")) are foreign by \(score.rawValue) at a false-positive rate of \(fpr), "
        + "against \(known.count) known ones of \(reference.data)"
        + (score == .complexity ? "; compressed as \(compressor.rawValue)" : ""))
    for line in provenance.lines { try answer(line) }
  }

  /// Opens new images, of classes of their own if those of the reference are scored so.
  private func openJudged(
    _ location: String, _ stored: StoredModel, _ classes: ClassChoice, reference: String
  ) throws -> OpenedData {
    do {
      return try openData(
        location, images, split, for: stored, path: model, needsClasses: classes == .ofImages)
    } catch let error as ConfigurationError
      where classes == .ofImages && stored.glow.configuration.isConditional
    {
      throw ConfigurationError(
        "\(error). \(reference) is of images with classes of their own: one made with --class marginal judges others"
      )
    }
  }
}
