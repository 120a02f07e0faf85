import ArgumentParser
import GlowFlow
import GlowImages
import GlowStorage
import GlowTraining

struct ReconstructCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reconstruct",
    abstract: "Take images to the latents and back: a strip with the originals above.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @OptionGroup var data: DataArguments
  @Option(help: "The PNG to write.") var out: String
  @Option(help: "Number of images.") var count = 12
  @OptionGroup var classes: ClassArguments
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if !(1...240).contains(count) { throw ValidationError("--count must be 1 to 240, not \(count)") }
    try destination.checkName()
  }

  private var destination: Destination { Destination("--out", out, .png) }

  func run() throws {
    let stored = try weights.read(model, threads.team())
    let glow = stored.glow
    let opened = try openData(data, .test, for: stored, path: model, classes: classes)
    if let note = opened.note { try answer(note) }
    let data = opened.dataset
    try Destination.prepare([destination], inputs: [model], data: [self.data.data])
    let shown = data.prefix(count)
    let columns = shown.count
    try checkGrid(of: ImageShape(glow.configuration), count: 2 * columns, columns: columns, scale: 2)
    let originals = try (0..<columns).map(shown.image)
    var images: [ByteImage] = []
    let scorer = try Scorer(glow, batch: glow.batchThatFits(min(64, columns)))
    scorer.progress = Countdown("images").reached
    let reconstruction = try scorer.reconstruct(shown) { images.append($2) }
    try PNG.write(ImageGrid.arrange(originals + images, columns: columns, scale: 2), to: out)
    try answer("\(reconstruction)")
    if let note = reconstruction.traits.note { try answer(note) }
  }
}
