import ArgumentParser
import GlowFlow
import GlowImages
import GlowStorage
import GlowTraining

struct SampleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample", abstract: "Draw images from a model.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Option(help: "The PNG to write.") var out: String
  @Option(help: "Number of images.") var count = 64
  @Option(help: "Factor on the latents of every level.") var temperature = 0.7
  @Option var seed: UInt64 = 0
  @Option(name: .customLong("class"), help: "The class to draw, for a conditional model.") var label: Int?
  @Option(help: "Enlargement of the grid.") var scale = 2
  @Flag(help: "One PNG an image, numbered after the name in --out, in place of a grid.") var separate = false
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if !(1...1_000_000).contains(count) {
      throw ValidationError("--count must be 1 to 1000000, not \(count)")
    }
    if !(temperature >= 0 && temperature.isFinite) {
      throw ValidationError("--temperature must not be negative, not \(temperature)")
    }
    if !(1...32).contains(scale) { throw ValidationError("--scale must be 1 to 32, not \(scale)") }
    if !out.hasSuffix(".png") { throw ValidationError("--out must end in .png, not \(out)") }
  }

  func run() throws {
    let glow = try ModelFile.read(model, as: Float.self, team: threads.team()).glow
    let classes = glow.configuration.classCount
    if let label, !(0..<classes).contains(label) {
      throw ConfigurationError(
        classes == 0
          ? "\(model) is not conditional: leave out --class"
          : "--class must be 0 to \(classes - 1), not \(label)")
    }
    let images = try Sampler(glow, batch: min(64, count)).sample(
      count: count, temperature: temperature, seed: seed,
      labels: label.map { [$0] } ?? Array(0..<max(1, classes)))
    if separate {
      for (index, image) in images.enumerated() {
        let digits = String(index)
        let number = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        try PNG.write(image, to: "\(out.dropLast(4))-\(number).png")
      }
    } else {
      try PNG.write(ImageGrid.arrange(images, scale: scale), to: out)
    }
  }
}
