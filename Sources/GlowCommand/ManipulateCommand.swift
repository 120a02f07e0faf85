import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowLatents
import GlowPlots
import GlowStorage
import GlowTraining

struct ManipulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manipulate",
    abstract: "Change an image along the vectors that attribute has found.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Argument(help: "The image (PNG, JPEG or WebP) to change.") var image: String
  @Option(
    help: ArgumentHelp(
      "A vector, or several to add, separated by commas. Each --attribute makes a row.",
      discussion:
        "A number behind a colon is a vector's weight: smile.npy,hair.npy:0.5 adds half of the second.",
      valueName: "file.npy[:weight],…"))
  var attribute: [VectorSum]
  @Option(parsing: .unconditional, help: "How many times the vector is added: an image each.")
  var strengths = NumberList([-2, -1, 0, 1, 2])
  @Option(help: "The PNG of the strip to write.") var out: String?
  @Option(help: "The animated PNG to write: from the first strength to the last, and back.")
  var animate: String?
  @Option(help: "Images of the animation from the first strength to the last.") var frames = 17
  @OptionGroup var handling: PictureArguments
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if out == nil && animate == nil {
      throw ValidationError("expected --out FILE.png, --animate FILE.png or both")
    }
    for destination in destinations { try destination.checkName() }
    if !(1...240).contains(strengths.values.count) {
      throw ValidationError("--strengths must be 1 to 240 numbers, not \(strengths.values.count)")
    }
    if !(2...240).contains(frames) { throw ValidationError("--frames must be 2 to 240, not \(frames)") }
    if animate != nil && strengths.values.first == strengths.values.last {
      throw ValidationError("--animate needs --strengths that begin and end differently")
    }
  }

  private var destinations: [Destination] {
    [("--out", out), ("--animate", animate)].compactMap { option, path in
      path.map { Destination(option, $0, .png) }
    }
  }

  func run() throws {
    let stored = try weights.read(model, threads.team())
    let rows = try attribute.map { try $0.read(size: stored.glow.latentCount) }
    let space = try handling.space(stored, model: model)
    space.report(to: Countdown("images").reached)
    var sheet = LabeledSheet(rows: attribute.map { LabeledSheet.Row($0.name, []) })
    sheet.columnLabels = strengths.values.map { String(format: "%g", $0) }
    sheet.scale = handling.scale
    if out != nil { try sheet.check(shape: space.shape, columns: strengths.values.count) }
    if animate != nil {
      try checkGrid(
        of: space.shape, count: attribute.count, columns: attribute.count, scale: handling.scale)
    }
    try Destination.prepare(destinations, inputs: [model, image] + attribute.flatMap(\.paths))
    let latents = try space.encode(handling.read([image], shape: space.shape, model: model))[0]
    func changed(_ strengths: [Double]) throws -> [[ByteImage]] {
      try rows.map { vectors in
        try space.decode(strengths.map { LatentPath.shifted(latents, by: vectors, strength: $0) })
      }
    }
    if let out {
      for (row, images) in try changed(strengths.values).enumerated() { sheet.rows[row].images = images }
      try checkFinite(space.decoded)
      try PNG.write(sheet.image(), to: out)
      try answer("\(out): strengths \(strengths.defaultValueDescription)")
    }
    if let animate {
      let (first, last) = (strengths.values[0], strengths.values[strengths.values.count - 1])
      let before = space.decoded
      let there = try changed(
        (0..<frames).map { first + (last - first) * Double($0) / Double(frames - 1) })
      try checkFinite(space.decoded - before)
      let pictures = (0..<frames).map { frame in
        ImageGrid.arrange(there.map { $0[frame] }, columns: there.count, scale: handling.scale)
      }
      // The turning points are shown once.
      try AnimatedPNG.write(pictures + pictures[1..<frames - 1].reversed(), milliseconds: 80, to: animate)
      try answer("\(animate): \(2 * frames - 2) images")
    }
  }
}
