import GlowKernels

/// Squeeze (section 3.6 of Kingma & Dhariwal 2018): each 2×2 block of positions becomes one position of four
/// times the channels, in the order channel·4 + dy·2 + dx.
///
/// It only moves values: its log-determinant is 0 and its backward is its inverse. It enters a level: of the level before
/// it reads the first channels, those that have not left the flow there.
struct Squeeze: Layer {
  let name: String
  let title: String
  /// After the squeeze.
  let shape: LevelShape

  func stages(_ direction: Direction) -> [Stage] { [.start] }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    for image in 0..<site.tile.imageCount {
      let (whole, blocks) = (site.output.part(image), site.input.part(image))
      forEachBlock(whole, blocks) { $0[$1] = $2[$3] }
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    for image in 0..<site.tile.imageCount {
      let (whole, blocks) = (site.output.part(image), site.input.part(image))
      forEachBlock(whole, blocks) { $2[$3] = $0[$1] }
    }
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    guard let target = site.inputGradient else { return }
    for image in 0..<site.tile.imageCount {
      let (whole, blocks) = (site.gradient!.part(image), target.part(image))
      forEachBlock(whole, blocks) { $2[$3] = $0[$1] }
    }
  }

  /// Calls `body(squeezed position, channel there, other position, channel there)` for every value.
  ///
  /// - Parameters:
  ///   - whole: [rows·width, channels]
  ///   - blocks: [2·rows·2·width, at least channels/4]
  @inline(__always)
  private func forEachBlock<S: Scalar>(
    _ whole: Matrix<S>, _ blocks: Matrix<S>,
    _ body: (UnsafeMutablePointer<S>, Int, UnsafeMutablePointer<S>, Int) -> Void
  ) {
    let inner = shape.channels / 4
    for position in 0..<whole.rows {
      let (y, x) = position.quotientAndRemainder(dividingBy: shape.width)
      for dy in 0..<2 {
        for dx in 0..<2 {
          let block = blocks[(2 * y + dy) * 2 * shape.width + 2 * x + dx]
          for channel in 0..<inner { body(whole[position], channel * 4 + dy * 2 + dx, block, channel) }
        }
      }
    }
  }
}
