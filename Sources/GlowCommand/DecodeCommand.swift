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
    commandName: "decode", abstract: "Turn the latents that encode has written back into images.",
    discussion: """
      A conditional model has encoded each image with its class and needs the same class again: --data with the \
      images that were encoded, --split and the other options as then, gives every row the class of its image; \
      --class gives one to all rows.
      """)

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Option(help: "A .npy file, float32 or float64 [N, H·W·C] or [H·W·C].") var latents: String
  @Option(help: "A .png file for a grid, or a folder for one PNG an image.") var out: String
  @Option(help: "The dequantization that the latents were made with.")
  var dequantization = DequantizationKind.none
  @OptionGroup var classes: ClassArguments
  @Option(help: "The images that were encoded, for their classes.") var data: String?
  @Option(help: "train, valid or test, where the data has them.") var split = DataPart.test
  @OptionGroup var images: ImageArguments
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if data != nil && classes.name != nil { throw ValidationError("expected --class or --data, not both") }
    try destination.checkName()
  }

  private var destination: Destination {
    Destination("--out", out, isGrid ? .png : .newFolder)
  }

  private var isGrid: Bool { out.hasSuffix(".png") || Destination("--out", out, .png).isSpecial }

  func run() throws {
    let stored = try weights.read(model, threads.team())
    let glow = stored.glow
    let file = try LatentFile(latents, size: glow.latentCount)
    let labels = try labels(stored, count: file.count)
    if isGrid && file.count > Self.largestGrid {
      throw FileError(
        latents,
        "holds \(file.count) images, too many for one grid (\(Self.largestGrid)): "
          + "let --out be a folder")
    }
    let shape = ImageShape(glow.configuration)
    if isGrid { try checkGrid(of: shape, count: file.count, scale: 1) }
    try Destination.prepare([destination], inputs: [model, latents], data: data.map { [$0] } ?? [])
    let sampler = try Sampler(glow, batch: glow.batchThatFits(min(64, file.count)))
    let countdown = Countdown("images")
    func decode(_ body: (_ first: Int, _ images: [ByteImage]) throws -> Void) throws {
      for start in stride(from: 0, to: file.count, by: 64) {
        let range = start..<min(start + 64, file.count)
        let images = try file.rows(range).withUnsafeBufferPointer {
          try sampler.decode($0, labels: range.map(labels), toNearest: dequantization == .none)
        }
        try body(start, images)
        countdown.reached(range.upperBound, of: file.count)
      }
      try checkFinite(sampler.decoded)
    }
    if isGrid {
      var grid: [ByteImage] = []
      try decode { grid += $1 }
      try PNG.write(ImageGrid.arrange(grid), to: out)
    } else {
      try Folder.fill(out, need: PNG.need(file.count, of: shape)) { folder in
        try decode { first, images in
          for (index, image) in images.enumerated() {
            try PNG.write(image, to: "\(folder)/" + String(format: "%06d.png", first + index))
          }
        }
      }
    }
    try answer("\(out): \(counted(file.count, "image"))")
  }

  /// The class of each row.
  ///
  /// - Throws: `ConfigurationError` if the model needs classes and none are given; `FileError` if the data are not
  ///   as many images as there are rows.
  private func labels(_ stored: StoredModel, count: Int) throws -> (_ row: Int) throws -> Int {
    guard let data else {
      let label = try classes.label(
        stored, model: model, alternative: ", or the encoded images with --data")
      return { _ in label }
    }
    if !stored.glow.configuration.isConditional {
      throw ConfigurationError("\(model) is not conditional: leave out --data")
    }
    let opened = try openData(data, images, split, for: stored, path: model)
    if let note = opened.note { try answer(note) }
    let dataset = opened.dataset
    if dataset.count != count {
      throw FileError(
        data, "holds \(counted(dataset.count, "image")), expected the \(count) that are in \(latents)")
    }
    return { row in
      if let label = dataset.label(row) { return label }
      throw FileError(dataset.source(row), "has no class")
    }
  }

  /// Images that one grid may hold.
  private static let largestGrid = 10_000
}
