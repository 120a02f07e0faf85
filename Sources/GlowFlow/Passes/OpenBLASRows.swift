import GlowKernels

// What stands here OpenBLAS's products need, so that a score does not depend on the images beside it. Its kernels for
// AVX-512 give every row the same result wherever it stands; those for AVX2 add up some rows of a block of twelve in another
// order than the rest. So rows of an image always stand where they always stand: batch-interleaved, as far apart as in a full
// tile, and no more pictures share a tile than come out alike. Packed products need none of it.

extension TileGrain {
  /// Whether an image's score or latents could depend on where its rows stand. Training may: a step has one batch.
  var mustAlignRows: Bool { kernels == .openBLAS && !isTraining }

  /// From one position of a picture to its next, in rows of a tile's products (`Tile.rowStep`).
  func rowStep(pictures: Int, ofFullTile most: Int) -> Int { mustAlignRows ? most : pictures }

  /// Pictures that may share a tile of a level, at most `most`, where rows must be aligned.
  func alignedPictures<S: Scalar>(_ level: LevelNeeds, most: Int, _: S.Type) -> Int {
    if level.meetsBatch { return 1 }
    let products = Array(Set(level.products))
    return (1...most).last {
      rowsComeOutAlike(pictures: $0, positions: level.shape.positions, products, S.self)
    } ?? 1
  }
}

extension Tile {
  /// The same pictures in products that have no rows without a picture.
  var withoutEmptyRows: Tile {
    var tile = self
    tile.rowStep = imageCount
    return tile
  }
}

/// target ← epilogue(source·B) for the positions of a tile, the pictures one after the other: packed at once, by OpenBLAS
/// each picture by itself.
///
/// - Parameter source: of which as many columns count as B has rows.
@inline(__always)
func multiplyPositions<S: Scalar>(
  _ source: Rows<S>, _ b: Operand<S>, into target: Rows<S>, _ epilogue: Epilogue<S> = .init()
) {
  let columns = 0..<b.matrix.rows
  if b.panels != nil {
    multiply(source.positions.columns(columns), b, into: target.positions, epilogue)
    return
  }
  for image in 0..<source.tile.imageCount {
    multiply(source.part(image).columns(columns), b, into: target.part(image), epilogue)
  }
}

/// True if OpenBLAS's products of batch-interleaved rows of `pictures` pictures give each of them the same result, bit for
/// bit: multiplies equal rows, [positions, pictures, inner], and looks.
@specialized(where S == Float)
@specialized(where S == Double)
func rowsComeOutAlike<S: Scalar>(
  pictures: Int, positions: Int, _ products: [ProductShape], _: S.Type
) -> Bool {
  if pictures == 1 { return true }
  let rows = positions * pictures
  return products.allSatisfy { product in
    let (k, n) = (product.inner, product.columns)
    var row = [S](repeating: 0, count: k)
    row.withUnsafeMutableBufferPointer { Philox(seed: 0, purpose: .weights).fillNormal($0) }
    let a = [[S]](repeating: row, count: rows).flatMap { $0 }
    var b = [S](repeating: 0, count: k * n)
    b.withUnsafeMutableBufferPointer { Philox(seed: 1, purpose: .weights).fillNormal($0) }
    var c = [S](repeating: 0, count: rows * n)
    S.gemm(false, false, rows, n, k, a, k, b, n, 0, &c, n)
    return (0..<positions).allSatisfy { position in
      let first = position * pictures * n
      return (first + n..<first + pictures * n).allSatisfy { c[$0] == c[$0 - n] }
    }
  }
}
