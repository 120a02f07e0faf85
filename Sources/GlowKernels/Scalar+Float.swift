import COpenBLAS

extension Float: Scalar {
  @inlinable @inline(__always)
  package static func gemm(
    _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int,
    _ a: UnsafePointer<Float>, _ strideA: Int, _ b: UnsafePointer<Float>, _ strideB: Int,
    _ beta: Float, _ c: UnsafeMutablePointer<Float>, _ strideC: Int
  ) {
    cblas_sgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
      blasint(m), blasint(n), blasint(k), 1, a, blasint(strideA), b, blasint(strideB),
      beta, c, blasint(strideC))
  }

  @inlinable @inline(__always)
  package var byte: UInt8 { UInt8(self) }

  /// x = n·ln 2 + r with |r| ≤ ½ ln 2; e^r by its Taylor polynomial of degree 7, 2^n by the exponent bits.
  ///
  /// Written out because a vector exponential is not in the C library that Swift can call.
  @inlinable @inline(__always)
  package static func exp(_ x: SIMD8<Float>) -> SIMD8<Float> {
    // Written with masks, which become one comparison and one selection; a NaN stays a NaN.
    var clamped = x.replacing(with: -87.3, where: x .< -87.3)
    clamped.replace(with: 88.3, where: clamped .> 88.3)
    // Adding 1.5·2^23 rounds to an integer and leaves it in the low bits.
    let magic = SIMD8<Float>(repeating: 12_582_912)
    let shifted = clamped * 1.442_695_04 + magic
    let n = shifted - magic
    let r = (clamped - n * 0.693_145_752) - n * 1.428_606_77e-6
    var p = r * (1 / 5040) + SIMD8(repeating: 1 / 720)
    p = p * r + SIMD8(repeating: 1 / 120)
    p = p * r + SIMD8(repeating: 1 / 24)
    p = p * r + SIMD8(repeating: 1 / 6)
    p = p * r + SIMD8(repeating: 0.5)
    p = p * r + SIMD8(repeating: 1)
    p = p * r + SIMD8(repeating: 1)
    let exponent = (unsafeBitCast(shifted, to: SIMD8<UInt32>.self) &+ SIMD8(repeating: 127)) &<< 23
    return p * unsafeBitCast(exponent, to: SIMD8<Float>.self)
  }

  @inlinable @inline(__always)
  package static func positivePart(_ x: SIMD8<Float>) -> SIMD8<Float> { x.replacing(with: 0, where: x .< 0) }

  @inlinable @inline(__always)
  package static func maximum(_ x: SIMD8<Float>, _ bound: Float) -> SIMD8<Float> {
    x.replacing(with: bound, where: x .< bound)
  }

  @inlinable @inline(__always)
  package static func select(
    _ x: SIMD8<Float>, wherePositive selector: SIMD8<Float>
  ) -> SIMD8<Float> { x.replacing(with: 0, where: selector .<= 0) }

  @inlinable @inline(__always)
  package static func sigmoid(_ x: SIMD8<Float>) -> (value: SIMD8<Float>, onePlusExponential: SIMD8<Float>) {
    let isNegative = x .< 0
    let e = exp(x.replacing(with: -x, where: .!isNegative))
    let onePlusE = e + 1
    let reciprocal = 1 / onePlusE
    return (reciprocal.replacing(with: e * reciprocal, where: isNegative), onePlusE)
  }
}
