import GlowKernels
import Testing

/// Normal numbers, the same for the same stream.
func random<S: Scalar>(_ count: Int, _ stream: UInt64, _: S.Type = S.self) -> [S] {
  var values = [S](repeating: 0, count: count)
  values.withUnsafeMutableBufferPointer { Philox(seed: 9, purpose: .latents, stream: stream).fillNormal($0) }
  return values
}

/// Expects equal numbers, a NaN where a NaN is expected, and tells the first that differs.
func expectSame<S: Scalar>(
  _ found: [S], _ expected: [S], sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(found.count == expected.count, sourceLocation: sourceLocation)
  let differing = zip(found, expected).enumerated().first { _, pair in
    pair.0 != pair.1 && !(pair.0.isNaN && pair.1.isNaN)
  }
  #expect(differing == nil, sourceLocation: sourceLocation)
}
