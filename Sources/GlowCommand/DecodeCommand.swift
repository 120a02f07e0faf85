import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
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
    let images = try MappedFile(latents).withBytes { bytes in
      let (header, offset) = try NumpyHeader.parse(bytes, path: latents)
      guard header.dataType == "<f4", !header.isFortranOrdered, header.shape.count == 2,
        header.shape[1] == glow.latentCount, header.shape[0] > 0
      else {
        throw FileError(
          latents,
          "holds \(header.dataType) of shape \(header.shape), expected <f4 of [N, \(glow.latentCount)], N > 0"
        )
      }
      // The header's length need not leave the values aligned.
      let values = [Float](unsafeUninitializedCapacity: header.shape[0] * header.shape[1]) { buffer, count in
        count = buffer.count
        UnsafeMutableRawBufferPointer(buffer).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
      }
      return try values.withUnsafeBufferPointer {
        try Sampler(glow).decode($0, labels: [label], toNearest: dequantization == .none)
      }
    }
    if out.hasSuffix(".png") {
      try PNG.write(ImageGrid.arrange(images), to: out)
    } else {
      do { try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true) } catch {
        throw FileError(out, "cannot make this folder: \(error.localizedDescription)")
      }
      for (index, image) in images.enumerated() {
        try PNG.write(image, to: String(format: "%@/%06d.png", out, index))
      }
    }
    print("\(out): \(images.count) images")
  }
}
