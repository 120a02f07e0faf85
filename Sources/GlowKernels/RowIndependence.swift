/// A product [rows × inner]·[inner × columns].
package struct ProductShape: Sendable, Hashable {
  package let inner: Int
  package let columns: Int

  package init(inner: Int, columns: Int) {
    self.inner = inner
    self.columns = columns
  }
}

/// True if products of batch-interleaved rows of `pictures` pictures give each of them the same result, bit for bit.
///
/// With OpenBLAS's kernels for AVX-512 every row comes out alike; those for AVX2 add up some rows of a block of twelve in
/// another order than the rest. So this multiplies equal rows, [positions, pictures, inner], and looks.
@specialized(where S == Float)
@specialized(where S == Double)
package func rowsComeOutAlike<S: Scalar>(
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
