import Foundation

/// An invertible map on a batch of images, in Double, as the checks see it.
///
/// Inputs and outputs are [images, values of one image]; images do not influence each other.
package struct CheckedLayer {
  package let name: String
  package let images: Int
  /// Parameters and their gradients, or empty buffers.
  package let parameters: UnsafeMutableBufferPointer<Double>
  package let gradients: UnsafeMutableBufferPointer<Double>
  /// The entries of `parameters` that are learned.
  package let trainable: [Range<Int>]
  /// input → output and the log-determinant of each image. Must see the parameters' present values.
  package var forward: ([Double]) throws -> (output: [Double], logDeterminants: [Double])
  package var inverse: ([Double]) throws -> [Double]
  /// (input, d output, d log-determinants) → d input; adds to `gradients`.
  package var backward: ([Double], [Double], [Double]) throws -> [Double]

  /// (output, d log-determinants) → a function of the output and its gradient; by default linear. Layers whose
  /// backward starts from a density give that density's part here.
  package var upstream:
    (_ output: [Double], _ dLogDeterminants: [Double]) -> (value: Double, gradient: [Double]) =
      linearUpstream

  /// A linear function that favors no symmetry.
  package static func linearUpstream(_ output: [Double], _: [Double]) -> (value: Double, gradient: [Double]) {
    let gradient = output.indices.map { cos(1 + 0.7 * Double($0)) }
    return (zip(output, gradient).reduce(0) { $0 + $1.0 * $1.1 }, gradient)
  }

  package init(
    name: String, images: Int, parameters: UnsafeMutableBufferPointer<Double>,
    gradients: UnsafeMutableBufferPointer<Double>, trainable: [Range<Int>],
    forward: @escaping ([Double]) throws -> (output: [Double], logDeterminants: [Double]),
    inverse: @escaping ([Double]) throws -> [Double],
    backward: @escaping ([Double], [Double], [Double]) throws -> [Double]
  ) {
    self.name = name
    self.images = images
    self.parameters = parameters
    self.gradients = gradients
    self.trainable = trainable
    self.forward = forward
    self.inverse = inverse
    self.backward = backward
  }
}

/// The worst errors that `check` found, each to be compared with its tolerance.
package struct LayerReport: CustomStringConvertible {
  /// Of the parameters' gradient against central differences: the largest |found − expected| / max(|expected|, root mean
  /// square of the expected of the same parameter). Where that is next to nothing, as of a parameter without influence,
  /// 10⁻⁴ of the root mean square of all takes its place: differences are not exact.
  package var parameterGradient = 0.0
  package var inputGradient = 0.0
  /// |found − ln|det J|| / max(1, |ln|det J||) of a numerical Jacobian, the worst image.
  package var logDeterminant = 0.0
  /// Largest |inverse(forward(x)) − x|.
  package var inverseAfterForward = 0.0
  /// Largest |forward(inverse(y)) − y|.
  package var forwardAfterInverse = 0.0
  /// Largest relative difference between the gradient of two backward calls and twice that of one.
  package var accumulation = 0.0

  package static let gradientTolerance = 1e-6
  package static let logDeterminantTolerance = 1e-7
  package static let inverseTolerance = 1e-10

  package var isAccepted: Bool {
    parameterGradient <= Self.gradientTolerance && inputGradient <= Self.gradientTolerance
      && logDeterminant <= Self.logDeterminantTolerance
      && inverseAfterForward <= Self.inverseTolerance && forwardAfterInverse <= Self.inverseTolerance
      && accumulation <= 1e-12
  }

  package var description: String {
    String(
      format: "parameter gradient %.1e, input gradient %.1e, log-determinant %.1e, "
        + "inverse∘forward %.1e, forward∘inverse %.1e, accumulation %.1e",
      parameterGradient, inputGradient, logDeterminant, inverseAfterForward, forwardAfterInverse,
      accumulation)
  }
}

