import GlowKernels

/// How the positions of a batch at one level are cut into tiles, the units of work.
///
/// A tile is up to 4 whole pictures that fit into `targetRows` positions or, where one picture is larger, a
/// band of its rows. Tiles depend on the shapes alone, never on the number of threads, so that neither do
/// the results. Tiles of pictures always multiply matrices of the full tile's size, whatever the number
/// of pictures in the last one: so a picture's result does not depend on the size of the batch either.
package struct Tiling: Sendable {
  /// About so many positions keep a tile's hidden activations in the cache through a coupling network.
  package static let defaultRows = 256
  /// Small pictures would make few tiles of a small batch, and threads would wait: no more of them share one.
  static let mostImages = 4

  let shape: LevelShape
  let batch: Int
  let targetRows: Int
  /// Pictures in a tile, or 1 if a tile is a band.
  let imagesPerTile: Int
  /// Picture rows in a tile.
  let rowsPerBand: Int
  let bandsPerImage: Int
  let tileCount: Int
  /// Positions of a full tile.
  let tileRows: Int

  init(shape: LevelShape, batch: Int, targetRows: Int = Tiling.defaultRows) {
    self.shape = shape
    self.batch = batch
    self.targetRows = targetRows
    imagesPerTile = max(1, min(targetRows / shape.positions, Tiling.mostImages))
    rowsPerBand = shape.positions <= targetRows ? shape.height : max(1, targetRows / shape.width)
    bandsPerImage = (shape.height + rowsPerBand - 1) / rowsPerBand
    tileCount = (batch + imagesPerTile - 1) / imagesPerTile * bandsPerImage
    tileRows = imagesPerTile * rowsPerBand * shape.width
  }

  /// The same tiles for another number of images.
  func resized(batch: Int) -> Tiling { Tiling(shape: shape, batch: batch, targetRows: targetRows) }

  /// True if no tile needs anything of another.
  var holdsWholeImages: Bool { bandsPerImage == 1 }

  /// Positions of the batch, and room for the last tile to be full.
  var paddedRows: Int { holdsWholeImages ? tileCount * tileRows : batch * shape.positions }

  func tile(_ index: Int) -> Tile {
    if holdsWholeImages {
      let first = index * imagesPerTile
      let count = min(imagesPerTile, batch - first)
      return Tile(
        shape: shape, firstSlot: first, firstImage: first, imageCount: count, firstRow: 0, rows: shape.height,
        multiplyRows: tileRows, holdsWholeImages: true)
    }
    let firstRow = index % bandsPerImage * rowsPerBand
    let rows = min(rowsPerBand, shape.height - firstRow)
    return Tile(
      shape: shape, firstSlot: index, firstImage: index / bandsPerImage, imageCount: 1, firstRow: firstRow,
      rows: rows,
      multiplyRows: rows * shape.width, holdsWholeImages: false)
  }

  // MARK: Running over tiles

  /// Groups of neighbouring tiles whose parameter gradients are summed together, in order, before the groups'
  /// sums are added up, in order. Large groups, because a group's sum is written and read once whatever its
  /// size; at least 8 where there are as many tiles, so that threads find work; at most 64, which bounds the
  /// memory for the sums whatever the number of threads.
  var tilesPerGroup: Int {
    let groups = min(max(tileCount / Tiling.tilesOfLargeGroup, 8), 64)
    return (tileCount + groups - 1) / groups
  }

  private static let tilesOfLargeGroup = 4

  var groupCount: Int { (tileCount + tilesPerGroup - 1) / tilesPerGroup }

  /// Runs `body(phase, tile, thread)` over all tiles and phases. No tile enters a phase before all have left
  /// the one before it, unless tiles are whole pictures: those need nothing of each other and do not wait.
  func forEachTile(
    _ team: ThreadTeam, phases: Int, _ body: (_ phase: Int, _ tile: Tile, _ thread: Int) -> Void
  ) {
    if holdsWholeImages {
      team.run(tileCount) { index, thread in
        let tile = self.tile(index)
        for phase in 0..<phases { body(phase, tile, thread) }
      }
    } else {
      for phase in 0..<phases {
        team.run(tileCount) { index, thread in body(phase, tile(index), thread) }
      }
    }
  }

  /// The same in groups: the tiles of a group are taken in order by one thread.
  func forEachGroup(
    _ team: ThreadTeam, phases: Int,
    _ body: (_ phase: Int, _ tile: Tile, _ group: Int, _ isFirst: Bool, _ thread: Int) -> Void
  ) {
    func tiles(_ group: Int) -> Range<Int> {
      group * tilesPerGroup..<min(tileCount, (group + 1) * tilesPerGroup)
    }
    if holdsWholeImages {
      team.run(groupCount) { group, thread in
        for index in tiles(group) {
          let tile = self.tile(index)
          for phase in 0..<phases {
            body(phase, tile, group, index == tiles(group).lowerBound, thread)
          }
        }
      }
    } else {
      for phase in 0..<phases {
        team.run(groupCount) { group, thread in
          for index in tiles(group) {
            body(phase, tile(index), group, index == tiles(group).lowerBound, thread)
          }
        }
      }
    }
  }

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
  /// Rows of this tile's matrix products: those of a full tile, whatever it holds.
  let multiplyRows: Int
  let holdsWholeImages: Bool

  /// The first position, counted through the batch.
  var start: Int { firstImage * shape.positions + firstRow * shape.width }
  var positions: Int { imageCount * rows * shape.width }
  /// Positions of one picture in this tile.
  var positionsPerImage: Int { rows * shape.width }

  var band: Band { Band(height: shape.height, width: shape.width, firstRow: firstRow, rows: rows) }

  /// Where this tile's rows start in a buffer that is the thread's own scratch if tiles are independent,
  /// and the whole level's if neighbouring bands must see it.
  func rows<S>(
    of scratch: UnsafeMutablePointer<S>, orShared shared: UnsafeMutablePointer<S>, columns: Int
  ) -> UnsafeMutablePointer<S> {
    holdsWholeImages ? scratch : shared + start * columns
  }

  /// Position 0 of picture `image` (counted in the tile) in the same kind of buffer.
  func picture<S>(
    _ image: Int, of scratch: UnsafeMutablePointer<S>, orShared shared: UnsafeMutablePointer<S>,
    columns: Int
  ) -> UnsafeMutablePointer<S> {
    holdsWholeImages
      ? scratch + image * shape.positions * columns
      : shared + firstImage * shape.positions * columns
  }
}
