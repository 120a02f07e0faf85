import ArgumentParser
import GlowStorage
import GlowTraining

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write a model's weights for another implementation of Glow or RealNVP.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Option(help: "openai, y0ast, rosinality or realnvp.") var to: ForeignFormat
  @Option(help: "The .safetensors file to write.") var out: String
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws { try destination.checkName() }

  private var destination: Destination { Destination("--out", out, .foreignModel) }

  func run() throws {
    let glow = try weights.read(model, threads.team()).glow
    try Destination.prepare([destination], inputs: [model])
    try ModelExport.write(glow, as: to, to: out)
    try answer(out)
  }
}