/// Runs every check on a layer at `input`: each gradient entry against central differences of a random linear
/// function of output and log-determinants, the log-determinant against a numerical Jacobian, both round
/// trips, and that two backward calls add up.
package func check(_ layer: CheckedLayer, at input: [Double]) throws -> LayerReport {
  var report = LayerReport()
  let (output, logDeterminants) = try layer.forward(input)

  let dLogDeterminants = logDeterminants.indices.map { 0.5 + 0.3 * Double($0) }
  let dOutput = layer.upstream(output, dLogDeterminants).gradient
  func objective(_ x: [Double]) throws -> Double {
    let (y, logDeterminants) = try layer.forward(x)
    return layer.upstream(y, dLogDeterminants).value
      + zip(logDeterminants, dLogDeterminants).reduce(0) { $0 + $1.0 * $1.1 }
  }

  layer.gradients.update(repeating: 0)
  _ = try layer.forward(input)
  let dInput = try layer.backward(input, dOutput, dLogDeterminants)
  let gradients = Array(layer.gradients)
  _ = try layer.forward(input)
  _ = try layer.backward(input, dOutput, dLogDeterminants)
  let largest = max(1e-300, gradients.map(abs).max() ?? 0)
  for (index, gradient) in gradients.enumerated() {
    report.accumulation = max(report.accumulation, abs(layer.gradients[index] - 2 * gradient) / largest)
  }

  // Parameter by parameter: the largest must not hide the others.
  let trained = layer.trainable.joined().map { gradients[$0] }
  let size = (trained.reduce(0) { $0 + $1 * $1 } / Double(max(1, trained.count))).squareRoot()
  for range in layer.trainable {
    let error = try worstError(range.map { gradients[$0] }, floor: 1e-4 * size) { entry, step in
      let index = range.lowerBound + entry
      let value = layer.parameters[index]
      defer { layer.parameters[index] = value }
      return try derivative(at: value, step: step) {
        layer.parameters[index] = $0
        return try objective(input)
      }
    }
    report.parameterGradient = max(report.parameterGradient, error)
  }
  var moved = input
  report.inputGradient = try worstError(dInput) { index, step in
    defer { moved[index] = input[index] }
    return try derivative(at: input[index], step: step) {
      moved[index] = $0
      return try objective(moved)
    }
  }

  for (image, logDeterminant) in logDeterminants.enumerated() {
    let count = input.count / layer.images
    func error(_ step: Double) throws -> Double {
      var jacobian = [Double](repeating: 0, count: count * count)
      for column in 0..<count {
        let index = image * count + column
        let derivatives = try derivatives(at: input[index], step: step) {
          moved[index] = $0
          return Array(try layer.forward(moved).output[image * count..<(image + 1) * count])
        }
        moved[index] = input[index]
        for row in 0..<count { jacobian[row * count + column] = derivatives[row] }
      }
      let numerical = Elimination(jacobian, size: count).logAbsoluteDeterminant
      return abs(logDeterminant - numerical) / max(1, abs(numerical))
    }
    // As in `worstError`: a kink may lie within the longer steps.
    var smallest = try error(1e-5)
    for step in [1e-6, 1e-7] where smallest > LayerReport.logDeterminantTolerance {
      smallest = min(smallest, try error(step))
    }
    report.logDeterminant = max(report.logDeterminant, smallest)
  }

  let back = try layer.inverse(output)
  report.inverseAfterForward = zip(back, input).map { abs($0 - $1) }.max() ?? 0
  // Any output must be reachable, not only one that came from an input of the usual size.
  let target = output.enumerated().map { $1 + 0.1 * sin(Double($0)) }
  let again = try layer.forward(try layer.inverse(target)).output
  report.forwardAfterInverse = zip(again, target).map { abs($0 - $1) }.max() ?? 0
  return report
}

/// The largest error of an entry, relative to the entry or to the root mean square of them all, whichever is larger.
///
/// `expected` is (entry, step) → its derivative by differences. The network has kinks (ReLU): where one lies within the
/// step the differences are wrong, so an entry that disagrees is differenced again with shorter steps. And a derivative that
/// is small beside the function is lost in its rounding: then with longer ones. A wrong gradient disagrees at every step.
private func worstError(
  _ found: [Double], floor: Double = 0, _ expected: (Int, Double) throws -> Double
) rethrows -> Double {
  if found.isEmpty { return 0 }
  let first = try found.indices.map { try expected($0, 1e-5) }
  let size = (first.reduce(0) { $0 + $1 * $1 } / Double(first.count)).squareRoot()
  func error(_ index: Int, _ expected: Double) -> Double {
    abs(found[index] - expected) / max(abs(expected), size, floor, 1e-300)
  }
  return try found.indices.map { index in
    var smallest = error(index, first[index])
    for step in [1e-6, 1e-7, 1e-4, 1e-3] where smallest > LayerReport.gradientTolerance {
      smallest = min(smallest, error(index, try expected(index, step)))
    }
    return smallest
  }.max()!
}

private func derivative(at x: Double, step: Double, _ f: (Double) throws -> Double) rethrows -> Double {
  try derivatives(at: x, step: step) { [try f($0)] }[0]
}

/// Central differences of fourth order.
private func derivatives(
  at x: Double, step: Double, _ f: (Double) throws -> [Double]
) rethrows -> [Double] {
  let h = step * max(1, abs(x))
  let (a, b, c, d) = (try f(x - 2 * h), try f(x - h), try f(x + h), try f(x + 2 * h))
  return a.indices.map { (a[$0] - 8 * b[$0] + 8 * c[$0] - d[$0]) / (12 * h) }
}
