import Foundation
import GlowKernels
import Testing

@Suite("Vector functions")
struct VectorFunctionTests {
  @Test("exp in Float is within 2 units in the last place")
  func exponential() {
    var worst = 0.0
    for index in 0..<200_000 {
      let x = Float(-87) + Float(index) * (174 / 200_000)
      let found = Float.exp(SIMD8(repeating: x))[3]
      let expected = Foundation.exp(Double(x))
      worst = max(worst, abs(Double(found) - expected) / Double(Float(expected).ulp))
    }
    print("exp: largest error \(worst) units in the last place")
    #expect(worst <= 2)
    #expect(Float.exp(SIMD8(repeating: .nan))[0].isNaN)
  }

  @Test("sigmoid is never zero, and its logarithm follows from the second result")
  func sigmoid() {
    for x: Float in [-200, -80, -3, -0.1, 0, 0.1, 3, 80, 200] {
      let (value, onePlus) = Float.sigmoid(SIMD8(repeating: x))
      #expect(value[0] > 0 && value[0] <= 1)
      let expected = 1 / (1 + Foundation.exp(-Double(max(x, -87))))
      #expect(abs(Double(value[0]) - expected) < 1e-6 * expected + 1e-37)
      let logarithm = Double(min(x, 0)) - log(Double(onePlus[0]))
      let exact = x > 0 ? -log1p(Foundation.exp(-Double(x))) : Double(x) - log1p(Foundation.exp(Double(x)))
      #expect(abs(logarithm - exact) < 1e-6)
    }
  }
}
