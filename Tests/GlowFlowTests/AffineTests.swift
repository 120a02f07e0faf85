import Foundation
import GlowKernels
import Testing

@testable import GlowFlow

@Suite("The scale of the affine coupling near zero")
struct FloorTests {
  private let arguments = [-1e30, -200, -88, -71.5, -71, -70.5, -60, -3, 0, 30, 200]

  /// Scales of the arguments, and the logarithm of each as the log-determinant has it.
  private func scales<S: Scalar>(_: S.Type) -> (scales: [S], logarithms: [Double]) {
    var scales = arguments.map { S($0) }
    _ = AffineTransform.scale(&scales, count: scales.count)
    let logarithms = arguments.map { argument -> Double in
      var one = S(argument)
      return AffineTransform.scale(&one, count: 1)
    }
    return (scales, logarithms)
  }

  @Test("in Float and in Double it stays above zero, and the log-determinant is that of the scale itself")
  func positive() {
    func check<S: Scalar>(_: S.Type, tolerance: Double) {
      let (scales, logarithms) = self.scales(S.self)
      for (index, argument) in arguments.enumerated() {
        let expected = max(argument + 2, -69)
        #expect(scales[index] > S(1e-31), "h = \(argument)")
        #expect(abs(logarithms[index] - log(Double(scales[index]))) < tolerance, "h = \(argument)")
        #expect(
          abs(log(Double(scales[index])) - (expected - log1p(exp(expected)))) < tolerance || argument > 0)
      }
      #expect(scales[0] == scales[4] && scales[4] < scales[5])
    }
    check(Float.self, tolerance: 1e-5)
    check(Double.self, tolerance: 1e-12)
  }

  /// The transform's outputs of z2, and of a shift and an argument of the scale for each value.
  private func outputs<S: Scalar>(_ shift: [S]) -> [S] { shift + arguments.map { S($0) } }

  @Test("forward and inverse are finite and undo each other at every argument")
  func inverse() {
    func check<S: Scalar>(_: S.Type, tolerance: S) {
      let shift = arguments.indices.map { S($0) - 4 }
      let before = arguments.indices.map { 3 - S($0) / 2 }
      func transformed(_ z: [S], _ body: (Matrix<S>, Planes<S>) -> Void) -> [S] {
        var (z, outputs) = (z, outputs(shift))
        z.withUnsafeMutableBufferPointer { z in
          outputs.withUnsafeMutableBufferPointer { outputs in
            let z = Matrix(z.baseAddress!, rows: 1, columns: z.count)
            body(z, Planes(outputs.baseAddress!, like: z))
          }
        }
        return z
      }
      let z = transformed(before) { _ = AffineTransform().forward($0, $1, kept: nil) }
      #expect(z.allSatisfy { $0.isFinite })
      let back = transformed(z) { AffineTransform().inverse($0, $1) }
      for (found, expected) in zip(back, before) { #expect(abs(found - expected) <= tolerance) }
      // Latents that a sampler draws, of order 1, come back as finite values too.
      let drawn = transformed(arguments.map { _ in S(4) }) { AffineTransform().inverse($0, $1) }
      #expect(drawn.allSatisfy { $0.isFinite })
    }
    check(Float.self, tolerance: 1e-5)
    check(Double.self, tolerance: 1e-13)
  }

  @Test("the gradient is that of the function with its floor")
  func gradient() {
    let (z, shift, dy, weight) = (1.5, 0.25, 0.7, 0.3)
    func objective(_ h: Double) -> Double {
      var scale = h
      let logDeterminant = AffineTransform.scale(&scale, count: 1)
      return dy * (z + shift) * scale + weight * logDeterminant
    }
    for h in [-200.0, -72, -70, -40, -2, 1] {
      var scale = h
      _ = AffineTransform.scale(&scale, count: 1)
      let (output, kept) = (OnePlane((z + shift) * scale, []), OnePlane(0.0, [scale]))
      let gradients = OnePlane(dy, [0, 0])
      AffineTransform().backward(
        TransformSite(
          output: output.z, gradient: gradients.z, kept: kept.outputs, logDeterminantGradient: weight,
          outputGradient: Matrix(gradients.outputs[0].base, rows: 1, columns: 2)))
      let expected = (objective(h + 1e-4) - objective(h - 1e-4)) / 2e-4
      let found = gradients.outputs[1][0][0]
      #expect(abs(found - expected) < 1e-8, "h = \(h): \(found), expected \(expected)")
      #expect(gradients.z[0][0] == dy * scale && gradients.outputs[0][0][0] == dy * scale)
    }
  }
}
