/// A floating-point type the flow can be computed in: exactly `Float` and `Double`.
///
/// Training and sampling run in `Float`; the same code runs in `Double` where a check needs the digits.
/// The two conformances (`Scalar+Float.swift`, `Scalar+Double.swift`) are line-for-line twins.
@usableFromInline
package protocol Scalar: BinaryFloatingPoint, SIMDScalar, Codable, Sendable {
  /// C ← op(A)·op(B) + beta·C on row-major memory; op(A) is [m, k], op(B) is [k, n], C is [m, n].
  ///
  /// Calls `cblas_sgemm` or `cblas_dgemm`.
  static func gemm(
    _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int,
    _ a: UnsafePointer<Self>, _ strideA: Int, _ b: UnsafePointer<Self>, _ strideB: Int,
    _ beta: Self, _ c: UnsafeMutablePointer<Self>, _ strideC: Int)

  /// Whether there are packed products of this type, for which the three functions below stand.
  static var hasPackedProducts: Bool { get }

  /// Writes the panels of a matrix (`Operand`).
  static func pack(_ matrix: Matrix<Self>, into panels: UnsafeMutablePointer<Self>)

  /// `multiply` of a packed matrix.
  static func multiplyPacked(
    _ a: ProductRows<Self>, _ panels: UnsafePointer<Self>, into c: Matrix<Self>, _ epilogue: Epilogue<Self>)

  /// `multiplyTransposed` of matrices that it packs on the way.
  static func multiplyTransposedPacked(
    _ a: ProductRows<Self>, _ b: Matrix<Self>, into c: Matrix<Self>, accumulate: Bool,
    scratch: UnsafeMutablePointer<Self>)

  /// A whole number in 0...255.
  var byte: UInt8 { get }

  /// e to the power of every lane, to within 2 units in the last place for arguments in ±87.
  ///
  /// Smaller arguments give a result of at most the smallest normal number, larger ones are clamped.
  static func exp(_ x: SIMD8<Self>) -> SIMD8<Self>

  // Comparisons of vectors stand here because generic code compiles them lane by lane.

  /// max(0, x) of every lane; a NaN stays a NaN.
  static func positivePart(_ x: SIMD8<Self>) -> SIMD8<Self>

  /// max(x, bound) of every lane; a NaN stays a NaN.
  static func maximum(_ x: SIMD8<Self>, _ bound: Self) -> SIMD8<Self>

  /// 0 where `selector` ≤ 0, else x; a NaN there passes on x.
  static func select(_ x: SIMD8<Self>, wherePositive selector: SIMD8<Self>) -> SIMD8<Self>

  /// The logistic function 1/(1 + e⁻ˣ), and 1 + e^−|x|, from whose logarithm that of the function follows:
  /// ln sigmoid(x) = min(x, 0) − ln(1 + e^−|x|).
  static func sigmoid(_ x: SIMD8<Self>) -> (value: SIMD8<Self>, onePlusExponential: SIMD8<Self>)
}
