import CGlowKernels

/// The neighborhoods of a 3×3 convolution as matrix rows, and back.
///
/// Pictures are NHWC. A band is `rows` picture rows from `firstRow` on of one picture of `height × width`.
/// A patch row holds the 3×3 neighborhood of one position, zero outside the picture, in the order
/// (dy, dx, channel): 9·channels values. In a buffer with a border of one position all round, the three
/// neighbors of one dy lie side by side, so a patch is three runs of 3·channels values.
@usableFromInline
package struct Band: Sendable {
  @usableFromInline package let height: Int
  @usableFromInline package let width: Int
  @usableFromInline package let firstRow: Int
  @usableFromInline package let rows: Int

  @inlinable
  package init(height: Int, width: Int, firstRow: Int, rows: Int) {
    self.height = height
    self.width = width
    self.firstRow = firstRow
    self.rows = rows
  }

  /// Values of a bordered copy of the band, [rows + 2, width + 2, channels], and as many after it as `ProductRows` may read
  /// with the last.
  @inlinable
  package func borderedCount(channels: Int) -> Int { (rows + 2) * (width + 2) * channels + 15 }

  /// Which of the nine neighbors exist: 1 first row, 2 last row, 4 first column, 8 last column of the picture.
  @inlinable
  package func borderClass(row: Int, column: Int) -> Int {
    (row == 0 ? 1 : 0) + (row == height - 1 ? 2 : 0) + (column == 0 ? 4 : 0)
      + (column == width - 1 ? 8 : 0)
  }
}

/// The border class of every position of a picture.
package final class BorderClasses: @unchecked Sendable {
  private let classes: UnsafeMutablePointer<UInt8>
  private let width: Int

  package init(height: Int, width: Int) {
    self.width = width
    classes = .allocate(capacity: max(1, height * width))
    let band = Band(height: height, width: width, firstRow: 0, rows: height)
    for row in 0..<height {
      for column in 0..<width {
        classes[row * width + column] = UInt8(band.borderClass(row: row, column: column))
      }
    }
  }

  deinit { classes.deallocate() }

  /// The classes of the rows of products, [positions from picture row `firstRow` on, pictures].
  package func rows(from firstRow: Int, pictures: Int) -> RowClasses {
    RowClasses(classes + firstRow * width, rowsPerClass: pictures)
  }
}

/// The number of border classes (`Band.borderClass`), not all of which occur in every picture.
package let borderClassCount = 16

/// True where the neighbor (dy, dx), each in 0..<3, of a position of this class lies outside the picture.
@inlinable
package func isOutside(borderClass: Int, dy: Int, dx: Int) -> Bool {
  (dy == 0 && borderClass & 1 != 0) || (dy == 2 && borderClass & 2 != 0)
    || (dx == 0 && borderClass & 4 != 0) || (dx == 2 && borderClass & 8 != 0)
}

/// Copies a band with a border of one position all round, zero outside of the picture; with it come the halo's rows.
///
/// - Parameters:
///   - picture: the whole picture, positions `stride` values apart, of which the first `channels` are read.
///   - bordered: receives [rows + 2, width + 2, channels].
@specialized(where S == Float)
@specialized(where S == Double)
package func border<S: Scalar>(
  _ picture: UnsafePointer<S>, stride: Int, channels: Int, band: Band, into bordered: UnsafeMutablePointer<S>
) {
  if let picture = floats(picture) {
    var band = glow_band(band, channels: channels, rowStep: 1)
    glow_border(&band, picture, stride, floats(bordered), InstructionSet.code)
    return
  }
  let width = band.width
  let line = (width + 2) * channels
  for row in 0..<(band.rows + 2) {
    let target = bordered + row * line
    let sourceRow = band.firstRow + row - 1
    if sourceRow < 0 || sourceRow >= band.height {
      target.clear(line)
      continue
    }
    target.clear(channels)
    (target + line - channels).clear(channels)
    for column in 0..<width {
      let from = picture + (sourceRow * width + column) * stride
      (target + (column + 1) * channels).update(from: from, count: channels)
    }
  }
}

/// im2col: patches[p, :] = the neighborhood of position p of the band.
///
/// - Parameters:
///   - bordered: the band with its border.
///   - patches: rows of 9·channels values, of which every `rowStep`-th is written: rows·width of them.
@specialized(where S == Float)
@specialized(where S == Double)
package func gatherPatches<S: Scalar>(
  _ bordered: UnsafePointer<S>, channels: Int, band: Band, into patches: UnsafeMutablePointer<S>, rowStep: Int
) {
  if let bordered = floats(bordered) {
    var band = glow_band(band, channels: channels, rowStep: rowStep)
    glow_gather_patches(&band, bordered, floats(patches), InstructionSet.code)
    return
  }
  let (width, run) = (band.width, 3 * channels)
  let line = (width + 2) * channels
  for row in 0..<band.rows {
    for column in 0..<width {
      let target = patches + (row * width + column) * rowStep * 9 * channels
      for dy in 0..<3 {
        (target + dy * run).update(from: bordered + (row + dy) * line + column * channels, count: run)
      }
    }
  }
}

