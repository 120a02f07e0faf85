import GlowKernels

/// Normal numbers, the same for the same stream.
func random<S: Scalar>(_ count: Int, _ stream: UInt64, _: S.Type = S.self) -> [S] {
  var values = [S](repeating: 0, count: count)
  values.withUnsafeMutableBufferPointer { Philox(seed: 9, purpose: .latents, stream: stream).fillNormal($0) }
  return values
}

/// Whether the numbers are the same, a NaN being the same as a NaN.
func areSame<S: Scalar>(_ a: [S], _ b: [S]) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }
}
