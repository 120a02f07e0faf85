import Foundation
import GlowKernels

/// The coupling proper (section 3.3 of Kingma & Dhariwal 2018), given the outputs of its network on z1.
///
/// Affine: z2 ← (z2 + shift)·scale with scale = sigmoid(h + 2); log-determinant Σ ln scale.
/// Additive: z2 ← z2 + shift; log-determinant 0.
///
/// The scale has a floor of sigmoid(−69) ≈ 10⁻³⁰, below which h has no more effect: the sigmoid of a smaller
/// argument soon is no normal Float, and the division by it in the inverse no finite one. Forward, inverse,
/// log-determinant and gradient (0 at the floor) all follow the function with its floor.
///
/// `half` is the pointer to the first z2 value of a run of positions that lie `stride` apart; shift, scale and
/// their gradients are planes [positions, channels].
struct Coupling: Sendable {
  let kind: CouplingKind
  /// Channels of z2.
  let channels: Int

  var isAffine: Bool { kind == .affine }

  /// Outputs of the network per position: shift, and for the affine coupling the scale's argument.
  var networkChannels: Int { isAffine ? 2 * channels : channels }

  /// The least argument of the sigmoid.
  static let leastArgument = -69.0

  /// The scale at its floor, as `scale(_:count:)` computes it.
  private static func floor<S: Scalar>(_: S.Type) -> S {
    S.sigmoid(SIMD8(repeating: S(leastArgument))).value[0]
  }

  /// scale ← sigmoid(max(scale + 2, −69)) over a plane of `count` values; returns Σ ln scale.
  ///
  /// The logarithms of 64 factors 1 + e^−|x|, each between 1 and 2, are taken at once as that of their product.
  static func scale<S: Scalar>(_ plane: UnsafeMutablePointer<S>, count: Int) -> Double {
    var logDeterminant = 0.0
    var negative = SIMD8<S>(repeating: 0)
    var product = SIMD8<S>(repeating: 1)
    var factors = 0
    func flush() {
      for lane in 0..<8 { logDeterminant -= Double(negative[lane]) + log(Double(product[lane])) }
      negative = SIMD8(repeating: 0)
      product = SIMD8(repeating: 1)
      factors = 0
    }
    var index = 0
    while index < count {
      // A last vector that is not full reads 2 + 88 where there is nothing, whose sigmoid is exactly 1.
      var x = SIMD8<S>(repeating: 88)
      let isWhole = index + 8 <= count
      if isWhole {
        x = plane.vector(index)
      } else {
        for lane in 0..<(count - index) { x[lane] = plane[index + lane] }
      }
      x = S.maximum(x + 2, S(leastArgument))
      let (value, onePlusExponential) = S.sigmoid(x)
      negative += S.positivePart(SIMD8(repeating: 0) - x)
      product *= onePlusExponential
      factors += 1
      if factors == 64 { flush() }
      if isWhole {
        plane.store(value, index)
      } else {
        for lane in 0..<(count - index) { plane[index + lane] = value[lane] }
      }
      index += 8
    }
    flush()
    return logDeterminant
  }

  func forward<S: Scalar>(
    _ half: UnsafeMutablePointer<S>, stride: Int, positions: Int, shift: UnsafePointer<S>,
    scale: UnsafePointer<S>
  ) {
    for position in 0..<positions {
      let z = half + position * stride
      let t = shift + position * channels
      if isAffine {
        let s = scale + position * channels
        for channel in 0..<channels { z[channel] = (z[channel] + t[channel]) * s[channel] }
      } else {
        for channel in 0..<channels { z[channel] += t[channel] }
      }
    }
  }

  func inverse<S: Scalar>(
    _ half: UnsafeMutablePointer<S>, stride: Int, positions: Int, shift: UnsafePointer<S>,
    scale: UnsafePointer<S>
  ) {
    for position in 0..<positions {
      let z = half + position * stride
      let t = shift + position * channels
      if isAffine {
        let s = scale + position * channels
        for channel in 0..<channels { z[channel] = z[channel] / s[channel] - t[channel] }
      } else {
        for channel in 0..<channels { z[channel] -= t[channel] }
      }
    }
  }

  /// dz2 in place of dy2, and the gradient at the network's outputs, [positions, networkChannels]:
  /// dz2 = dshift = dy2·scale and, because scale′ = scale·(1 − scale) and z2 + shift = y2/scale,
  /// dh = (dy2·y2 + dlogdet)·(1 − scale), or 0 where the scale is at its floor.
  func backward<S: Scalar>(
    output half: UnsafePointer<S>, gradient: UnsafeMutablePointer<S>, stride: Int, positions: Int,
    scale: UnsafePointer<S>, logDeterminantGradient: S, networkGradient: UnsafeMutablePointer<S>
  ) {
    let floor = Coupling.floor(S.self)
    for position in 0..<positions {
      let dy = gradient + position * stride
      let dh = networkGradient + position * networkChannels
      if isAffine {
        let y = half + position * stride
        let s = scale + position * channels
        for channel in 0..<channels {
          let dz = dy[channel] * s[channel]
          let slope = s[channel] > floor ? 1 - s[channel] : 0
          dh[channels + channel] = (dy[channel] * y[channel] + logDeterminantGradient) * slope
          dh[channel] = dz
          dy[channel] = dz
        }
      } else {
        for channel in 0..<channels { dh[channel] = dy[channel] }
      }
    }
  }
}
