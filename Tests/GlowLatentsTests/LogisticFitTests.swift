import Foundation
import GlowKernels
import Testing

@testable import GlowLatents

@Suite("Logistic regression, against slow ones in Double")
struct LogisticFitTests {
  /// Inputs of three columns, and two outputs that lean on different ones; neither can be told for certain.
  private func data(_ rows: Int) -> (inputs: [[Float]], truths: [[Bool]]) {
    var numbers = [Float](repeating: 0, count: rows * 5)
    numbers.withUnsafeMutableBufferPointer { Philox(seed: 7, purpose: .latents).fillNormal($0) }
    let rows = (0..<rows).map { Array(numbers[5 * $0..<5 * $0 + 5]) }
    return (
      rows.map { Array($0[..<3]) },
      rows.map { [2 * $0[0] - $0[1] + $0[3] > 0.5, $0[2] + 2 * $0[4] > -1] }
    )
  }

  private func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

  /// Mean over `rows` of −ln P, plus ½·penalty·|w|², differentiated: the last is the bias's.
  private func gradient(
    _ values: [Double], _ inputs: [[Float]], _ truths: [Bool], _ rows: some Sequence<Int>, _ penalty: Double
  ) -> [Double] {
    var result = [Double](repeating: 0, count: values.count)
    var count = 0.0
    for row in rows {
      let x = inputs[row].map { Double($0) } + [1]
      let error = sigmoid(zip(x, values).reduce(0) { $0 + $1.0 * $1.1 }) - (truths[row] ? 1 : 0)
      for column in x.indices { result[column] += error * x[column] }
      count += 1
    }
    return result.enumerated().map { $1 / count + ($0 < values.count - 1 ? penalty * values[$0] : 0) }
  }

  private func expectEqual(_ fit: LogisticFit, _ output: Int, _ expected: [Double], _ tolerance: Double) {
    for (found, expected) in zip(fit.weights[output] + [fit.bias[output]], expected) {
      #expect(abs(Double(found) - expected) < tolerance, "output \(output): \(found), expected \(expected)")
    }
  }

  @Test(
    "every update is Adam's on a batch of the order, with a step that falls to zero", arguments: [40, 600])
  func updates(rows: Int) throws {
    let (inputs, truths) = data(rows)
    let fit = try LogisticFit(inputs: inputs, truths: truths, penalty: 0.05)
    try fit.run(epochs: 10, seed: 3)
    let batch = min(256, rows)
    let steps = 10 * (rows / batch)
    for output in 0..<2 {
      var values = [Double](repeating: 0, count: 4)
      var (m, v) = (values, values)
      var step = 0
      for epoch in 0..<10 {
        let order = Philox(seed: 3, purpose: .order, stream: UInt64(epoch)).permutation(rows)
        for start in stride(from: 0, through: rows - batch, by: batch) {
          let slope = gradient(values, inputs, truths.map { $0[output] }, order[start..<start + batch], 0.05)
          let rate = 3e-3 * (1 - Double(step) / Double(steps))
          step += 1
          for index in 0..<4 {
            m[index] = 0.9 * m[index] + 0.1 * slope[index]
            v[index] = 0.999 * v[index] + 0.001 * slope[index] * slope[index]
            let first = m[index] / (1 - pow(0.9, Double(step)))
            let second = v[index] / (1 - pow(0.999, Double(step)))
            values[index] -= rate * first / (second.squareRoot() + 1e-8)
          }
        }
      }
      expectEqual(fit, output, values, 1e-6)
    }
  }

  @Test("many updates end at the minimum", arguments: [0.02, 0.2])
  func minimum(penalty: Double) throws {
    let (inputs, truths) = data(200)
    let fit = try LogisticFit(inputs: inputs, truths: truths, penalty: Float(penalty))
    try fit.run(epochs: 6000, seed: 0)
    for output in 0..<2 {
      var values = [Double](repeating: 0, count: 4)
      for _ in 0..<4000 {
        let slope = gradient(values, inputs, truths.map { $0[output] }, 0..<200, penalty)
        for index in 0..<4 { values[index] -= slope[index] }
      }
      expectEqual(fit, output, values, 2e-3)
    }
  }

  @Test("the bias is not held back: inputs that tell nothing leave the odds of the truths")
  func bias() throws {
    let fit = try LogisticFit(
      inputs: [[Float]](repeating: [0], count: 100), truths: (0..<100).map { [$0 < 80] }, penalty: 10)
    try fit.run(epochs: 3000, seed: 0)
    #expect(fit.weights == [[0]] && abs(fit.bias[0] - log(Float(4))) < 1e-3)
  }
}
