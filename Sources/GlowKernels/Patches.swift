/// The neighborhoods of a 3×3 convolution as matrix rows, and back.
///
/// Pictures are NHWC. A band is `rows` picture rows from `firstRow` on of one picture of `height × width`.
/// A patch row holds the 3×3 neighborhood of one position, zero outside the picture, in the order
/// (dy, dx, channel): 9·channels values. In a buffer with a border of one position all round, the three
/// neighbors of one dy lie side by side, so a patch is three runs of 3·channels values.
public struct Band: Sendable {
  public let height: Int
  public let width: Int
  public let firstRow: Int
  public let rows: Int

  @inlinable
  public init(height: Int, width: Int, firstRow: Int, rows: Int) {
    self.height = height
    self.width = width
    self.firstRow = firstRow
    self.rows = rows
  }

  /// Values of a bordered copy of the band: [rows + 2, width + 2, channels].
  @inlinable
  public func borderedCount(channels: Int) -> Int { (rows + 2) * (width + 2) * channels }

  /// Which of the nine neighbors exist: 1 first row, 2 last row, 4 first column, 8 last column of the picture.
  @inlinable
  public func borderClass(row: Int, column: Int) -> Int {
    (row == 0 ? 1 : 0) + (row == height - 1 ? 2 : 0) + (column == 0 ? 4 : 0)
      + (column == width - 1 ? 8 : 0)
  }
}

/// The border class of every position of a picture.
public final class BorderClasses: @unchecked Sendable {
  private let classes: UnsafeMutablePointer<UInt8>
  private let width: Int

  public init(height: Int, width: Int) {
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
  public func rows(from firstRow: Int, pictures: Int) -> RowClasses {
    RowClasses(classes + firstRow * width, rowsPerClass: pictures)
  }
}

/// The number of border classes (`Band.borderClass`), not all of which occur in every picture.
public let borderClassCount = 16

/// True where the neighbor (dy, dx), each in 0..<3, of a position of this class lies outside the picture.
@inlinable
public func isOutside(borderClass: Int, dy: Int, dx: Int) -> Bool {
  (dy == 0 && borderClass & 1 != 0) || (dy == 2 && borderClass & 2 != 0)
    || (dx == 0 && borderClass & 4 != 0) || (dx == 2 && borderClass & 8 != 0)
}

/// im2col: patches[p, :] = the neighborhood of position p of the band.
///
/// - Parameters:
///   - picture: the whole picture, positions `stride` values apart, of which the first `channels` are read.
///   - bordered: scratch of `band.borderedCount`.
///   - patches: rows of 9·channels values, of which every `rowStep`-th is written: rows·width of them.
@specialized(where S == Float)
@specialized(where S == Double)
public func gatherPatches<S: Scalar>(
  from picture: UnsafePointer<S>, stride: Int, channels: Int, band: Band,
  bordered: UnsafeMutablePointer<S>, into patches: UnsafeMutablePointer<S>, rowStep: Int
) {
  let width = band.width
  let line = (width + 2) * channels
  for row in 0..<(band.rows + 2) {
    let target = bordered + row * line
    let sourceRow = band.firstRow + row - 1
    if sourceRow < 0 || sourceRow >= band.height {
      target.update(repeating: 0, count: line)
      continue
    }
    target.update(repeating: 0, count: channels)
    (target + line - channels).update(repeating: 0, count: channels)
    let source = picture + sourceRow * width * stride
    for column in 0..<width {
      let from = source + column * stride
      let to = target + (column + 1) * channels
      for channel in 0..<channels { to[channel] = from[channel] }
    }
  }
  let run = 3 * channels
  for row in 0..<band.rows {
    for column in 0..<width {
      let target = patches + (row * width + column) * rowStep * 9 * channels
      for dy in 0..<3 {
        copyRun(bordered + (row + dy) * line + column * channels, run, to: target + dy * run)
      }
    }
  }
}

/// Copies `count` values in whole vectors, of which the last overlaps the one before it.
@inlinable @inline(__always)
func copyRun<S: Scalar>(_ source: UnsafePointer<S>, _ count: Int, to target: UnsafeMutablePointer<S>) {
  if count < 8 {
    for index in 0..<count { target[index] = source[index] }
    return
  }
  var index = 0
  while index + 8 < count {
    target.store(source.vector(index), index)
    index += 8
  }
  target.store(source.vector(count - 8), count - 8)
}

/// col2im, the adjoint of `gatherPatches`: every patch is added to the neighborhood it belongs to.
///
/// Sums the contributions that fall into the band, which also come from the picture rows just above and
/// below it.
///
/// - Parameters:
///   - patches: the patch rows of the whole picture, height·width times every `rowStep`-th of 9·channels values; only
///     those of the band and of its two neighboring picture rows are read.
///   - bordered: receives [rows + 2, width + 2, channels]; its inner part is the result.
@specialized(where S == Float)
@specialized(where S == Double)
public func scatterPatches<S: Scalar>(
  _ patches: UnsafePointer<S>, rowStep: Int, channels: Int, band: Band, bordered: UnsafeMutablePointer<S>
) {
  let width = band.width
  let line = (width + 2) * channels
  bordered.update(repeating: 0, count: (band.rows + 2) * line)
  let run = 3 * channels
  let whole = run / 8 * 8
  for sourceRow in max(0, band.firstRow - 1)..<min(band.height, band.firstRow + band.rows + 1) {
    for dy in 0..<3 {
      // Bordered row r is picture row firstRow + r - 1.
      let targetRow = sourceRow - band.firstRow + dy
      if targetRow < 1 || targetRow > band.rows { continue }
      for column in 0..<width {
        let source = patches + ((sourceRow * width + column) * rowStep * 9 + dy * 3) * channels
        let target = bordered + targetRow * line + column * channels
        var index = 0
        while index < whole {
          let from = UnsafeRawPointer(source + index).loadUnaligned(as: SIMD8<S>.self)
          let to = UnsafeMutableRawPointer(target + index)
          to.storeBytes(of: to.loadUnaligned(as: SIMD8<S>.self) + from, as: SIMD8<S>.self)
          index += 8
        }
        while index < run {
          target[index] += source[index]
          index += 1
        }
      }
    }
  }
}
