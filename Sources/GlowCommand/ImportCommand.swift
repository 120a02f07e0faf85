import ArgumentParser
import GlowFlow
import GlowImages
import GlowStorage

extension ForeignFormat: ExpressibleByArgument {}

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Read the weights of another implementation of Glow or RealNVP.")

  @Argument(help: "A .safetensors file with that implementation's own names.") var file: String
  @Option(help: "openai, y0ast, rosinality or realnvp.") var from: ForeignFormat
  @Option(help: "The .safetensors file to write.") var out: String
  @Option(help: "Side of the model's images, which weights do not tell.") var imageSize = 32
  @Option(help: "Bits a channel value, which weights do not tell.") var bits = 8
  @OptionGroup var threads: TeamArguments

  func validate() throws { try destination.checkName() }

  private var destination: Destination { Destination("--out", out, .model) }

  func run() throws {
    try Destination.prepare([destination], inputs: [file])
    let glow = try ModelImport.read(
      file, from: from, imageSize: imageSize, bits: bits, as: Float.self, team: threads.team())
    try ModelFile.write(glow, to: out)
    let found = glow.configuration
    try answer(
      "\(out): \(found.outline)" + (found.architecture == .glow ? details(found) : "") + ", for images of "
        + "\(ImageShape(found)) at \(found.bits) bits; \(glow.parameters.trainableCount) parameters")
  }

  /// Of a Glow.
  private func details(_ found: GlowConfiguration) -> String {
    ", \(found.coupling.rawValue) coupling, \(found.permutation.rawValue), top prior "
      + (found.learnsTopPrior ? "learned" : "not learned")
      + (found.isConditional ? ", \(found.classCount) classes" : "")
  }
}
