import GlowKernels

/// How the positions of a batch at one level are cut into tiles, the units of work.
///
/// A tile is a few whole pictures that fit into `targetRows` positions together (in training of a large batch twice as
/// many) or, where one picture is larger, a band of its rows. Tiles never depend on the number of threads, so that
/// neither do the results.
package struct Tiling: Sendable {
  /// About so many positions keep a tile's hidden activations in the cache through a coupling network.
  package static let defaultRows = 256
  /// Small pictures would make few tiles of a small batch, and threads would wait: no more of them share one.
  private static let mostImages = 4
  /// Products of twice as many rows are faster. From this batch on training has them: there are tiles enough.
  private static let largeBatch = 64

  let shape: LevelShape
  let batch: Int
  let targetRows: Int
  let purpose: Purpose
  /// Pictures in a tile, or 1 if a tile is a band.
  let imagesPerTile: Int
  /// Picture rows in a tile.
  let rowsPerBand: Int
  let bandsPerImage: Int
  let tileCount: Int
  /// Positions of a full tile.
  package let tileRows: Int

  /// - Parameters:
  ///   - products: those of the tiles' rows.
  ///   - scalar: the type that they are computed in.
  package init<S: Scalar>(
    shape: LevelShape, batch: Int, purpose: Purpose, targetRows: Int = Tiling.defaultRows,
    products: [ProductShape], _ scalar: S.Type
  ) {
    let factor = purpose.isTraining && batch >= Tiling.largeBatch ? 2 : 1
    let most = max(1, factor * min(targetRows / shape.positions, Tiling.mostImages))
    // What an image's score or latents are must depend neither on its neighbors in the tile nor on the batch.
    let images =
      purpose.isTraining
      ? most
      : (1...most).last { rowsComeOutAlike(pictures: $0, positions: shape.positions, products, S.self) } ?? 1
    self.init(shape: shape, batch: batch, purpose: purpose, targetRows: targetRows, imagesPerTile: images)
  }

  private init(shape: LevelShape, batch: Int, purpose: Purpose, targetRows: Int, imagesPerTile: Int) {
    self.shape = shape
    self.batch = batch
    self.purpose = purpose
    self.targetRows = targetRows
    self.imagesPerTile = imagesPerTile
    rowsPerBand = shape.positions <= targetRows ? shape.height : max(1, targetRows / shape.width)
    bandsPerImage = (shape.height + rowsPerBand - 1) / rowsPerBand
    tileCount = (batch + imagesPerTile - 1) / imagesPerTile * bandsPerImage
    tileRows = imagesPerTile * rowsPerBand * shape.width
  }

  /// The same tiles for another number of images.
  func resized(batch: Int) -> Tiling {
    Tiling(
      shape: shape, batch: batch, purpose: purpose, targetRows: targetRows, imagesPerTile: imagesPerTile)
  }

  /// True if no tile needs anything of another.
  var holdsWholeImages: Bool { bandsPerImage == 1 }

  func tile(_ index: Int) -> Tile {
    if holdsWholeImages {
      let first = index * imagesPerTile
      let count = min(imagesPerTile, batch - first)
      return Tile(
        shape: shape, firstSlot: first, firstImage: first, imageCount: count, firstRow: 0, rows: shape.height,
        rowStep: purpose.isTraining ? count : imagesPerTile, holdsWholeImages: true)
    }
    let firstRow = index % bandsPerImage * rowsPerBand
    let rows = min(rowsPerBand, shape.height - firstRow)
    return Tile(
      shape: shape, firstSlot: index, firstImage: index / bandsPerImage, imageCount: 1, firstRow: firstRow,
      rows: rows, rowStep: 1, holdsWholeImages: false)
  }

  // MARK: Groups

  /// Groups of neighboring tiles whose parameter gradients are summed together, in order, before the groups'
  /// sums are added up, in order (`sumOverTiles`). Large groups, because a group's sum is written and read once
  /// whatever its size; but about 8 where there are as many tiles, so that threads find work; at most 64, which bounds
  /// the memory for the sums whatever the number of threads.
  var groupCount: Int { (tileCount + tilesPerGroup - 1) / tilesPerGroup }

  private var tilesPerGroup: Int { (tileCount + mostGroups - 1) / mostGroups }

  /// Does not fall when tiles are added, as `groupCount` may.
  private var mostGroups: Int {
    let tilesOfLargeGroup = max(1, min(4, Tiling.rowsOfLargeGroup / tileRows))
    return min(max(tileCount / tilesOfLargeGroup, 8), 64, tileCount)
  }

  private static let rowsOfLargeGroup = 1024

  /// Sums of groups for which there must be room: those of two steps, for this number of images or a smaller one.
  var partCount: Int { 2 * mostGroups }

  func tiles(ofGroup group: Int) -> Range<Int> {
    group * tilesPerGroup..<min(tileCount, (group + 1) * tilesPerGroup)
  }

  // MARK: Slots

  /// The tiles that hold part of an image, in order, each with the image's place in it.
  func slots(ofImage image: Int) -> StrideTo<Int> {
    // Slot = tile·imagesPerTile + place; for bands imagesPerTile is 1.
    let first = image * bandsPerImage
    return stride(from: first, to: first + bandsPerImage, by: 1)
  }

  /// Numbers of (tile, picture in it) pairs.
  var slotCount: Int { tileCount * imagesPerTile }
}

