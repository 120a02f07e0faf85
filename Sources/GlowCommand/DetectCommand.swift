import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowPlots
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

  private var destinations: [Destination] {
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

  private func recordsFile(_ name: String, in folder: String) -> String { "\(folder)/\(name).jsonl" }
  private func histogramFile(_ score: DetectionScore, in folder: String) -> String {
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
  private func judge() throws {
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
    let opened: OpenedData
    do {
      opened = try openData(
        judged, images, split, for: stored, path: model, needsClasses: settings.classes == .ofImages)
    } catch let error as ConfigurationError
      where settings.classes == .ofImages && stored.glow.configuration.isConditional
    {
      throw ConfigurationError(
        "\(error). \(path) is of images with classes of their own: one made with --class marginal judges others"
      )
    }
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

  private func settings(_ stored: StoredModel, _ classes: ClassChoice) throws -> ScoringSettings {
    var settings = try scoring.settings(stored)
    settings.compressor = compressor
    settings.takesDigests = true
    settings.classes = classes
    return settings
  }

  /// But for what is known only of images that are opened.
  private func provenance(
    of data: String, _ stored: StoredModel, _ settings: ScoringSettings
  ) throws -> ScoreProvenance {
    var provenance = ScoreProvenance(stored.glow, model: model, data: data, count: 0, settings)
    provenance.imageOptions = images.own(of: model, data).settings
    provenance.classes = try scoring.classText(settings.classes, stored, path: model)
    return provenance
  }

  /// What is no regular file has no neighbor.
  private func write(_ provenance: ScoreProvenance, beside path: String?) throws {
    if let path, recordDestinations(path).count > 1 { try provenance.write(for: path) }
  }

  /// Scores known images, and foreign ones if there are any, to tell one from the other.
  private func compare() throws {
    let stored = try weights.read(model, threads.team())
    let data = [known, foreign].compactMap { $0 }
    var classes = try scoring.classes(stored, model: model)
    func open() throws -> [OpenedData] {
      try data.map {
        try openData($0, images, split, for: stored, path: model, needsClasses: classes == .ofImages)
      }
    }
    var sets: [OpenedData]
    do { sets = try open() } catch let error as ConfigurationError
      where classes == .ofImages && stored.glow.configuration.isConditional
    {
      classes = .marginal
      sets = try open()
      remark("\(error): all images are scored by --class marginal")
    }
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
