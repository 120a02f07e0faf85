import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowLatents
import GlowStorage
import GlowTraining

struct DecodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decode", abstract: "Turn the latents that encode has written back into images.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Option(help: "A .npy file, float32 [N, H·W·C].") var latents: String
  @Option(help: "A .png file for a grid, or a folder for one PNG an image.") var out: String
  @Option(help: "The dequantisation that the latents were made with.")
  var dequantization = DequantisationKind.none
  @Option(name: .customLong("class"), help: "The class of the images, for a conditional model.") var label = 0
  @OptionGroup var threads: TeamArguments

  func run() throws {
    let glow = try ModelFile.read(model, as: Float.self, team: threads.team()).glow
    if label < 0 || label >= max(1, glow.configuration.classCount) {
      throw ConfigurationError("\(model) has no class \(label)")
    }
    let file = try LatentFile(latents, size: glow.latentCount)
    let isGrid = out.hasSuffix(".png")
    if isGrid && file.count > Self.largestGrid {
      throw FileError(
        latents,
        "holds \(file.count) images, too many for one grid (\(Self.largestGrid)): "
          + "let --out be a folder")
    }
    if !isGrid {
      do { try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true) } catch {
        throw FileError(out, "cannot make this folder: \(error.localizedDescription)")
      }
    }
    let sampler = Sampler(glow, batch: min(64, file.count))
    var grid: [ByteImage] = []
    for start in stride(from: 0, to: file.count, by: 64) {
      let images = try file.rows(start..<min(start + 64, file.count)).withUnsafeBufferPointer {
        try sampler.decode($0, labels: [label], toNearest: dequantization == .none)
      }
      if isGrid {
        grid += images
      } else {
        for (index, image) in images.enumerated() {
          try PNG.write(image, to: String(format: "%@/%06d.png", out, start + index))
        }
      }
    }
    if isGrid { try PNG.write(ImageGrid.arrange(grid), to: out) }
    print("\(out): \(file.count) images")
  }

  /// Images that one grid may hold.
  private static let largestGrid = 10_000
}
