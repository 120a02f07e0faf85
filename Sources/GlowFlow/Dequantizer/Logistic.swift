import GlowKernels

/// The logistic function, which takes all numbers to (0, 1), its inverse, and their log-determinants.
///
/// With u = sigmoid(z), du/dz = u·(1 − u) and ln(u·(1 − u)) = −|z| − 2·ln(1 + e^−|z|). Logarithms of up to 32 factors are
/// taken at once as that of their product; the factors are those of 4·u·(1 − u), which is 1 where a vector has no value.
enum Logistic {
  private static let valuesAtOnce = 256

  /// values u ← ln(u/(1 − u)); returns −Σ ln(u·(1 − u)). Each u is in [2⁻²⁴, 1 − 2⁻²⁴].
  @specialized(where S == Float)
  @specialized(where S == Double)
  static func logit<S: Scalar>(_ values: UnsafeMutablePointer<S>, count: Int) -> Double {
    var sum = Double(count) * 2 * Elementary.ln2
    for first in stride(from: 0, to: count, by: valuesAtOnce) {
      var product = Elementary.Vector(repeating: 1)
      forEachVector(values + first, count: min(valuesAtOnce, count - first), rest: 0.5) { vector in
        var u = Elementary.Vector()
        for lane in 0..<8 { u[lane] = Double(vector[lane]) }
        product *= (u * 4) * (1 - u)
        let z = Elementary.log(u / (1 - u))
        for lane in 0..<8 { vector[lane] = S(z[lane]) }
      }
      sum -= total(Elementary.log(product))
    }
    return sum
  }

  /// values z ← sigmoid(z); returns Σ ln(u·(1 − u)).
  @specialized(where S == Float)
  @specialized(where S == Double)
  static func sigmoid<S: Scalar>(_ values: UnsafeMutablePointer<S>, count: Int) -> Double {
    var sum = -Double(count) * 2 * Elementary.ln2
    for first in stride(from: 0, to: count, by: valuesAtOnce) {
      var (sizes, product) = (SIMD8<S>(repeating: 0), SIMD8<S>(repeating: 1))
      forEachVector(values + first, count: min(valuesAtOnce, count - first), rest: 0) { vector in
        let (u, onePlusExponential) = S.sigmoid(vector)
        sizes += S.positivePart(vector) + S.positivePart(SIMD8(repeating: 0) - vector)
        product *= onePlusExponential * S(0.5)
        vector = u
      }
      var (size, factors) = (0.0, Elementary.Vector())
      for lane in 0..<8 {
        size += Double(sizes[lane])
        factors[lane] = Double(product[lane])
      }
      sum -= size + 2 * total(Elementary.log(factors))
    }
    return sum
  }

  private static func total(_ lanes: Elementary.Vector) -> Double {
    (0..<8).reduce(0) { $0 + lanes[$1] }
  }

  /// values z ← (sigmoid(z), sigmoid(−z)), the second `count` values after the first.
  @specialized(where S == Float)
  @specialized(where S == Double)
  static func bothSides<S: Scalar>(_ values: UnsafeMutablePointer<S>, count: Int) {
    let opposite = values + count
    for index in 0..<count { opposite[index] = -values[index] }
    for part in [values, opposite] {
      forEachVector(part, count: count, rest: 0) { $0 = S.sigmoid($0).value }
    }
  }
}
