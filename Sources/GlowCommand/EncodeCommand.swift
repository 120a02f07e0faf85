import ArgumentParser
import GlowFlow
import GlowImages
import GlowLatents
import GlowStorage
import GlowTraining

struct EncodeCommand: SharedCommand {
  static let configuration = CommandConfiguration(
    commandName: "encode", abstract: "Write the latents of images as a .npy file.",
    discussion: """
      The array is float32 [N, H·W·C]. A row holds the standardized latents of one image: split 0, split 1, …, top, \
      each in (row, column, channel) order. Every batch is decoded again, and the largest error printed.
      """)

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @OptionGroup var data: DataArguments
  @Option(help: "The .npy file to write.") var out: String
  @Option(help: "train, valid or test, where the data has them.") var split = DataPart.test
  @Option(help: "uniform, variational, or none for latents that decode to the very images.")
  var dequantization = DequantizationKind.none
  @Option(help: "Seed of the dequantization noise.") var seed: UInt64 = 0
  @OptionGroup var classes: ClassArguments
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws { try destination.checkName() }

  private var destination: Destination { Destination("--out", out, .latents) }

  func run() throws {
    let stored = try weights.read(model, threads.team())
    let glow = stored.glow
    let opened = try openData(data, split, for: stored, path: model, classes: classes)
    let count = opened.dataset.count
    if let note = opened.note { try answer(note) }
    try requireSame(glow, [opened.dataset])
    try ranks.first { try Destination.prepare([destination], inputs: [model], data: [data.data]) }
    let scorer = try Scorer(glow, batch: batchThatFits(glow, min(64, count)))
    scorer.ranks = ranks
    var reconstruction: Reconstruction?
    scorer.progress = Countdown("images").reached
    try LatentFile.write(to: ownPath(out), count: count, size: glow.latentCount) { append in
      reconstruction = try scorer.reconstruct(
        opened.dataset, dequantization: dequantization, seed: seed
      ) { _, latents, _ in try append(latents) }
    }
    try answer("\(out): latents of \(counted(count, "image")), float32 [\(count), \(glow.latentCount)]")
    try answer("decoded again: \(reconstruction!)")
    if let note = reconstruction?.traits.note { try answer(note) }
  }
}