/// col2im, the adjoint of `border` and `gatherPatches`, and a bias: every patch is added to the neighborhood it belongs to, and to each
/// position the bias of its border class. In planes [planes, positions of the band, channels/planes].
///
/// - Parameters:
///   - patches: the patch rows of the whole picture, height·width times every `rowStep`-th of 9·channels values; only
///     those of the band and of its two neighboring picture rows are read.
///   - bias: [borderClassCount, channels]
///   - bordered: scratch of `band.borderedCount`.
@specialized(where S == Float)
@specialized(where S == Double)
package func collectPatches<S: Scalar>(
  _ patches: PatchRows<S>, bias: UnsafePointer<S>, planes: Int, into target: UnsafeMutablePointer<S>,
  bordered: UnsafeMutablePointer<S>
) {
  let (band, channels) = (patches.band, patches.channels / planes)
  if let rows = floats(patches.base) {
    var band = glow_band(band, channels: patches.channels, rowStep: patches.rowStep)
    glow_collect_patches(
      &band, rows, floats(bias), planes, floats(bordered), floats(target), InstructionSet.code)
    return
  }
  scatterPatches(patches, bordered: bordered)
  let positions = band.rows * band.width
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let borderClass = band.borderClass(row: band.firstRow + row, column: column)
      var biasRow = bias + borderClass * patches.channels
      var from = bordered + ((row + 1) * (band.width + 2) + column + 1) * patches.channels
      var to = target + (row * band.width + column) * channels
      for _ in 0..<planes {
        for channel in 0..<channels { to[channel] = from[channel] + biasRow[channel] }
        from += channels
        biasRow += channels
        to += positions * channels
      }
    }
  }
}

/// col2im, added to the band's positions, which lie `stride` values apart.
///
/// - Parameter bordered: scratch of `band.borderedCount`.
@specialized(where S == Float)
@specialized(where S == Double)
package func addPatches<S: Scalar>(
  _ patches: PatchRows<S>, to positions: UnsafeMutablePointer<S>, stride: Int,
  bordered: UnsafeMutablePointer<S>
) {
  let (band, channels) = (patches.band, patches.channels)
  if let rows = floats(patches.base) {
    var band = glow_band(band, channels: channels, rowStep: patches.rowStep)
    glow_add_patches(&band, rows, floats(positions), stride, InstructionSet.code)
    return
  }
  scatterPatches(patches, bordered: bordered)
  for row in 0..<band.rows {
    for column in 0..<band.width {
      let from = bordered + ((row + 1) * (band.width + 2) + column + 1) * channels
      let to = positions + (row * band.width + column) * stride
      for channel in 0..<channels { to[channel] += from[channel] }
    }
  }
}

/// The patch rows of a picture, and the band of it that is wanted.
package struct PatchRows<S: Scalar> {
  let base: UnsafePointer<S>
  let rowStep: Int
  let channels: Int
  let band: Band

  /// - Parameter rows: of 9·`channels` columns, height·width of them.
  package init(_ rows: Matrix<S>, channels: Int, band: Band) {
    precondition(rows.columns == 9 * channels && rows.stride % rows.columns == 0, "no rows of patches")
    base = UnsafePointer(rows.base)
    rowStep = rows.stride / rows.columns
    (self.channels, self.band) = (channels, band)
  }
}

/// Adds the patches to a picture of zeros, of which the band is wanted, one patch after the other: the slow obvious way.
///
/// - Parameter bordered: receives [rows + 2, width + 2, channels]; its inner part is the result.
@specialized(where S == Float)
@specialized(where S == Double)
package func scatterPatches<S: Scalar>(_ patches: PatchRows<S>, bordered: UnsafeMutablePointer<S>) {
  let (band, channels) = (patches.band, patches.channels)
  let (width, run) = (band.width, 3 * channels)
  let line = (width + 2) * channels
  for index in 0..<(band.rows + 2) * line { bordered[index] = 0 }
  for sourceRow in max(0, band.firstRow - 1)..<min(band.height, band.firstRow + band.rows + 1) {
    for dy in 0..<3 {
      // Bordered row r is picture row firstRow + r - 1.
      let targetRow = sourceRow - band.firstRow + dy
      if targetRow < 1 || targetRow > band.rows { continue }
      for column in 0..<width {
        let place = (sourceRow * width + column) * patches.rowStep * 9 + dy * 3
        let source = patches.base + place * channels
        let target = bordered + targetRow * line + column * channels
        for index in 0..<run { target[index] += source[index] }
      }
    }
  }
}

extension glow_band {
  fileprivate init(_ band: Band, channels: Int, rowStep: Int) {
    self.init(
      height: band.height, width: band.width, first_row: band.firstRow, rows: band.rows, channels: channels,
      row_step: rowStep)
  }
}
