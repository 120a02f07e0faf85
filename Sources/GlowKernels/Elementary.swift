/// Exponential, logarithm, sine and cosine in Double, made of additions, multiplications and divisions alone: each rounds
/// in one way on every machine, where those of the C library change with its version and with the processor.
///
/// Results are within two units in the last place (`ElementaryTests`). A single value is computed as eight equal ones, so
/// that there is one definition of the bits.
package enum Elementary {
  package typealias Vector = SIMD8<Double>

  package static let ln2 = 0.6931471805599453

  /// ln 2 in two parts; the first has 32 bits, so that its product with an exponent is exact.
  private static let ln2High = 0x1.62e42feep-1
  private static let ln2Low = 0x1.a39ef35793c76p-33
  /// A sum with 1.5·2⁵² is rounded to an integer, which is in its low bits.
  private static let magic = 0x1.8p52

  /// e to the power of x; 0 below −708, +∞ above 709.4, where the result is near the ends of the normal numbers.
  package static func exp(_ x: Double) -> Double { exp(Vector(repeating: x))[0] }
  /// The natural logarithm; −∞ of 0, NaN of negative numbers.
  package static func log(_ x: Double) -> Double { log(Vector(repeating: x))[0] }
  /// The hyperbolic tangent, to within 4·10⁻¹⁶; NaN of NaN.
  package static func tanh(_ x: Double) -> Double {
    let e = exp(-2 * abs(x))
    let value = (1 - e) / (1 + e)
    return x < 0 ? -value : value
  }
  /// sin(2π·turns), for up to 2⁴⁸ turns.
  package static func sine(turns: Double) -> Double { sineAndCosine(turns: Vector(repeating: turns)).sine[0] }
  /// cos(2π·turns), for up to 2⁴⁸ turns.
  package static func cosine(turns: Double) -> Double {
    sineAndCosine(turns: Vector(repeating: turns)).cosine[0]
  }

  /// x to the power of n ≥ 0, by repeated squaring.
  package static func power(_ x: Double, _ n: Int) -> Double {
    var (result, square, rest) = (1.0, x, n)
    while rest > 0 {
      if rest & 1 == 1 { result *= square }
      square *= square
      rest >>= 1
    }
    return result
  }

  /// x = n·ln 2 + r with |r| ≤ ½ ln 2; e^r by its Taylor polynomial of degree 13, 2^n by the exponent bits.
  package static func exp(_ x: Vector) -> Vector {
    var clamped = x.replacing(with: -708, where: x .< -708)
    clamped.replace(with: 709.4, where: clamped .> 709.4)
    let shifted = clamped * 1.4426950408889634 + magic
    let n = shifted - magic
    let r = (clamped - n * ln2High) - n * ln2Low
    var p = r * (1 / 6_227_020_800) + Vector(repeating: 1 / 479_001_600)
    p = p * r + Vector(repeating: 1 / 39_916_800)
    p = p * r + Vector(repeating: 1 / 3_628_800)
    p = p * r + Vector(repeating: 1 / 362_880)
    p = p * r + Vector(repeating: 1 / 40_320)
    p = p * r + Vector(repeating: 1 / 5040)
    p = p * r + Vector(repeating: 1 / 720)
    p = p * r + Vector(repeating: 1 / 120)
    p = p * r + Vector(repeating: 1 / 24)
    p = p * r + Vector(repeating: 1 / 6)
    p = p * r + Vector(repeating: 0.5)
    p = p * r + Vector(repeating: 1)
    p = p * r + Vector(repeating: 1)
    let exponent = (unsafeBitCast(shifted, to: SIMD8<UInt64>.self) &+ SIMD8(repeating: 1023)) &<< 52
    let result = p * unsafeBitCast(exponent, to: Vector.self)
    return result.replacing(with: .infinity, where: x .> 709.4).replacing(with: 0, where: x .< -708)
  }

  /// x = 2^k·m with m in [√½, √2); with f = m − 1 and s = f/(2 + f), ln m = 2·artanh s = f − s·(f − R) where
  /// R = 2s²/3 + 2s⁴/5 + … + 2s¹⁸/19.
  package static func log(_ x: Vector) -> Vector {
    let isTiny = x .< Vector(repeating: .leastNormalMagnitude)
    let scaled = x.replacing(with: x * 0x1p54, where: isTiny)
    let bits = unsafeBitCast(scaled, to: SIMD8<Int64>.self)
    let exponent = (bits &- SIMD8(repeating: 0x3FE6_A09E_667F_3BCD)) &>> 52
    let m = unsafeBitCast(bits &- (exponent &<< 52), to: Vector.self)
    let magicBits = SIMD8(repeating: Int64(bitPattern: magic.bitPattern))
    let rounded = unsafeBitCast(exponent &+ magicBits, to: Vector.self) - magic
    let k = rounded.replacing(with: rounded - 54, where: isTiny)
    let f = m - 1
    let s = f / (f + 2)
    let square = s * s
    var p = square * (2 / 19) + Vector(repeating: 2 / 17)
    p = p * square + Vector(repeating: 2 / 15)
    p = p * square + Vector(repeating: 2 / 13)
    p = p * square + Vector(repeating: 2 / 11)
    p = p * square + Vector(repeating: 2 / 9)
    p = p * square + Vector(repeating: 2 / 7)
    p = p * square + Vector(repeating: 2 / 5)
    p = p * square + Vector(repeating: 2 / 3)
    let fraction = f - s * (f - square * p)
    var result = k * ln2High + (fraction + k * ln2Low)
    result.replace(with: x, where: x .== .infinity)
    result.replace(with: -.infinity, where: x .== 0)
    // Negative numbers and NaN itself.
    return result.replacing(with: .nan, where: .!(x .>= 0))
  }

  /// Four times the turns are q + r with |r| ≤ ½; sine and cosine of r quarter turns by their Taylor polynomials, of
  /// degrees 15 and 16, change places and signs with q.
  package static func sineAndCosine(turns: Vector) -> (sine: Vector, cosine: Vector) {
    let quarters = turns * 4
    let shifted = quarters + magic
    let t = (quarters - (shifted - magic)) * 1.5707963267948966
    let square = t * t
    var p = square * (-1 / 1_307_674_368_000) + Vector(repeating: 1 / 6_227_020_800)
    p = p * square - Vector(repeating: 1 / 39_916_800)
    p = p * square + Vector(repeating: 1 / 362_880)
    p = p * square - Vector(repeating: 1 / 5040)
    p = p * square + Vector(repeating: 1 / 120)
    p = p * square - Vector(repeating: 1 / 6)
    let sine = t + t * (square * p)
    var c = square * (1 / 20_922_789_888_000) - Vector(repeating: 1 / 87_178_291_200)
    c = c * square + Vector(repeating: 1 / 479_001_600)
    c = c * square - Vector(repeating: 1 / 3_628_800)
    c = c * square + Vector(repeating: 1 / 40_320)
    c = c * square - Vector(repeating: 1 / 720)
    c = c * square + Vector(repeating: 1 / 24)
    c = c * square - Vector(repeating: 0.5)
    let cosine = c * square + 1
    // In bits, because comparisons of whole numbers are compiled lane by lane.
    let q = unsafeBitCast(shifted, to: SIMD8<UInt64>.self)
    let isOdd = 0 &- (q & 1)
    let a = unsafeBitCast(sine, to: SIMD8<UInt64>.self)
    let b = unsafeBitCast(cosine, to: SIMD8<UInt64>.self)
    let change = (a ^ b) & isOdd
    return (
      unsafeBitCast(a ^ change ^ ((q & 2) &<< 62), to: Vector.self),
      unsafeBitCast(b ^ change ^ (((q &+ 1) & 2) &<< 62), to: Vector.self)
    )
  }
}
