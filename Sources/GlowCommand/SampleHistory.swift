import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowPlots
import GlowTraining

/// The sample grids of a run on one sheet: a row a grid, so that a column shows one latent as the model learns.
struct SampleHistory {
  let folder: RunFolder
  /// Rows at most; of more grids an even selection is shown, the first and the last with it.
  let rowLimit: Int

  /// - Throws: `FileError` if the run has no grids or one that does not fit its configuration;
  ///   `ConfigurationError`, `DrawingError`.
  func sheet() throws -> ByteImage {
    let grids = folder.sampleGrids()
    guard let configuration = try RunConfiguration.read(in: folder) else {
      throw FileError(folder.path, "is not a run folder: it has no config.json")
    }
    try configuration.model.validate()
    if grids.isEmpty {
      throw FileError(folder.path, "has no sample grids; --sample-every of train makes them")
    }
    let shape = ImageShape(configuration.model)
    let rows = try SampleHistory.selection(of: grids.count, limit: rowLimit).map { index in
      let grid = grids[index]
      let image = try PNG.read(grid.path)
      guard let images = ImageGrid.split(image, into: shape) else {
        throw FileError(grid.path, "is \(image.shape), expected a grid of \(shape) images")
      }
      return LabeledSheet.Row(SampleHistory.label(grid.step, batch: configuration.training.batch), images)
    }
    var sheet = LabeledSheet(rows: rows)
    sheet.scale = max(1, 64 / shape.height)
    return try sheet.image()
  }

  /// Indices of at most `limit` of `count` things, evenly spread.
  static func selection(of count: Int, limit: Int) -> [Int] {
    if count <= limit { return Array(0..<count) }
    if limit == 1 { return [count - 1] }
    return (0..<limit).map { ($0 * (count - 1) + (limit - 1) / 2) / (limit - 1) }
  }

  /// "800 images", "32k images", "1.28M images".
  static func label(_ step: Int, batch: Int) -> String {
    let images = Double(step) * Double(batch)
    let (size, unit) = images >= 1e6 ? (1e6, "M") : images >= 1e3 ? (1e3, "k") : (1, "")
    return String(format: "%.4g%@ images", images / size, unit)
  }
}
