import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowPlots
import GlowStorage
import GlowTraining

struct SampleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample", abstract: "Draw images from a model.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Option(help: "The PNG to write.") var out: String
  @Option(help: "Number of images (64 by default), or of columns for several temperatures (8).") var count:
    Int?
  @Option(help: "Factor on the latents of every level. Several, separated by commas, make a labelled sheet.")
  var temperature = NumberList([0.7])
  @Option var seed: UInt64 = 0
  @Option(name: .customLong("class"), help: "The class to draw, for a conditional model.") var label: Int?
  @Option(help: "Enlargement of the grid.") var scale = 2
  @Flag(help: "One PNG an image, numbered after the name in --out, in place of a grid.") var separate = false
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    let mostImages = isSheet ? 64 : 1_000_000
    if !(1...mostImages).contains(images) {
      throw ValidationError("--count must be 1 to \(mostImages), not \(images)")
    }
    if let bad = temperature.values.first(where: { $0 < 0 }) {
      throw ValidationError("--temperature must not be negative, not \(bad)")
    }
    if temperature.values.count > 64 {
      throw ValidationError("--temperature takes at most 64 values, not \(temperature.values.count)")
    }
    if isSheet && separate {
      throw ValidationError("--separate takes one temperature, not \(temperature.values.count)")
    }
    if !(1...32).contains(scale) { throw ValidationError("--scale must be 1 to 32, not \(scale)") }
    try checkIsPNG(out, "--out")
  }

  func run() throws {
    let glow = try ModelFile.read(model, as: Float.self, team: threads.team()).glow
    try checkClass(label, glow, model: model)
    let sampler = Sampler(glow, batch: min(64, images))
    func draw(_ temperature: Double) throws -> [ByteImage] {
      try sampler.sample(
        count: images, temperature: temperature, seed: seed,
        labels: label.map { [$0] } ?? Array(0..<max(1, glow.configuration.classCount)))
    }
    if isSheet {
      // A column has the same latents throughout, only scaled.
      var sheet = LabelledSheet(
        rows: temperature.values.map { LabelledSheet.Row(String(format: "%g", $0), []) })
      sheet.title = "Samples by temperature"
      sheet.scale = scale
      try sheet.check(shape: ImageShape(glow.configuration), columns: images)
      for (row, temperature) in temperature.values.enumerated() {
        sheet.rows[row].images = try draw(temperature)
      }
      try checkFinite(sampler.decoded)
      try PNG.write(sheet.image(), to: out)
    } else if separate {
      let drawn = try draw(temperature.values[0])
      try checkFinite(sampler.decoded)
      for (index, image) in drawn.enumerated() {
        let digits = String(index)
        let number = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        try PNG.write(image, to: "\(out.dropLast(4))-\(number).png")
      }
    } else {
      let grid = ImageGrid.arrange(try draw(temperature.values[0]), scale: scale)
      try checkFinite(sampler.decoded)
      try PNG.write(grid, to: out)
    }
  }

  private var isSheet: Bool { temperature.values.count > 1 }
  private var images: Int { count ?? (isSheet ? 8 : 64) }
}
