import Foundation
import GlowKernels
import Testing

@testable import GlowFlow

@Suite("The bounded scale of the exponential coupling")
struct ExponentialTests {
  /// Scale and log-determinant of one value of z2, by the transform.
  private func transformed<S: Scalar>(_ z: S, argument: S) -> (z: S, logDeterminant: Double, kept: S) {
    let plane = OnePlane(z, [0, argument])
    let kept = OnePlane(S(0), [0])
    let logDeterminant = ExponentialTransform().forward(plane.z, plane.outputs, kept: kept.outputs)
    return (plane.z[0][0], logDeterminant, kept.outputs[0][0][0])
  }

  private func check<S: Scalar>(_: S.Type, tolerance: Double) {
    for argument in [-1e30, -200, -3, -0.5, -1e-3, 0, 1e-3, 0.5, 3, 200, 1e30] {
      let t = tanh(argument / 2)
      let found = transformed(S(3), argument: S(argument))
      #expect(abs(found.logDeterminant - 2 * t) < tolerance, "h = \(argument)")
      #expect(abs(log(Double(found.z) / 3) - 2 * t) < tolerance, "h = \(argument)")
      #expect(abs(Double(found.kept) - t) < tolerance, "h = \(argument)")
      let plane = OnePlane(found.z, [0, S(argument)])
      ExponentialTransform().inverse(plane.z, plane.outputs)
      #expect(abs(Double(plane.z[0][0]) - 3) < 3 * tolerance, "h = \(argument)")
    }
    #expect(transformed(S(3), argument: 0) == (3, 0, 0))
  }

  @Test(
    "scale, log-determinant and what is kept are those of the function, in Float and in Double, to both ends")
  func values() {
    check(Float.self, tolerance: 1e-6)
    check(Double.self, tolerance: 1e-14)
  }

  @Test("the gradient is that of the function, at the ends too")
  func gradient() {
    let (z, shift, dy, weight) = (1.5, 0.25, 0.7, 0.3)
    func objective(_ h: Double) -> Double {
      let plane = OnePlane(z, [shift, h])
      let logDeterminant = ExponentialTransform().forward(plane.z, plane.outputs, kept: nil)
      return dy * plane.z[0][0] + weight * logDeterminant
    }
    for h in [-200.0, -5, -2, -0.1, 0, 0.3, 4, 200] {
      let (plane, kept) = (OnePlane(z, [shift, h]), OnePlane(0.0, [0]))
      _ = ExponentialTransform().forward(plane.z, plane.outputs, kept: kept.outputs)
      let gradients = OnePlane(dy, [0, 0])
      ExponentialTransform().backward(
        TransformSite(
          output: plane.z, gradient: gradients.z, kept: kept.outputs, logDeterminantGradient: weight,
          outputGradient: Matrix(gradients.outputs[0].base, rows: 1, columns: 2)))
      let expected = (objective(h + 1e-4) - objective(h - 1e-4)) / 2e-4
      #expect(abs(gradients.outputs[1][0][0] - expected) < 1e-7, "h = \(h)")
      #expect(abs(gradients.z[0][0] - dy * exp(2 * tanh(h / 2))) < 1e-12, "h = \(h)")
      #expect(gradients.outputs[0][0][0] == gradients.z[0][0])
    }
  }
}

/// Memory for one value of z2 and for what goes with it.
final class OnePlane<S: Scalar> {
  private let slab: Slab<S>

  init(_ z: S, _ outputs: [S]) {
    slab = try! Slab(count: 1 + outputs.count)
    slab.base[0] = z
    for (index, value) in outputs.enumerated() { slab.base[1 + index] = value }
  }

  var z: Matrix<S> { Matrix(slab.base, rows: 1, columns: 1) }
  var outputs: Planes<S> { Planes(slab.base + 1, like: z) }
}
