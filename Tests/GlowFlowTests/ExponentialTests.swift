import Foundation
import GlowKernels
import Testing

@testable import GlowFlow

@Suite("The bounded scale of the exponential coupling")
struct ExponentialTests {
  /// Scale and log-determinant of one value of z2, by the transform.
  private func transformed<S: Scalar>(_ z: S, argument: S) -> (z: S, logDeterminant: Double, kept: S) {
    var (z, kept) = (z, S(0))
    var outputs = [S(0), argument]
    let logDeterminant = withUnsafeMutablePointer(to: &z) { z in
      ExponentialTransform().forward(Matrix(z, rows: 1, columns: 1), &outputs, kept: &kept)
    }
    return (z, logDeterminant, kept)
  }

  private func check<S: Scalar>(_: S.Type, tolerance: Double) {
    for argument in [-1e30, -200, -3, -0.5, -1e-3, 0, 1e-3, 0.5, 3, 200, 1e30] {
      let t = tanh(argument / 2)
      let found = transformed(S(3), argument: S(argument))
      #expect(abs(found.logDeterminant - 2 * t) < tolerance, "h = \(argument)")
      #expect(abs(log(Double(found.z) / 3) - 2 * t) < tolerance, "h = \(argument)")
      #expect(abs(Double(found.kept) - t) < tolerance, "h = \(argument)")
      var (z, outputs) = (found.z, [S(0), S(argument)])
      withUnsafeMutablePointer(to: &z) { z in
        ExponentialTransform().inverse(Matrix(z, rows: 1, columns: 1), &outputs)
      }
      #expect(abs(Double(z) - 3) < 3 * tolerance, "h = \(argument)")
    }
    #expect(transformed(S(3), argument: 0) == (3, 0, 0))
  }

  @Test(
    "scale, log-determinant and what is kept are those of the function, in Float and in Double, to both ends")
  func values() {
    check(Float.self, tolerance: 1e-6)
    check(Double.self, tolerance: 1e-14)
  }
}
