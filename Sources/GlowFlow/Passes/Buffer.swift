import GlowKernels

/// One of a layer's buffers (`Site`).
struct Buffer: Sendable {
  /// Among those of its layer.
  let index: Int
}

/// How long what a layer writes into a buffer lasts. Nothing else decides where the buffer is.
enum BufferLife: Sendable {
  /// While a stage works at a tile: the thread's own memory.
  case stage
  /// From one stage to the next. Where tiles are bands, a stage also reads the rows next to its band, the halo, which
  /// other tiles wrote in the stage before.
  case halo
  /// In backward: what the gradients of weights are made of. Where the tiling shares those out (`Tiling.sharesGradients`) it
  /// lasts until the layer after the next in the pass; else for a stage.
  case contribution
  /// From forward to backward, in training.
  case kept
  /// The same if there is memory for it; else backward computes it again. Where it is not kept it shares the other
  /// buffer's memory, and is a contribution in training; or, without one, lasts from stage to stage in training and is not
  /// there in inference.
  case recomputable(sharing: Buffer?)
  /// What leaves the flow: from forward to whoever reads it, and from whoever sets it to inverse.
  case latents
}

/// A buffer as its layer asks for it.
struct BufferNeed: Sendable {
  enum Size: Sendable {
    case rows(columns: Int)
    /// (band rows + 2)·(width + 2) positions of so many channels.
    case bordered(channels: Int)
  }

  let size: Size
  let life: BufferLife
  /// Only backward uses it.
  let isForBackward: Bool

  var columns: Int {
    switch size {
    case .rows(let columns): columns
    case .bordered(let channels): channels
    }
  }

  /// The values that a tile of a tiling needs.
  func count(_ tiling: Tiling) -> Int {
    switch size {
    case .rows(let columns): tiling.tileRows * columns
    case .bordered(let channels): tiling.tile(0).band.borderedCount(channels: channels)
    }
  }
}

/// A buffer in a workspace.
struct PlacedBuffer<S: Scalar> {
  enum Place {
    /// In each thread's own memory, from this offset on.
    case thread(offset: Int)
    /// Rows of the whole batch.
    case level(UnsafeMutablePointer<S>)
    /// The workspace's purpose has no use for it.
    case nowhere
  }

  let columns: Int
  let place: Place
  /// Whether it lasts from forward to backward.
  let isKept: Bool
}

/// Rows of positions, `columns` values each, of which a tile reads and writes its own.
///
/// Level-wide rows hold the whole batch, tile after tile; a thread's own hold one tile. The pictures of a tile stand one after
/// the other or, in the rows of matrix products, batch-interleaved: position 0 of each picture, then position 1 of each, and
/// so on (`Tile.rowStep`). Whoever writes them decides, and whoever reads them does so the same way: `part` and `picture`, or
/// `interleavedPart` and `interleaved`.
struct Rows<S: Scalar> {
  let tile: Tile
  let columns: Int
  /// Level-wide: position 0 of the tile's first picture. A thread's own: the tile's first row.
  private let start: UnsafeMutablePointer<S>
  private let isLevelWide: Bool

  /// Level-wide rows from `base` on.
  init(levelWide base: UnsafeMutablePointer<S>, columns: Int, tile: Tile) {
    self.tile = tile
    self.columns = columns
    isLevelWide = true
    start = base + tile.firstImage * tile.shape.positions * columns
  }

  /// A thread's own rows.
  init(threads base: UnsafeMutablePointer<S>, columns: Int, tile: Tile) {
    self.tile = tile
    self.columns = columns
    isLevelWide = false
    start = base
  }

  /// The tile's rows.
  var own: Matrix<S> {
    isLevelWide
      ? Matrix(start + tile.firstRow * tile.shape.width * columns, rows: tile.positions, columns: columns)
      : Matrix(start, rows: tile.multiplyRows, columns: columns)
  }

  /// The tile's rows of all its pictures, the pictures one after the other.
  var positions: Matrix<S> { own.rows(0..<tile.positions) }

  /// The tile's rows of one picture, the pictures one after the other.
  func part(_ image: Int) -> Matrix<S> {
    let count = tile.positionsPerImage
    return own.rows(image * count..<(image + 1) * count)
  }

  /// The tile's rows of one picture, batch-interleaved.
  func interleavedPart(_ image: Int) -> Matrix<S> {
    Matrix(
      own.base + image * columns, rows: tile.positionsPerImage, columns: columns,
      stride: tile.rowStep * columns)
  }

  /// A picture, the pictures one after the other: all of it, the halo included, if the rows are level-wide.
  func picture(_ image: Int) -> Matrix<S> {
    Matrix(start + image * tile.shape.positions * columns, rows: rowsOfPicture, columns: columns)
  }

  /// The same, batch-interleaved.
  func interleaved(_ image: Int) -> Matrix<S> {
    Matrix(
      start + image * columns, rows: rowsOfPicture, columns: columns, stride: tile.rowStep * columns)
  }

  private var rowsOfPicture: Int { isLevelWide ? tile.shape.positions : tile.positionsPerImage }
}
