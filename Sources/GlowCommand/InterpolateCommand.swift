import ArgumentParser
import GlowFlow
import GlowImages
import GlowLatents
import GlowStorage
import GlowTraining

extension InterpolationMethod: ExpressibleByArgument {}

struct InterpolateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "interpolate",
    abstract:
      "Walk through the latent space: from one image to another, between four, or from class to class.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Argument(
    help:
      "Two images (PNG, JPEG or WebP) for a strip; four for a grid: upper left, upper right, lower left, lower right; or one with --to-class."
  )
  var images: [String]
  @Option(help: "The PNG to write.") var out: String
  @Option(help: "Images of the strip, both ends among them (8 by default).") var steps: Int?
  @Option(help: "Images along each side of the grid between four images (8 by default).") var grid: Int?
  @Option(help: "linear, or spherical: latents on the way keep their length.")
  var method = InterpolationMethod.linear
  @Option(
    help: ArgumentHelp(
      "For a conditional model and one image: walk from --class, which it has, to this class, with the same latents.",
      valueName: "class"))
  var toClass: String?
  @OptionGroup var handling: PictureArguments
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if toClass != nil && images.count != 1 {
      throw ValidationError("--to-class walks from one image, not \(images.count)")
    }
    if images.count != 2 && images.count != 4 && toClass == nil {
      throw ValidationError("expected two images, or four for a grid, not \(images.count)")
    }
    if images.count < 4 && grid != nil {
      throw ValidationError("--grid needs four images, not \(images.count)")
    }
    if images.count == 4 && steps != nil {
      throw ValidationError("--steps needs two images; four take --grid")
    }
    if let steps, !(2...240).contains(steps) {
      throw ValidationError("--steps must be 2 to 240, not \(steps)")
    }
    if let grid, !(2...64).contains(grid) { throw ValidationError("--grid must be 2 to 64, not \(grid)") }
    try destination.checkName()
  }

  private var destination: Destination { Destination("--out", out, .png) }

  func run() throws {
    let stored = try weights.read(model, threads.team())
    let space = try handling.space(stored, model: model)
    space.report(to: Countdown("images").reached)
    let target = try toClass.map { try ClassArguments.label($0, stored, model: model) }
    let columns = (images.count < 4 ? steps : grid) ?? 8
    try checkGrid(
      of: space.shape, count: images.count < 4 ? columns : columns * columns, columns: columns,
      scale: handling.scale)
    try Destination.prepare([destination], inputs: [model] + images)
    var ends = try space.encode(handling.read(images, shape: space.shape, model: model))
    if let target { ends.append(try space.moved(ends[0], toClass: target)) }
    let path =
      ends.count == 2
      ? LatentPath.points(from: ends[0], to: ends[1], steps: columns, method: method)
      : LatentPath.grid(corners: ends, steps: columns, method: method)
    let grid = ImageGrid.arrange(try space.decode(path), columns: columns, scale: handling.scale)
    try checkFinite(space.decoded)
    try PNG.write(grid, to: out)
    try answer("\(out): \(path.count) images, \(method.rawValue) interpolation")
  }
}
