import GlowKernels

/// The beginning of the dequantizer: takes images with uniform noise apart into their levels and the logits of the noise.
///
/// x = c + u/2^b with c = q/2^b − ½ becomes, squeezed, [d | ln(u/(1 − u))], d the differences of c. Its log-determinant
/// is that of u alone, −Σ ln(u·(1 − u)): the factors 2^b of this layer and of `NoiseExit` cancel, and both leave them out.
/// Where images are final (`Workspace.imagesAreFinal`), it squeezes them: [x | 0].
struct NoiseEntry: Layer {
  let name = "dequantizer.input"
  let title = "the images"
  private let squeeze: Squeeze
  private let cells: Cells
  private let differences: PixelDifferences
  private let noise: Buffer

  init(_ cells: Cells, _ shape: LevelShape, in blueprint: inout Blueprint) {
    self.cells = cells
    let blocks = LevelShape(height: shape.height, width: shape.width, channels: shape.channels / 2)
    squeeze = Squeeze(name: name, title: title, shape: blocks)
    differences = PixelDifferences(channels: blocks.channels / 4, bits: cells.bits)
    noise = blueprint.buffer(columns: 2 * blocks.channels, .stage)
  }

  func stages(_ direction: Direction) -> [Stage] { [.start] }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    squeeze.forward(stage, site)
    forEachPicture(site, of: site.output) { image, c, z in
      if site.images.areFinal {
        for position in 0..<z.rows { z[position].clear(z.columns) }
        return
      }
      let u = site.memory(noise)
      cells.part(c, into: u)
      site.add(logDeterminant: Logistic.logit(u, count: c.rows * c.columns), image: image)
      z.scatter(u)
      for position in 0..<c.rows { differences.forward(c[position]) }
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    if !site.images.areFinal {
      forEachPicture(site, of: site.output) { _, c, z in
        let u = site.memory(noise)
        z.gather(into: u)
        _ = Logistic.sigmoid(u, count: z.rows * z.columns)
        for position in 0..<c.rows { differences.inverse(c[position]) }
        cells.join(c, u, into: c)
      }
    }
    squeeze.inverse(stage, site)
  }

  /// With w the gradient of the log-determinant: du = (dz − w·(1 − 2u))/(u·(1 − u)) and dx = 2^b·du, as c does not move.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    if site.inputGradient == nil { return }
    forEachPicture(site, of: site.output) { image, _, z in
      let (u, weight) = (site.memory(noise), site.likelihoodWeight(image))
      let count = z.rows * z.columns
      z.gather(into: u)
      Logistic.bothSides(u, count: count)
      let gradient = site.gradient!.part(image)
      for position in 0..<z.rows {
        let row = gradient[position]
        for channel in 0..<z.columns {
          let index = position * z.columns + channel
          let (u, v) = (u[index], u[count + index])
          row[channel] = cells.levels() * (row[z.columns + channel] - weight * (v - u)) / (u * v)
        }
      }
    }
    squeeze.backward(stage, site)
  }
}

/// The end of the dequantizer: [d | z], d the differences of the levels c, becomes [x | z] with x = c + u/2^b,
/// u = sigmoid(z), and the log-determinant Σ ln(u·(1 − u)). The flow goes on with the first half of the channels.
struct NoiseExit: Layer {
  let name = "dequantizer.output"
  let title = "the dequantized images"
  private let cells: Cells
  private let differences: PixelDifferences
  private let noise: Buffer

  init(_ cells: Cells, _ shape: LevelShape, in blueprint: inout Blueprint) {
    self.cells = cells
    differences = PixelDifferences(channels: shape.channels / 8, bits: cells.bits)
    noise = blueprint.buffer(columns: shape.channels, .stage)
  }

