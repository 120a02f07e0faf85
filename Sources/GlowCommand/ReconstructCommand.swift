import ArgumentParser
import Foundation
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
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if !(1...10_000).contains(count) { throw ValidationError("--count must be 1 to 10000, not \(count)") }
  }

  func run() throws {
    let glow = try ModelFile.read(model, as: Float.self, team: threads.team()).glow
    let opened = try openData(data, .test, for: glow, model: model)
    let originals = try (0..<min(count, opened.dataset.count)).map { try opened.dataset.image($0) }
    let (images, largest) = try Sampler(glow, batch: min(64, originals.count)).reconstruct(originals)
    let equal = zip(images, originals).count { $0 == $1 }
    try PNG.write(
      ImageGrid.arrange(originals + images, columns: originals.count, scale: 2), to: out)
    print(
      String(
        format: "%d of %d images come back bit by bit; largest error %.5f of a level", equal, originals.count,
        largest))
  }
}
