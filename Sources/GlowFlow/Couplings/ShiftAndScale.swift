import GlowKernels

/// What the affine couplings do, whatever makes their scale of the conditioner's outputs.
struct ShiftAndScale<S: Scalar> {
  /// [positions, channels], as the conditioner puts them out.
  let shift: UnsafeMutablePointer<S>
  /// [positions, channels]
  let scale: UnsafeMutablePointer<S>

  /// The two planes of outputs for z2.
  init(_ outputs: UnsafeMutablePointer<S>, of z2: Matrix<S>) {
    shift = outputs
    scale = outputs + z2.rows * z2.columns
  }

  /// z2 ← (z2 + shift)·scale
  @inline(__always)
  func apply(to z2: Matrix<S>) {
    forEachPosition(z2) { z, t, s in
      for channel in 0..<z2.columns { z[channel] = (z[channel] + t[channel]) * s[channel] }
    }
  }

  /// z2 ← z2/scale − shift
  @inline(__always)
  func undo(_ z2: Matrix<S>) {
    forEachPosition(z2) { z, t, s in
      for channel in 0..<z2.columns { z[channel] = z[channel] / s[channel] - t[channel] }
    }
  }

  @inline(__always)
  private func forEachPosition(
    _ z2: Matrix<S>,
    _ body: (UnsafeMutablePointer<S>, UnsafeMutablePointer<S>, UnsafeMutablePointer<S>) -> Void
  ) {
    for position in 0..<z2.rows {
      body(z2[position], shift + position * z2.columns, scale + position * z2.columns)
    }
  }
}
