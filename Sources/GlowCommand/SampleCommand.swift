import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowPlots
import GlowStorage
import GlowTraining

struct SampleCommand: SharedCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample", abstract: "Draw images from a model.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Option(help: "The PNG to write.") var out: String
  @Option(help: "Number of images (64 by default), or of columns for several temperatures (8).") var count:
    Int?
  @Option(help: "Factor on the latents of every level. Several, separated by commas, make a labeled sheet.")
  var temperature = NumberList([0.7])
  @Option var seed: UInt64 = 0
  @OptionGroup var classes: ClassArguments
  @Option(help: "Enlargement of the grid.") var scale = 2
  @Flag(help: "One PNG an image, numbered after the name in --out, in place of a grid.") var separate = false
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    let mostImages = isSheet ? 64 : 1_000_000
    if !(1...mostImages).contains(images) {
      throw ValidationError("--count must be 1 to \(mostImages), not \(images)")
    }
    if let bad = temperature.values.first(where: { $0 < 0 }) {
      throw ValidationError("--temperature must not be negative, not \(bad)")
    }
    if temperature.values.count > 64 {
      throw ValidationError("--temperature takes at most 64 values, not \(temperature.values.count)")
    }
    if isSheet && separate {
      throw ValidationError("--separate takes one temperature, not \(temperature.values.count)")
    }
    if !(1...32).contains(scale) { throw ValidationError("--scale must be 1 to 32, not \(scale)") }
    try destination.checkName()
    if separate && !out.hasSuffix(".png") {
      throw ValidationError("--separate needs an --out that ends in .png, not \(out)")
    }
  }

  private var destination: Destination { Destination("--out", out, .png) }

  /// The name of a sample with --separate.
  private func name(_ index: Int) -> String {
    let digits = String(index)
    return "\(out.dropLast(4))-" + String(repeating: "0", count: max(0, 4 - digits.count)) + "\(digits).png"
  }

  /// The numbers of the samples under such names that are there already.
  private func present() throws -> [Int] {
    let folder = Folder.split(out).folder
    if !Folder.isFolder(folder) { return [] }
    let start = Folder.split(String(out.dropLast(4))).name + "-"
    return try Folder.contents(folder).compactMap { file in
      guard file.hasPrefix(start), let index = Int(file.dropFirst(start.count).dropLast(4)), index >= 0,
        Folder.split(name(index)).name == file
      else { return nil }
      return index
    }.sorted()
  }

  func run() throws {
    let stored = try weights.read(model, threads.team())
    let glow = stored.glow
    let label = try classes.given(stored, model: model)
    try requireSame(glow)
    try ranks.first { try prepare(for: ImageShape(glow.configuration)) }
    let sampler = try Sampler(glow, batch: batchThatFits(glow, min(64, images)))
    sampler.ranks = ranks
    let countdown = Countdown("samples")
    let total = images * temperature.values.count
    sampler.progress = { [unowned sampler] _, _ in countdown.reached(sampler.decoded.images, of: total) }
    func draw(_ temperature: Double, _ body: (_ first: Int, _ images: [ByteImage]) throws -> Void) throws {
      try sampler.sample(
        count: images, temperature: temperature, seed: seed,
        labels: label.map { [$0] } ?? Array(0..<max(1, glow.configuration.classCount)),
        body)
    }
    if isSheet {
      // A column has the same latents throughout, only scaled.
      var sheet = LabeledSheet(
        rows: temperature.values.map { LabeledSheet.Row(String(format: "%g", $0), []) })
      sheet.title = "Samples by temperature"
      sheet.scale = scale
      try sheet.check(shape: ImageShape(glow.configuration), columns: images)
      for (row, temperature) in temperature.values.enumerated() {
        try draw(temperature) { sheet.rows[row].images += $1 }
      }
      try checkFinite(sampler.decoded)
      try PNG.write(sheet.image(), to: ownPath(out))
    } else if separate {
      Interruption.message = {
        Log.line(.error, "interrupted by signal \($0): the samples that are whole stay")
      }
      try draw(temperature.values[0]) { first, drawn in
        if sampler.decoded.images == sampler.decoded.nonFinite { try checkFinite(sampler.decoded) }
        for (index, image) in drawn.enumerated() where ranks.isFirst {
          try PNG.write(image, to: name(first + index))
        }
      }
      try checkFinite(sampler.decoded)
    } else {
      var drawn: [ByteImage] = []
      try draw(temperature.values[0]) { drawn += $1 }
      let grid = ImageGrid.arrange(drawn, scale: scale)
      try checkFinite(sampler.decoded)
      try PNG.write(grid, to: ownPath(out))
    }
  }

  /// Checks where the samples are to go.
  private func prepare(for shape: ImageShape) throws {
    if separate {
      let present = try present()
      // Those of an earlier time would stand among the new.
      if let first = present.first(where: { $0 >= images }) {
        throw FileError(
          name(first), "is of more samples than these \(images): remove it, or give another --out")
      }
      // That of a name which is not there yet is their folder.
      let names = Set(present + [0]).sorted().map(name)
      try Destination.prepare(names.map { Destination("--out", $0, .png) }, inputs: [model])
      // Those that are there make room for those that replace them.
      try PNG.need(images - present.count, of: shape).check(in: Folder.split(out).folder, path: out)
    } else {
      if !isSheet { try checkGrid(of: shape, count: images, scale: scale) }
      try Destination.prepare([destination], inputs: [model])
    }
  }

  private var isSheet: Bool { temperature.values.count > 1 }
  private var images: Int { count ?? (isSheet ? 8 : 64) }
}
