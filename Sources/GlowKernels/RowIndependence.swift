/// True if products in which `pictures` take turns in the rows give each of them the same result, bit for bit.
///
/// With OpenBLAS's kernels for AVX-512 every row comes out alike; those for AVX2 add up some rows of a block of twelve in
/// another order than the rest. So this multiplies equal rows, [positions, pictures, k], and looks.
public func rowsComeOutAlike<S: Scalar>(pictures: Int, positions: Int, _: S.Type) -> Bool {
  if pictures == 1 { return true }
  let rows = positions * pictures
  // Widths and depths as a coupling network has them, and with every remainder that a kernel's blocks may leave.
  for n in [6, 12, 24, 54, 108, 128, 512] {
    for k in [6, 54, 128, 512] {
      let numbers = Philox(seed: 0, purpose: .order)
      var row = [S](repeating: 0, count: k)
      row.withUnsafeMutableBufferPointer { numbers.fillNormal($0) }
      let a = [[S]](repeating: row, count: rows).flatMap { $0 }
      var b = [S](repeating: 0, count: k * n)
      b.withUnsafeMutableBufferPointer { numbers.fillNormal($0) }
      var c = [S](repeating: 0, count: rows * n)
      // [rows × k]·[k × n] → [rows × n]
      S.gemm(false, false, rows, n, k, a, k, b, n, 0, &c, n)
      for position in 0..<positions {
        let first = position * pictures * n
        for index in first + n..<first + pictures * n where c[index] != c[index - n] { return false }
      }
    }
  }
  return true
}
