import GlowKernels

// What the affine couplings do, whatever makes their scale of the conditioner's outputs. z2, shift and scale are
// [positions, channels].

/// z2 ← (z2 + shift)·scale
@inline(__always)
func shiftAndScale<S: Scalar>(_ z2: Matrix<S>, _ shift: Matrix<S>, _ scale: Matrix<S>) {
  for position in 0..<z2.rows {
    let (z, t, s) = (z2[position], shift[position], scale[position])
    for channel in 0..<z2.columns { z[channel] = (z[channel] + t[channel]) * s[channel] }
  }
}

/// z2 ← z2/scale − shift
@inline(__always)
func undoShiftAndScale<S: Scalar>(_ z2: Matrix<S>, _ shift: Matrix<S>, _ scale: Matrix<S>) {
  for position in 0..<z2.rows {
    let (z, t, s) = (z2[position], shift[position], scale[position])
    for channel in 0..<z2.columns { z[channel] = z[channel] / s[channel] - t[channel] }
  }
}
