import GlowKernels
import Testing

@testable import GlowFlow

@Suite("Means and variances, against two loops")
struct MomentsTests {
  @Test("of positions that come in several tiles", arguments: [1, 3, 12])
  func tiles(channels: Int) {
    func check<S: Scalar>(_: S.Type) {
      let rows = [5, 1, 0, 20]
      var values = [S](repeating: 0, count: rows.reduce(0, +) * channels)
      values.withUnsafeMutableBufferPointer { Philox(seed: 3, purpose: .latents).fillNormal($0) }
      // Each channel has a mean and a deviation of its own.
      for index in values.indices {
        values[index] = values[index] * S(1 + index % channels) + S(10 * (index % channels))
      }
      var start = 0
      let parts = rows.map { rows in
        defer { start += rows }
        var part = Moments(channels: channels)
        values.withUnsafeBufferPointer { part.add($0.baseAddress! + start * channels, rows: rows) }
        return part
      }
      let found = Moments.total(parts)
      #expect(found.count == 26 && parts.map(\.count) == rows)
      for channel in 0..<channels {
        let own = stride(from: channel, to: values.count, by: channels).map { Double(values[$0]) }
        let mean = own.reduce(0, +) / 26
        let variance = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 26
        #expect(abs(found.mean(channel) - mean) < 1e-12 * max(1, abs(mean)))
        #expect(abs(found.variance(channel) - variance) < 1e-10 * variance)
      }
    }
    check(Float.self)
    check(Double.self)
  }

  @Test("the variance of equal values is zero or next to it, never less")
  func constant() {
    for number in 1...200 {
      var moments = Moments(channels: 1)
      moments.add([Double](repeating: Double(number) / 7, count: 3), rows: 3)
      #expect((0..<1e-10).contains(moments.variance(0)))
    }
  }
}
