import ArgumentParser
import GlowFlow
import GlowImages
import GlowLatents
import GlowPlots
import GlowStorage
import GlowTraining

struct SheetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sheet",
    abstract: "Show what a model can do on one sheet: samples, an interpolation, an attribute added.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @OptionGroup var data: DataArguments
  @Option(help: "The attribute to add; by default the first one, if the data have any.") var name: String?
  @Option(help: "Factor on the latents of the samples.") var temperature = 0.7
  @Option(help: "Seed of the samples.") var seed: UInt64 = 0
  @Option(help: "Enlargement of each image.") var scale = 2
  @Option(help: "The PNG to write.") var out: String
  @OptionGroup var threads: TeamArguments

  private static let columns = 8

  func validate() throws {
    if !(temperature >= 0 && temperature.isFinite) {
      throw ValidationError("--temperature must not be negative, not \(temperature)")
    }
    if !(1...32).contains(scale) { throw ValidationError("--scale must be 1 to 32, not \(scale)") }
    try checkIsPNG(out, "--out")
  }

  func run() throws {
    let stored = try ModelFile.read(model, as: Float.self, team: threads.team())
    let glow = stored.glow
    let test = try openData(data, .test, for: stored, path: model, readsAttributes: true).dataset
    let space = LatentSpace(glow)
    let samples = try Sampler(glow, batch: 2 * Self.columns).sample(
      count: 2 * Self.columns, temperature: temperature, seed: seed,
      labels: Array(0..<max(1, glow.configuration.classCount)))
    var rows = [
      LabelledSheet.Row("samples", Array(samples[..<Self.columns])),
      LabelledSheet.Row("", Array(samples[Self.columns...])),
    ]
    if test.count > 1 {
      let ends = try space.encode([test.image(0), test.image(1)])
      let path = LatentPath.points(from: ends[0], to: ends[1], steps: Self.columns, method: .linear)
      rows.append(LabelledSheet.Row("interpolation", try space.decode(path)))
    }
    if let row = try attributeRow(stored, test, space) { rows.append(row) }
    var sheet = LabelledSheet(rows: rows)
    sheet.scale = scale
    try PNG.write(sheet.image(), to: out)
    print("\(out): \(rows.map(\.label).filter { !$0.isEmpty }.joined(separator: ", "))")
  }

  /// The first image without the attribute, more and more of which is added; nil if the data have no attributes
  /// and none is asked for.
  private func attributeRow(
    _ stored: StoredModel, _ test: any Dataset, _ space: LatentSpace
  ) throws -> LabelledSheet.Row? {
    let glow = stored.glow
    let train = try openData(data, .train, for: stored, path: model, readsAttributes: true).dataset
    let attributes = DatasetAttributes(train)
    if name == nil && attributes.names.isEmpty { return nil }
    let attribute = try attributes.index(of: name ?? attributes.names[0], data: data.data)
    let statistics = try AttributeStatistics(
      train, attributes: attributes, scorer: Scorer(glow), size: glow.latentCount)
    let vector = try statistics.meanDifference(attribute)
    let truths = DatasetAttributes(test)
    let chosen = (0..<test.count).first { !truths.values($0)[attribute] } ?? 0
    let latents = try space.encode([test.image(chosen)])[0]
    let images = try space.decode(
      (0..<Self.columns).map { LatentPath.shifted(latents, by: [vector], strength: 0.25 * Double($0)) })
    return LabelledSheet.Row("more \(attributes.names[attribute])", images)
  }
}
