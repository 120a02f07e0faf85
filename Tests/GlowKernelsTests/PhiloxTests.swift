import GlowKernels
import Testing

@Suite("Philox4x32-10")
struct PhiloxTests {
  // The known-answer vectors published with Random123 (Salmon et al. 2011).
  @Test("known answers")
  func knownAnswers() {
    #expect(
      Philox.block(counter: [0, 0, 0, 0], key: [0, 0])
        == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
    let ones = UInt32.max
    #expect(
      Philox.block(counter: [ones, ones, ones, ones], key: [ones, ones])
        == [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd])
    #expect(
      Philox.block(
        counter: [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], key: [0xa409_3822, 0x299f_31d0])
        == [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1])
  }

  private func values<S: Scalar>(
    _ count: Int, _ fill: (UnsafeMutableBufferPointer<S>) -> Void
  ) -> [S] {
    var result = [S](repeating: .nan, count: count)
    result.withUnsafeMutableBufferPointer { fill($0) }
    return result
  }

  @Test("normal numbers have mean 0, variance 1 and the right tails; Float and Double agree")
  func normal() {
    let generator = Philox(seed: 1, purpose: .latents)
    let count = 100_003
    let x: [Double] = values(count) { generator.fillNormal($0) }
    let y: [Float] = values(count) { generator.fillNormal($0) }
    #expect(zip(x, y).allSatisfy { abs($0 - Double($1)) < 1e-6 })
    let mean = x.reduce(0, +) / Double(count)
    let variance = x.reduce(0) { $0 + $1 * $1 } / Double(count)
    #expect(abs(mean) < 0.015 && abs(variance - 1) < 0.02)
    let beyondTwo = Double(x.count { abs($0) > 2 }) / Double(count)
    #expect(abs(beyondTwo - 0.0455) < 0.003)
  }

  @Test("uniform numbers fill [0, 1), the same in Float and Double")
  func uniform() {
    let generator = Philox(seed: 2, purpose: .dequantization, stream: 9)
    let x: [Double] = values(100_001) { generator.fillUniform($0) }
    let y: [Float] = values(100_001) { generator.fillUniform($0) }
    #expect(zip(x, y).allSatisfy { $0 == Double($1) })
    #expect(x.allSatisfy { (0..<1).contains($0) } && x.min()! < 1e-4 && x.max()! > 0.9999)
    #expect(abs(x.reduce(0, +) / Double(x.count) - 0.5) < 0.004)
  }

  @Test("permutations hold every index once, and differ from stream to stream")
  func permutation() {
    let first = Philox(seed: 3, purpose: .order, stream: 0).permutation(1000)
    let second = Philox(seed: 3, purpose: .order, stream: 1).permutation(1000)
    #expect(first.sorted() == Array(0..<1000) && second.sorted() == Array(0..<1000) && first != second)
  }
}
