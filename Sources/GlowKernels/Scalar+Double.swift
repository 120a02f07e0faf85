import COpenBLAS

extension Double: Scalar {
  @inlinable @inline(__always)
  package static func gemm(
    _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int,
    _ a: UnsafePointer<Double>, _ strideA: Int, _ b: UnsafePointer<Double>, _ strideB: Int,
    _ beta: Double, _ c: UnsafeMutablePointer<Double>, _ strideC: Int
  ) {
    cblas_dgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
      blasint(m), blasint(n), blasint(k), 1, a, blasint(strideA), b, blasint(strideB),
      beta, c, blasint(strideC))
  }

  @inlinable @inline(__always)
  package var byte: UInt8 { UInt8(self) }

  @usableFromInline
  package static func exp(_ x: SIMD8<Double>) -> SIMD8<Double> { Elementary.exp(x) }

  @inlinable @inline(__always)
  package static func positivePart(_ x: SIMD8<Double>) -> SIMD8<Double> {
    x.replacing(with: 0, where: x .< 0)
  }

  @inlinable @inline(__always)
  package static func maximum(_ x: SIMD8<Double>, _ bound: Double) -> SIMD8<Double> {
    x.replacing(with: bound, where: x .< bound)
  }

  @inlinable @inline(__always)
  package static func select(
    _ x: SIMD8<Double>, wherePositive selector: SIMD8<Double>
  ) -> SIMD8<Double> { x.replacing(with: 0, where: selector .<= 0) }

  @inlinable @inline(__always)
  package static func sigmoid(_ x: SIMD8<Double>) -> (value: SIMD8<Double>, onePlusExponential: SIMD8<Double>)
  {
    let isNegative = x .< 0
    let e = exp(x.replacing(with: -x, where: .!isNegative))
    let onePlusE = e + 1
    let reciprocal = 1 / onePlusE
    return (reciprocal.replacing(with: e * reciprocal, where: isNegative), onePlusE)
  }
}