/// Some pictures, or a band of rows of one picture.
struct Tile: Sendable {
  let shape: LevelShape
  /// Where the tile's first picture has its sums (`Tiling.slots`).
  let firstSlot: Int
  let firstImage: Int
  let imageCount: Int
  let firstRow: Int
  let rows: Int
  /// The pictures of a tile take turns in the rows of its matrix products: from one position of a picture to its next it
  /// is so many rows. As many as a full tile has pictures, whatever this one holds, so that the size of the batch does
  /// not show in a result; in training, which has no use for that, as many as it holds.
  var rowStep: Int
  let holdsWholeImages: Bool

  /// The first position, counted through the batch.
  var start: Int { firstImage * shape.positions + firstRow * shape.width }
  var positions: Int { imageCount * rows * shape.width }
  /// Positions of one picture in this tile.
  var positionsPerImage: Int { rows * shape.width }
  /// Rows of this tile's matrix products.
  var multiplyRows: Int { rowStep * positionsPerImage }

  /// The same pictures in products that have no rows without a picture.
  var withoutEmptyRows: Tile {
    var tile = self
    tile.rowStep = imageCount
    return tile
  }

  var band: Band { Band(height: shape.height, width: shape.width, firstRow: firstRow, rows: rows) }

  /// Where this tile's rows start in a buffer that is the thread's own scratch if tiles are independent,
  /// and the whole level's if neighboring bands must see it.
  func rows<S>(
    of scratch: UnsafeMutablePointer<S>, orShared shared: UnsafeMutablePointer<S>, columns: Int
  ) -> UnsafeMutablePointer<S> {
    holdsWholeImages ? scratch : shared + start * columns
  }

  /// Position 0 of picture `image` (counted in the tile) in the same kind of buffer, one picture after the other.
  func picture<S>(
    _ image: Int, of scratch: UnsafeMutablePointer<S>, orShared shared: UnsafeMutablePointer<S>,
    columns: Int
  ) -> UnsafeMutablePointer<S> {
    holdsWholeImages
      ? scratch + image * shape.positions * columns
      : shared + firstImage * shape.positions * columns
  }

  /// The same where the pictures take turns; the picture's next row is `rowStep` rows on.
  func firstRow<S>(
    ofPicture image: Int, of scratch: UnsafeMutablePointer<S>, orShared shared: UnsafeMutablePointer<S>,
    columns: Int
  ) -> UnsafeMutablePointer<S> {
    holdsWholeImages ? scratch + image * columns : shared + firstImage * shape.positions * columns
  }
}
