import Foundation
import GlowKernels

/// The original's zero-initialized linear layer: y = (x·W + b)·exp(3·logs), x [in] and y [out].
///
/// As in `Convolution`, the scale is folded into weight and bias, which stand together as [in + 1, out], the
/// bias last.
struct LinearLayer: Sendable {
  let inCount: Int
  let outCount: Int
  /// [in, out]
  let weight: Int
  /// [out]
  let bias: Int
  /// [out]
  let logs: Int
  /// [in + 1, out]
  let folded: Int

  init(
    inCount: Int, outCount: Int, name: String, in list: inout ParameterList,
    folded reservation: inout Reservation
  ) {
    self.inCount = inCount
    self.outCount = outCount
    weight = list.add("\(name).weight", [inCount, outCount])
    bias = list.add("\(name).bias", [outCount])
    logs = list.add("\(name).logs", [outCount])
    folded = reservation.reserve((inCount + 1) * outCount)
  }

  func fold<S: Scalar>(_ values: UnsafePointer<S>, into target: UnsafeMutablePointer<S>) {
    for output in 0..<outCount {
      let scale = S(exp(ActNorm.logsFactor * Double(values[logs + output])))
      for input in 0...inCount {
        let stored = input < inCount ? weight + input * outCount : bias
        target[folded + input * outCount + output] = values[stored + output] * scale
      }
    }
  }

  /// dW = s·dW′, db = s·db′ and d logs = 3·Σ d′·folded, as in `Convolution.foldBackward`.
  func foldBackward<S: Scalar>(
    folded source: UnsafePointer<S>, foldedGradient: UnsafePointer<S>, values: UnsafePointer<S>,
    into gradients: UnsafeMutablePointer<S>
  ) {
    for output in 0..<outCount {
      let scale = S(exp(ActNorm.logsFactor * Double(values[logs + output])))
      for input in 0...inCount {
        let stored = input < inCount ? weight + input * outCount : bias
        let index = folded + input * outCount + output
        gradients[stored + output] += foldedGradient[index] * scale
        gradients[logs + output] += S(ActNorm.logsFactor) * foldedGradient[index] * source[index]
      }
    }
  }

  /// The folded weight, [in, out].
  func weightView<S: Scalar>(_ source: UnsafeMutablePointer<S>) -> Matrix<S> {
    Matrix(source + folded, rows: inCount, columns: outCount)
  }

  /// The folded bias, [out].
  func biasPointer<S: Scalar>(_ source: UnsafeMutablePointer<S>) -> UnsafeMutablePointer<S> {
    source + folded + inCount * outCount
  }
}