  func stages(_ direction: Direction) -> [Stage] { [.start] }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    copyRows(site.input.positions, to: site.output.positions)
    if site.images.areFinal { return }
    forEachPicture(site, of: site.output) { image, c, z in
      let u = site.memory(noise)
      z.gather(into: u)
      site.add(logDeterminant: Logistic.sigmoid(u, count: z.rows * z.columns), image: image)
      for position in 0..<c.rows { differences.inverse(c[position]) }
      cells.join(c, u, into: c)
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    copyRows(site.output.positions, to: site.input.positions)
    if site.images.areFinal { return }
    forEachPicture(site, of: site.input) { _, c, z in
      let u = site.memory(noise)
      cells.part(c, into: u)
      _ = Logistic.logit(u, count: c.rows * c.columns)
      z.scatter(u)
      for position in 0..<c.rows { differences.forward(c[position]) }
    }
  }

  /// With w the gradient of the log-determinant: dz = dx/2^b·u·(1 − u) + w·(1 − 2u); no gradient is asked of d.
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    forEachPicture(site, of: site.input) { image, _, z in
      let (u, weight) = (site.memory(noise), site.likelihoodWeight(image))
      let count = z.rows * z.columns
      z.gather(into: u)
      Logistic.bothSides(u, count: count)
      let gradient = site.gradient!.part(image)
      for position in 0..<z.rows {
        let row = gradient[position]
        for channel in 0..<z.columns {
          let index = position * z.columns + channel
          let (u, v) = (u[index], u[count + index])
          row[z.columns + channel] = row[channel] / cells.levels() * (u * v) + weight * (v - u)
        }
      }
    }
  }
}

/// The cells of width 2^−b that pixel values stand for.
struct Cells: Sendable {
  let bits: Int

  /// Noise nearer to an end of its cell counts as if it were there: its logit stays finite, and what is put together
  /// again in `Float` is in the same cell.
  private static let smallest = 0x1p-17
  private static let largest = 1 - 0x1p-16

  /// 2^b.
  func levels<S: Scalar>() -> S { S(1 << bits) }

  /// x ← c; the noise of each value, row by row, goes to `noise`.
  func part<S: Scalar>(_ x: Matrix<S>, into noise: UnsafeMutablePointer<S>) {
    let levels: S = levels()
    for position in 0..<x.rows {
      let (row, noise) = (x[position], noise + position * x.columns)
      for channel in 0..<x.columns {
        let scaled = (row[channel] + 0.5) * levels
        let level = scaled.rounded(.down)
        let u = scaled - level
        // Written so that a NaN stays one.
        noise[channel] = u < S(Self.smallest) ? S(Self.smallest) : u > S(Self.largest) ? S(Self.largest) : u
        row[channel] = level / levels - 0.5
      }
    }
  }

  /// x ← c + u/2^b, which may stand where c does.
  func join<S: Scalar>(_ c: Matrix<S>, _ noise: UnsafePointer<S>, into x: Matrix<S>) {
    let step = 1 / (levels() as S)
    for position in 0..<c.rows {
      let (from, to, noise) = (c[position], x[position], noise + position * c.columns)
      for channel in 0..<c.columns {
        let u = noise[channel]
        to[channel] = from[channel] + (u > S(Self.largest) ? S(Self.largest) : u) * step
      }
    }
  }
}

/// Calls `body` with the two halves of the channels of the tile's part of each picture.
@inline(__always)
private func forEachPicture<S: Scalar>(
  _ site: Site<S>, of rows: Rows<S>, _ body: (_ image: Int, _ first: Matrix<S>, _ second: Matrix<S>) -> Void
) {
  let half = rows.columns / 2
  for image in 0..<site.tile.imageCount {
    let part = rows.part(image)
    body(image, part.columns(0..<half), part.columns(half..<2 * half))
  }
}

extension Matrix {
  /// Copies the rows to where there are no gaps between them.
  fileprivate func gather(into values: UnsafeMutablePointer<S>) {
    copyRows(self, to: Matrix(values, rows: rows, columns: columns))
  }

  /// The opposite.
  fileprivate func scatter(_ values: UnsafeMutablePointer<S>) {
    copyRows(Matrix(values, rows: rows, columns: columns), to: self)
  }
}
