import Foundation
import GlowKernels

/// Logistic regressions of several outputs on the same inputs.
final class LogisticFit {
  private let inputs: Slab<Float>
  private let truths: [[Bool]]
  private let (rows, columns, outputs): (Int, Int, Int)
  private let penalty: Float
  /// [columns + 1, outputs]; the last row, which is of a constant input, is the bias.
  private let values: Slab<Float>
  private let gradient: Slab<Float>
  private let (firstMoment, secondMoment): (Slab<Float>, Slab<Float>)
  /// Of packed products, which come to the same on every processor that has them.
  private let (panels, scratch): (Slab<Float>?, Slab<Float>?)
  private var updates = 0
  private static let batch = 256

  /// - Throws: `MemoryError`.
  init(inputs: [[Float]], truths: [[Bool]], penalty: Float, _ kernels: ProductKernels = .standard) throws {
    (rows, columns, outputs) = (inputs.count, inputs[0].count + 1, truths[0].count)
    self.inputs = try Slab(count: rows * columns)
    for (row, values) in inputs.enumerated() {
      for (column, value) in (values + [1]).enumerated() { self.inputs.base[row * columns + column] = value }
    }
    self.truths = truths
    self.penalty = penalty
    values = try Slab(count: columns * outputs)
    gradient = try Slab(count: columns * outputs)
    let isPacked = kernels == .packed
    panels = isPacked ? try Slab(count: Operand<Float>.panelCount(rows: columns, columns: outputs)) : nil
    scratch = isPacked ? try Slab(count: gradientScratchCount(columns: outputs)) : nil
    firstMoment = try Slab(count: columns * outputs)
    secondMoment = try Slab(count: columns * outputs)
  }

  var weights: [[Float]] {
    (0..<outputs).map { output in (0..<columns - 1).map { values.base[$0 * outputs + output] } }
  }

  var bias: [Float] { (0..<outputs).map { values.base[(columns - 1) * outputs + $0] } }

  /// - Throws: `MemoryError`.
  func run(epochs: Int, seed: UInt64) throws {
    let batch = min(Self.batch, rows)
    let steps = epochs * (rows / batch)
    let chosen = try Slab<Float>(count: batch * columns)
    let errors = try Slab<Float>(count: batch * outputs)
    for epoch in 0..<epochs {
      let order = Philox(seed: seed, purpose: .order, stream: UInt64(epoch)).permutation(rows)
      for start in stride(from: 0, through: rows - batch, by: batch) {
        for (item, row) in order[start..<start + batch].enumerated() {
          (chosen.base + item * columns).update(from: inputs.base + row * columns, count: columns)
        }
        setGradient(Array(order[start..<start + batch]), chosen, errors)
        update(step: 3e-3 * (1 - Float(updates) / Float(steps)))
      }
    }
  }

  private func setGradient(_ order: [Int], _ chosen: Slab<Float>, _ errors: Slab<Float>) {
    let x = Matrix(chosen.base, rows: order.count, columns: columns)
    let e = Matrix(errors.base, rows: order.count, columns: outputs)
    // [batch × columns]·[columns × outputs] → [batch × outputs]
    let weights = Matrix(values.base, rows: columns, columns: outputs)
    if let panels { Float.pack(weights, into: panels.base) }
    multiply(x, Operand(weights, panels: panels.map { UnsafePointer($0.base) }), into: e)
    for (item, row) in order.enumerated() {
      for output in 0..<outputs {
        let probability = Float(1 / (1 + Elementary.exp(-Double(errors.base[item * outputs + output]))))
        errors.base[item * outputs + output] =
          (probability - (truths[row][output] ? 1 : 0)) / Float(order.count)
      }
    }
    // [columns × batch]·[batch × outputs] → [columns × outputs]
    multiplyTransposed(
      x, e, into: Matrix(gradient.base, rows: columns, columns: outputs), accumulate: false,
      scratch: scratch?.base)
    for index in 0..<(columns - 1) * outputs { gradient.base[index] += penalty * values.base[index] }
  }

  private func update(step: Float) {
    let (beta1, beta2): (Float, Float) = (0.9, 0.999)
    updates += 1
    let first = 1 / (1 - Float(Elementary.power(0.9, updates)))
    let second = 1 / (1 - Float(Elementary.power(0.999, updates)))
    for index in 0..<values.count {
      let slope = gradient.base[index]
      firstMoment.base[index] = beta1 * firstMoment.base[index] + (1 - beta1) * slope
      secondMoment.base[index] = beta2 * secondMoment.base[index] + (1 - beta2) * slope * slope
      values.base[index] -=
        step * first * firstMoment.base[index] / ((second * secondMoment.base[index]).squareRoot() + 1e-8)
    }
  }
}
