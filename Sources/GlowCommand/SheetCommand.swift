import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowLatents
import GlowPlots
import GlowStorage
import GlowTraining

struct SheetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sheet",
    abstract: "Show what a model can do on one sheet: samples, an interpolation, an attribute added.",
    discussion: """
      Samples of a conditional model are of all classes in turn; the other rows show test images of --class.
      """)

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @OptionGroup var data: DataArguments
  @Option(help: "The attribute to add; by default the first that some images have and others have not.")
  var name: String?
  @Option(
    help:
      "How much of the attribute is added at the end of its row; by default as much as a probe of pixels needs to see it in 19 of 20 images without it."
  )
  var strength: Double?
  @OptionGroup var classes: ClassArguments
  @Option(help: "Factor on the latents of the samples.") var temperature = 0.7
  @Option(help: "Seed of the samples.") var seed: UInt64 = 0
  @Option(help: "Enlargement of each image.") var scale = 2
  @Option(help: "The PNG to write.") var out: String
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  private static let columns = 8
  /// The most that is added of an attribute if nothing else is asked for.
  private static let largestStrength = 2.5

  func validate() throws {
    if !(temperature >= 0 && temperature.isFinite) {
      throw ValidationError("--temperature must not be negative, not \(temperature)")
    }
    if !(1...32).contains(scale) { throw ValidationError("--scale must be 1 to 32, not \(scale)") }
    if let strength, !strength.isFinite {
      throw ValidationError("--strength must be a finite number, not \(strength)")
    }
    try destination.checkName()
  }

  private var destination: Destination { Destination("--out", out, .png) }

  func run() throws {
    let stored = try weights.read(model, threads.team())
    let glow = stored.glow
    let label = try classes.label(stored, model: model)
    let opened = try openData(data, .test, for: stored, path: model, readsAttributes: true)
    if let note = opened.note { try answer(note) }
    try Destination.prepare([destination], inputs: [model], data: [data.data])
    let test = opened.dataset
    let space = try LatentSpace(glow, label: label)
    // The most that there will be: four rows, the last with captions.
    var largest = LabeledSheet(rows: .init(repeating: .init("interpolation", []), count: 4))
    largest.rows[3].captions = ["0"]
    largest.scale = scale
    try largest.check(shape: space.shape, columns: Self.columns)
    space.report(to: Countdown("images").reached)
    let sampler = try Sampler(glow, batch: glow.batchThatFits(2 * Self.columns))
    sampler.progress = Countdown("samples").reached
    let samples = try sampler.sample(
      count: 2 * Self.columns, temperature: temperature, seed: seed,
      labels: Array(0..<max(1, glow.configuration.classCount)))
    var rows = [
      LabeledSheet.Row("samples", Array(samples[..<Self.columns])),
      LabeledSheet.Row("", Array(samples[Self.columns...])),
    ]
    let shown = (0..<test.count).filter { !glow.configuration.isConditional || test.label($0) == label }
    if shown.count > 1 {
      let ends = try space.encode([test.image(shown[0]), test.image(shown[1])])
      let path = LatentPath.points(from: ends[0], to: ends[1], steps: Self.columns, method: .linear)
      rows.append(LabeledSheet.Row("interpolation", try space.decode(path)))
    }
    if let row = try attributeRow(stored, test, shown, space) { rows.append(row) }
    try checkFinite(sampler.decoded + space.decoded)
    var sheet = LabeledSheet(rows: rows)
    sheet.scale = scale
    try PNG.write(sheet.image(), to: out)
    try answer("\(out): \(rows.map(\.label).filter { !$0.isEmpty }.joined(separator: ", "))")
  }

  /// The first of the `shown` test images not known to have the attribute, more and more of which is added; nil if
  /// no image is shown, or no attribute is asked for and none tells images apart.
  private func attributeRow(
    _ stored: StoredModel, _ test: any Dataset, _ shown: [Int], _ space: LatentSpace
  ) throws -> LabeledSheet.Row? {
    let glow = stored.glow
    let train = try openData(data, .train, for: stored, path: model, readsAttributes: true).dataset
    let attributes = DatasetAttributes(train)
    let asked = try name.map { try attributes.index(of: $0, data: data.data) }
    if shown.isEmpty || attributes.names.isEmpty { return nil }
    let scorer = try Scorer(glow, batch: glow.batchThatFits(64))
    scorer.progress = Countdown("images").reached
    let statistics = try AttributeStatistics(
      train, attributes: attributes, scorer: scorer, size: glow.latentCount)
    guard let attribute = asked ?? attributes.names.indices.first(where: statistics.varies) else {
      return nil
    }
    let vector = try statistics.meanDifference(attribute)
    // The test images have a list of their own, or none.
    let truths = DatasetAttributes(test)
    let place = truths.names.firstIndex(of: attributes.names[attribute])
    let chosen = place.flatMap { place in shown.first { !truths.values($0)[place] } } ?? shown[0]
    let latents = try space.encode([test.image(chosen)])[0]
    // Without a truth of the test images there is nothing to choose by.
    let without = place.map { place in shown.filter { !truths.values($0)[place] } } ?? []
    let most =
      try strength
      ?? (without.isEmpty
        ? Self.largestStrength
        : probedStrength(
          of: vector, attribute, train, space.encode(without.prefix(32).map { try test.image($0) }), space))
    let strengths = (0..<Self.columns).map { most * Double($0) / Double(Self.columns - 1) }
    var row = LabeledSheet.Row(
      "more \(attributes.names[attribute])",
      try space.decode(strengths.map { LatentPath.shifted(latents, by: [vector], strength: $0) }))
    row.captions = strengths.map { String(format: "%.2g", $0) }
    return row
  }

  /// As much as a probe needs to see the attribute in all images without it.
  private func probedStrength(
    of vector: [Float], _ attribute: Int, _ train: any Dataset, _ latents: [[Float]], _ space: LatentSpace
  ) throws -> Double {
    // The probe holds its images in memory.
    let count = max(1, min(4000, (1 << 26) / space.shape.count))
    let probe = try AttributeProbe(train.spread(over: count), kernels: space.kernels)
    var pushes: [AttributePush] = []
    // No further than needed: latents that lie far from those of images decode to nothing.
    for strength in stride(from: 0.25, through: Self.largestStrength, by: 0.25) {
      pushes += try AttributePush.measure(
        latents, along: vector, of: attribute, strengths: [strength], space: space, probe: probe)
      if pushes.last!.reached == 1 { break }
    }
    return AttributePush.weakest(of: pushes, reaching: 1).strength
  }
}
