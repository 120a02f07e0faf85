import Foundation
import GlowImages
import GlowKernels

/// Logistic regression from the pixels of an image to each of its yes-or-no attributes: an observer from outside
/// of the model that tells whether a changed image has an attribute.
///
/// P(a_k = 1 | x) = sigmoid(x·w_k + b_k), with x the pixels less their mean over the images, in units of 128
/// levels.
public struct AttributeProbe: Sendable {
  public let names: [String]
  private let mean: [Float]
  /// w_k, one after the other.
  private let weights: [[Float]]
  private let bias: [Float]

  /// Fits the probe: −ln P, averaged over the images, plus ½·penalty·|w|², by Adam (Kingma & Ba 2015) over batches
  /// of images, with steps that fall to zero.
  ///
  /// - Parameters:
  ///   - dataset: images with attributes, at least one; they are held in memory as Float.
  ///   - seed: of the order of the images.
  /// - Throws: `FileError` of an image that cannot be read.
  public init(_ dataset: any Dataset, epochs: Int = 60, penalty: Float = 1e-4, seed: UInt64 = 0) throws {
    let attributes = DatasetAttributes(dataset)
    precondition(!attributes.names.isEmpty && dataset.count > 0)
    names = attributes.names
    let images = try (0..<dataset.count).map { try dataset.image($0).pixels }
    mean = (0..<dataset.shape.count).map { pixel in
      Float(images.reduce(0) { $0 + Int($1[pixel]) }) / Float(images.count) / 128
    }
    let fit = LogisticFit(
      inputs: images.map { [mean] in Self.centred($0, mean) }, truths: images.indices.map(attributes.values),
      penalty: penalty)
    fit.run(epochs: epochs, seed: seed)
    (weights, bias) = (fit.weights, fit.bias)
  }

  /// Which attributes an image seems to have.
  public func read(_ image: ByteImage) -> [Bool] {
    let input = Self.centred(image.pixels, mean)
    return zip(weights, bias).map { weights, bias in
      zip(input, weights).reduce(bias) { $0 + $1.0 * $1.1 } > 0
    }
  }

  /// The share of images whose attribute is told rightly, for each attribute.
  ///
  /// - Throws: `FileError` of an image that cannot be read.
  public func accuracy(on dataset: any Dataset) throws -> [Double] {
    let attributes = DatasetAttributes(dataset)
    precondition(attributes.names == names, "a probe reads the attributes that it was fitted to")
    var right = [Int](repeating: 0, count: names.count)
    for index in 0..<dataset.count {
      let readings = zip(read(try dataset.image(index)), attributes.values(index))
      for (attribute, (reading, truth)) in readings.enumerated() where reading == truth {
        right[attribute] += 1
      }
    }
    return right.map { Double($0) / Double(dataset.count) }
  }

  private static func centred(_ pixels: [UInt8], _ mean: [Float]) -> [Float] {
    zip(pixels, mean).map { Float($0) / 128 - $1 }
  }
}

/// Logistic regressions of several outputs on the same inputs.
private final class LogisticFit {
  private let inputs: Slab<Float>
  private let truths: [[Bool]]
  private let (rows, columns, outputs): (Int, Int, Int)
  private let penalty: Float
  /// [columns + 1, outputs]; the last row, which is of a constant input, is the bias.
  private let values: Slab<Float>
  private let gradient: Slab<Float>
  private let (firstMoment, secondMoment): (Slab<Float>, Slab<Float>)
  private var updates = 0
  private static let batch = 256

  init(inputs: [[Float]], truths: [[Bool]], penalty: Float) {
    (rows, columns, outputs) = (inputs.count, inputs[0].count + 1, truths[0].count)
    self.inputs = Slab(count: rows * columns)
    for (row, values) in inputs.enumerated() {
      for (column, value) in (values + [1]).enumerated() { self.inputs.base[row * columns + column] = value }
    }
    self.truths = truths
    self.penalty = penalty
    values = Slab(count: columns * outputs)
    gradient = Slab(count: columns * outputs)
    firstMoment = Slab(count: columns * outputs)
    secondMoment = Slab(count: columns * outputs)
  }

  var weights: [[Float]] {
    (0..<outputs).map { output in (0..<columns - 1).map { values.base[$0 * outputs + output] } }
  }

  var bias: [Float] { (0..<outputs).map { values.base[(columns - 1) * outputs + $0] } }

  func run(epochs: Int, seed: UInt64) {
    let batch = min(Self.batch, rows)
    let steps = epochs * (rows / batch)
    let chosen = Slab<Float>(count: batch * columns)
    let errors = Slab<Float>(count: batch * outputs)
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
    multiply(x, Matrix(values.base, rows: columns, columns: outputs), into: e)
    for (item, row) in order.enumerated() {
      for output in 0..<outputs {
        let probability = 1 / (1 + exp(-errors.base[item * outputs + output]))
        errors.base[item * outputs + output] =
          (probability - (truths[row][output] ? 1 : 0)) / Float(order.count)
      }
    }
    // [columns × batch]·[batch × outputs] → [columns × outputs]
    multiply(x.transposed, e, into: Matrix(gradient.base, rows: columns, columns: outputs))
    for index in 0..<(columns - 1) * outputs { gradient.base[index] += penalty * values.base[index] }
  }

  private func update(step: Float) {
    let (beta1, beta2): (Float, Float) = (0.9, 0.999)
    updates += 1
    let first = 1 / (1 - pow(beta1, Float(updates)))
    let second = 1 / (1 - pow(beta2, Float(updates)))
    for index in 0..<values.count {
      let slope = gradient.base[index]
      firstMoment.base[index] = beta1 * firstMoment.base[index] + (1 - beta1) * slope
      secondMoment.base[index] = beta2 * secondMoment.base[index] + (1 - beta2) * slope * slope
      values.base[index] -=
        step * first * firstMoment.base[index] / ((second * secondMoment.base[index]).squareRoot() + 1e-8)
    }
  }
}
