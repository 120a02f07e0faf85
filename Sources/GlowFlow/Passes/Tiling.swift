import GlowKernels

/// What decides how large tiles are, besides the pictures.
package struct TileGrain: Sendable {
  /// About so many positions keep a tile's hidden activations in the cache through a conditioner.
  package static let defaultRows = 256

  let rows: Int
  let isTraining: Bool
  let kernels: ProductKernels

  package init(_ purpose: Purpose, _ kernels: ProductKernels, rows: Int = TileGrain.defaultRows) {
    self.rows = rows
    self.kernels = kernels
    isTraining = purpose.isTraining
  }
}

/// How the positions of a batch at one level are cut into tiles, the units of work.
///
/// A tile is a few whole pictures that fit into `TileGrain.rows` positions together (in training of a large batch twice as
/// many) or, where one picture is larger, a band of its rows. Tiles never depend on the number of threads, so that
/// neither do the results.
package struct Tiling: Sendable {
  /// Small pictures would make few tiles of a small batch, and threads would wait: no more of them share one.
  private static let mostImages = 4
  /// From this batch on training can have tiles of twice as many rows: there are enough of them.
  private static let largeBatch = 64
  /// Weights of one product that are too many for the second cache beside everything else. Their gradients come from
  /// further away, once a tile, and so want larger tiles; smaller ones do not, with packed products.
  private static let manyWeights = 1 << 17
  /// Packed products, whose rows may stand anywhere, have tiles of fewer pictures where a batch would else make fewer tiles
  /// than this.
  private static let wantedTiles = 64
  /// But of so many multiply-adds forward at least, some tens of microseconds, and of so many rows, for which the weights are
  /// read.
  private static let leastWork = 3_400_000
  private static let leastRows = 32

  let shape: LevelShape
  let batch: Int
  let grain: TileGrain
  /// Whether layers have statistics of the whole batch.
  let meetsBatch: Bool
  private let work: RowWork
  /// Pictures in a tile, or 1 if a tile is a band.
  let imagesPerTile: Int
  /// Picture rows in a tile.
  let rowsPerBand: Int
  let bandsPerImage: Int
  let tileCount: Int
  /// Positions of a full tile.
  package let tileRows: Int

  /// - Parameter products: those that the tiles' rows go through, in the type `scalar`.
  package static func fitting<S: Scalar>(
    _ shape: LevelShape, batch: Int, _ grain: TileGrain, products: [ProductShape], _ scalar: S.Type
  ) -> Tiling {
    fitting(
      LevelNeeds(shape: shape, products: products, meetsBatch: false, hasGradientBlocks: true), batch: batch,
      grain, S.self)
  }

  static func fitting<S: Scalar>(
    _ level: LevelNeeds, batch: Int, _ grain: TileGrain, _ scalar: S.Type
  ) -> Tiling {
    let shape = level.shape
    let kinds = Set(level.products)
    let hasManyWeights = kinds.contains { $0.inner * $0.columns > manyWeights }
    let isLarge =
      grain.isTraining && batch >= largeBatch && (grain.kernels == .openBLAS || hasManyWeights)
    let factor = isLarge ? 2 : 1
    let most = max(1, factor * min(grain.rows / shape.positions, mostImages))
    let isPacked = grain.kernels == .packed
    let work = RowWork(
      multiplyAdds: kinds.reduce(0) { $0 + $1.inner * $1.columns },
      sharesGradients: isPacked && grain.isTraining && hasManyWeights && level.hasGradientBlocks,
      isFine: isPacked && !level.meetsBatch
        && !(grain.isTraining && hasManyWeights && !level.hasGradientBlocks))
    let images =
      grain.mustAlignRows
      ? grain.alignedPictures(level, most: most, S.self)
      : work.isFine ? min(most, fewestImages(shape, batch: batch, work)) : most
    return Tiling(shape, batch: batch, grain, imagesPerTile: images, meetsBatch: level.meetsBatch, work)
  }

  /// Pictures of a tile that make enough tiles, if that leaves each of them enough to do.
  private static func fewestImages(_ shape: LevelShape, batch: Int, _ work: RowWork) -> Int {
    let rows = max(leastRows, leastWork / max(1, work.multiplyAdds))
    return max(batch / wantedTiles, (rows + shape.positions - 1) / shape.positions, 1)
  }

  init(
    _ shape: LevelShape, batch: Int, _ grain: TileGrain, imagesPerTile: Int, meetsBatch: Bool = false,
    _ work: RowWork = RowWork()
  ) {
    self.shape = shape
    self.work = work
    self.meetsBatch = meetsBatch
    self.batch = batch
    self.grain = grain
    self.imagesPerTile = imagesPerTile
    rowsPerBand = shape.positions <= grain.rows ? shape.height : max(1, grain.rows / shape.width)
    bandsPerImage = (shape.height + rowsPerBand - 1) / rowsPerBand
    tileCount = (batch + imagesPerTile - 1) / imagesPerTile * bandsPerImage
    tileRows = imagesPerTile * rowsPerBand * shape.width
  }

  /// The same tiles for another number of images.
  func resized(batch: Int) -> Tiling {
    Tiling(shape, batch: batch, grain, imagesPerTile: imagesPerTile, meetsBatch: meetsBatch, work)
  }

  var holdsWholeImages: Bool { bandsPerImage == 1 }

  /// Whether all tiles leave a stage before any enters the next. Otherwise no tile needs anything of another.
  var isStaged: Bool { meetsBatch || !holdsWholeImages }

  func tile(_ index: Int) -> Tile {
    if holdsWholeImages {
      let first = index * imagesPerTile
      let count = min(imagesPerTile, batch - first)
      return Tile(
        shape: shape, firstSlot: first, firstImage: first, imageCount: count, firstRow: 0, rows: shape.height,
        rowStep: grain.rowStep(pictures: count, ofFullTile: imagesPerTile), holdsWholeImages: true)
    }
    let firstRow = index % bandsPerImage * rowsPerBand
    let rows = min(rowsPerBand, shape.height - firstRow)
    return Tile(
      shape: shape, firstSlot: index, firstImage: index / bandsPerImage, imageCount: 1, firstRow: firstRow,
      rows: rows, rowStep: 1, holdsWholeImages: false)
  }

  /// The number of a tile.
  func index(of tile: Tile) -> Int { tile.firstSlot / imagesPerTile }

  // MARK: Groups

  /// Groups of neighboring tiles whose parameter gradients are summed together, in order, before the groups'
  /// sums are added up, in order (`sumOverTiles`). A tile a group where that leaves a group enough to do; else large groups,
  /// because a group's sum is written and read once whatever its size, but about 8 where there are as many tiles, so that
  /// threads find work. At most 64, which bounds the memory for the sums whatever the number of threads.
  var groupCount: Int { (tileCount + tilesPerGroup - 1) / tilesPerGroup }

  private var tilesPerGroup: Int { (tileCount + mostGroups - 1) / mostGroups }

  /// Does not fall when tiles are added, as `groupCount` may.
  private var mostGroups: Int {
    let hasEnough = work.isFine && tileRows * work.multiplyAdds >= Tiling.leastWork
    let tilesOfLargeGroup = hasEnough ? 1 : max(1, min(4, Tiling.rowsOfLargeGroup / tileRows))
    return min(max(tileCount / tilesOfLargeGroup, 8), meetsBatch ? 16 : 64, tileCount)
  }

  private static let rowsOfLargeGroup = 1024

  /// Sums of groups for which there must be room, for this number of images or a smaller one: those of two steps, or of one
  /// where the sum of a step ends before the next one starts and steps have many weights.
  var partCount: Int { meetsBatch ? mostGroups : 2 * mostGroups }

  /// Whether gradients of large matrices are no sums of groups, but each block of them is made by one thread from all tiles
  /// (`Layer.gradientBlocks`): where a tile has fewer rows than it takes to make up for a sum of the size of all weights.
  var sharesGradients: Bool { work.sharesGradients && !isStaged && tileRows < TileGrain.defaultRows }

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

/// What a level is, as far as its tiles depend on it.
struct LevelNeeds {
  let shape: LevelShape
  /// The products that the rows of a tile go through.
  let products: [ProductShape]
  /// Whether layers have statistics of the whole batch.
  let meetsBatch: Bool
  /// Whether a layer can have gradients made apart (`Layer.gradientBlocks`).
  let hasGradientBlocks: Bool
}

/// What the rows of a level's tiles go through, as far as tiles and groups depend on it.
struct RowWork: Sendable {
  /// Of a row, in a layer forward.
  var multiplyAdds = 0
  var sharesGradients = false
  /// Whether tiles and groups are made small where there would be few.
  var isFine = false
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
  /// The rows of a tile's matrix products are batch-interleaved: from one position of a picture to its next it is so many
  /// rows. As many as it holds pictures; or, for OpenBLAS (`OpenBLASRows.swift`), as a full tile has, whatever this one holds.
  var rowStep: Int
  let holdsWholeImages: Bool

  /// The first position, counted through the batch.
  var start: Int { firstImage * shape.positions + firstRow * shape.width }
  var positions: Int { imageCount * rows * shape.width }
  /// Positions of one picture in this tile.
  var positionsPerImage: Int { rows * shape.width }
  /// Rows of this tile's matrix products.
  var multiplyRows: Int { rowStep * positionsPerImage }

  var band: Band { Band(height: shape.height, width: shape.width, firstRow: firstRow, rows: rows) }

  /// The same positions of the level before, which has another shape.
  func unsqueezed(to shape: LevelShape) -> Tile {
    let factor = shape.height / self.shape.height
    return Tile(
      shape: shape, firstSlot: firstSlot, firstImage: firstImage, imageCount: imageCount,
      firstRow: factor * firstRow, rows: factor * rows, rowStep: rowStep, holdsWholeImages: holdsWholeImages)
  }
}
