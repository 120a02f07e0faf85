import Foundation
import GlowKernels
import Testing

@Suite("Elementary functions, beside the C library's")
struct ElementaryTests {
  /// Numbers in a range, in no pattern.
  private func numbers(_ count: Int, in range: ClosedRange<Double>) -> [Double] {
    let random = Philox(seed: 3, purpose: .synthetic)
    return (0..<count).map {
      let words = random.words($0)
      let share = (Double(words[0]) + Double(words[1]) * 0x1p-32) * 0x1p-32
      return range.lowerBound + share * (range.upperBound - range.lowerBound)
    }
  }

  /// The distance of two results in units in the last place of the true one.
  private func ulps(_ result: Double, _ truth: Double) -> Double { abs(result - truth) / truth.ulp }

  @Test("exp is within two units in the last place")
  func exponential() {
    for x in numbers(100_000, in: -708...709.4) + numbers(100_000, in: -1...1) + [
      0, -0.0, 1e-300, 709.4, -708,
    ] {
      #expect(ulps(Elementary.exp(x), exp(x)) <= 2, "\(x)")
    }
    #expect(Elementary.exp(0) == 1 && Elementary.exp(-709) == 0 && Elementary.exp(-.infinity) == 0)
    #expect(Elementary.exp(710) == .infinity && Elementary.exp(.infinity) == .infinity)
    #expect(Elementary.exp(.nan).isNaN)
  }

  @Test("tanh is within 4·10⁻¹⁶")
  func hyperbolicTangent() {
    for x in numbers(10_000, in: -20...20) + numbers(10_000, in: -0.01...0.01) + [0, 1000, -1000, .infinity] {
      #expect(abs(Elementary.tanh(x) - tanh(x)) <= 4e-16, "\(x)")
    }
    #expect(Elementary.tanh(.nan).isNaN)
  }

  @Test("log is within two units in the last place")
  func logarithm() {
    let wide = numbers(100_000, in: -1070...1023).map { pow(2, $0) }
    for x in wide + numbers(100_000, in: 0.5...2) + [
      .leastNonzeroMagnitude, .greatestFiniteMagnitude, 1 + 0x1p-52,
    ] {
      #expect(ulps(Elementary.log(x), log(x)) <= 2, "\(x)")
    }
    #expect(Elementary.log(1) == 0 && Elementary.log(2) == Elementary.ln2 && Elementary.log(0) == -.infinity)
    #expect(Elementary.log(.infinity) == .infinity && Elementary.log(-1).isNaN && Elementary.log(.nan).isNaN)
  }

  @Test("sine and cosine of turns")
  func circle() {
    for turns in numbers(100_000, in: 0...1) + numbers(10_000, in: -100...100) {
      // The turns of a whole circle are exact; the true values are those of the first eighth.
      let rest = turns * 8 - (turns * 8).rounded(.down)
      let angle = rest * .pi / 4
      let (s, c) = (sin(angle), cos(angle))
      let h = 0.5.squareRoot()
      let eighth = Int((turns * 8).rounded(.down)) & 7
      let (diagonalSine, diagonalCosine) = ((s + c) * h, (c - s) * h)
      let circle = [
        (s, c), (diagonalSine, diagonalCosine), (c, -s), (diagonalCosine, -diagonalSine), (-s, -c),
        (-diagonalSine, -diagonalCosine), (-c, s), (-diagonalCosine, diagonalSine),
      ]
      #expect(abs(Elementary.sine(turns: turns) - circle[eighth].0) < 5e-16, "\(turns)")
      #expect(abs(Elementary.cosine(turns: turns) - circle[eighth].1) < 5e-16, "\(turns)")
    }
    for (turns, sine, cosine) in [(0.0, 0.0, 1.0), (0.25, 1, 0), (0.5, 0, -1), (0.75, -1, 0), (1, 0, 1)] {
      #expect(Elementary.sine(turns: turns) == sine && Elementary.cosine(turns: turns) == cosine)
    }
    #expect(Elementary.sine(turns: 1e-18) == 2 * .pi * 1e-18)
  }

  @Test("powers")
  func powers() {
    for (x, n) in [(0.999, 0), (0.999, 1), (0.999, 12_345), (0.5, 10), (2.0, 62), (0.9, 1_000_000_000_000)] {
      #expect(abs(Elementary.power(x, n) - pow(x, Double(n))) <= 1e-12 * pow(x, Double(n)))
    }
  }

  // Any other bits here would change every model that is trained, and every score: the numbers come from nothing but
  // sums and products, so that they are the same on each machine.
  @Test("the bits are defined")
  func bits() {
    var digest: UInt64 = 14_695_981_039_346_656_037
    func add(_ values: SIMD8<Double>) {
      for lane in 0..<8 { digest = (digest ^ values[lane].bitPattern) &* 1_099_511_628_211 }
    }
    let x = numbers(8000, in: 0...1)
    for first in stride(from: 0, to: x.count, by: 8) {
      var lanes = SIMD8<Double>()
      for lane in 0..<8 { lanes[lane] = x[first + lane] }
      add(Elementary.exp(lanes * 1400 - 700))
      add(Elementary.log(lanes))
      let circle = Elementary.sineAndCosine(turns: lanes)
      add(circle.sine)
      add(circle.cosine)
    }
    #expect(digest == 12_548_639_546_224_589_517)
  }
}
