import Foundation
import GlowFlow

/// The tensors of rosinality's PyTorch code: actnorm stores its scale itself; the hidden layers have biases and no
/// actnorm; the last filter of a network is padded with ones; what comes first in a network's output is the
/// log-scale of a coupling and the mean of a prior, in halves; the 1×1 convolution multiplies columns of
/// channels, and is a matrix or, in a file whose step has factors, P·L·(U + diag(sign·exp(log s))).
struct RosinalityLayout {
  let configuration: GlowConfiguration
  /// Of the file to read; nil to write.
  let shapes: ShapeTable?

  init(configuration: GlowConfiguration, shapes: ShapeTable?) throws {
    if configuration.isConditional {
      throw ConfigurationError("class-conditional models cannot be read from or written as rosinality's")
    }
    self.configuration = configuration
    self.shapes = shapes
  }

  static func detect(_ shapes: ShapeTable, _ configuration: inout GlowConfiguration) throws {
    configuration.levels = (shapes.numbers("blocks.", ".flows.0.actnorm.loc").max() ?? -1) + 1
    configuration.depth = (shapes.numbers("blocks.0.flows.", ".actnorm.loc").max() ?? -1) + 1
    let first = "blocks.0.flows.0"
    let last = "\(first).coupling.net.4.conv.weight"
    try shapes.setFirstStep(
      &configuration, channels: shapes.length("\(first).actnorm.loc", axis: 1),
      width: shapes.length("\(first).coupling.net.0.weight", axis: 0),
      outputs: shapes.length(last, axis: 0), last: last)
  }

  var relations: [Relation] {
    (0..<configuration.levels).flatMap { level in
      (0..<configuration.depth).flatMap { stepRelations(level, $0) } + priorRelations(level)
    }
  }

  private func stepRelations(_ level: Int, _ step: Int) -> [Relation] {
    let c = configuration.channels(level)
    let width = configuration.width
    let outputs = configuration.networkOutputs(level)
    let name = "blocks.\(level).flows.\(step)"
    let ours = "level\(level).step\(step)"
    let net = "\(name).coupling.net"
    let order =
      configuration.coupling == .affine
      ? GlowConfiguration.halves(outputs, isSwapped: true) : Array(0..<outputs)
    return [
      .constant(StoredTensor(name: "\(name).actnorm.initialized", shape: [1], type: .uint8), 1),
      .same(StoredTensor(name: "\(name).actnorm.loc", shape: [1, c, 1, 1]), "\(ours).actnorm.bias"),
      mixing(name, ours, channels: c),
      .filter(
        "\(net).0.weight", "\(ours).coupling.conv1.weight", inChannels: c / 2, order: Array(0..<width),
        padding: 0),
      .same(StoredTensor(name: "\(net).0.bias", shape: [width]), "\(ours).coupling.actnorm1.bias"),
      .zero("\(ours).coupling.actnorm1.logs", count: width),
      .transposed(
        StoredTensor(name: "\(net).2.weight", shape: [width, width, 1, 1]), "\(ours).coupling.conv2.weight",
        rows: width, columns: width),
      .same(StoredTensor(name: "\(net).2.bias", shape: [width]), "\(ours).coupling.actnorm2.bias"),
      .zero("\(ours).coupling.actnorm2.logs", count: width),
      .filter(
        "\(net).4.conv.weight", "\(ours).coupling.conv3.weight", inChannels: width, order: order, padding: 1),
    ] + biasAndLogs("\(net).4", "\(ours).coupling.conv3", order: order)
  }

  private func biasAndLogs(_ name: String, _ ours: String, order: [Int]) -> [Relation] {
    [
      .channels(
        StoredTensor(name: "\(name).conv.bias", shape: [order.count]), "\(ours).bias", order: order),
      .channels(
        StoredTensor(name: "\(name).scale", shape: [1, order.count, 1, 1]), "\(ours).logs", order: order),
    ]
  }

  private func priorRelations(_ level: Int) -> [Relation] {
    let c = configuration.channels(level)
    let name = "blocks.\(level).prior"
    if level == configuration.levels - 1 {
      return [
        .filterOfZeros(
          "\(name).conv.weight", "top.prior.weight", inChannels: c, outChannels: 2 * c, padding: 1)
      ] + biasAndLogs(name, "top.prior", order: Array(0..<2 * c))
    }
    let ours = "level\(level).split.conv"
    let order = GlowConfiguration.halves(c, isSwapped: false)
    return [
      .filter("\(name).conv.weight", "\(ours).weight", inChannels: c / 2, order: order, padding: 1)
    ] + biasAndLogs(name, ours, order: order)
  }

  // MARK: Actnorm's scale and the 1×1 convolution

  /// Their y = W·(scale·(x + b)) in our terms: logs = ln |scale|/3 and M[i, o] = sign(scale[i])·W[o, i].
  ///
  /// Backward: d scale = d logs/(3·scale), dW[o, i] = sign(scale[i])·dM[i, o].
  private func mixing(_ name: String, _ ours: String, channels c: Int) -> Relation {
    let scaleName = "\(name).actnorm.scale"
    let isFactored = shapes?.has("\(name).invconv.w_p") ?? false
    let factors = isFactored ? factorTensors(name, c) : [matrixTensor(name, c)]
    return Relation(
      stored: [StoredTensor(name: scaleName, shape: [1, c, 1, 1])] + factors,
      ours: ["\(ours).actnorm.logs", "\(ours).invconv.weight"], counts: [c, c * c],
      read: { stored in
        let scale = stored[0]
        if scale.contains(0) { throw RelationError(name: scaleName, reason: "holds a scale of 0") }
        if isFactored { try Self.checkMasks(stored, factors, channels: c) }
        let matrix = isFactored ? Self.factors(stored, c).matrix : stored[1]
        let logs = scale.map { log(abs($0)) / 3 }
        return [logs, squareMatrix(c) { i, o in (scale[i] < 0 ? -1 : 1) * matrix[o * c + i] }]
      },
      pullBack: { stored, gradients in
        let scale = stored[0]
        let dScale = zip(gradients[0], scale).map { $0 / (3 * $1) }
        let dMatrix = squareMatrix(c) { o, i in (scale[i] < 0 ? -1 : 1) * gradients[1][i * c + o] }
        if !isFactored { return [dScale, dMatrix] }
        let d = Self.factors(stored, c).pullBack(dMatrix)
        let fixed = factors.dropFirst(3).map { [Double](repeating: 0, count: $0.count) }
        return [dScale, d.lower, d.upper, d.logScale] + fixed
      },
      write: { parameters in
        precondition(!isFactored, "the 1×1 convolution is written as a matrix")
        return [
          parameters[0].map { exp(3 * $0) }, squareMatrix(c) { o, i in parameters[1][i * c + o] },
        ]
      })
  }

  private func matrixTensor(_ name: String, _ c: Int) -> StoredTensor {
    StoredTensor(name: "\(name).invconv.weight", shape: [c, c, 1, 1])
  }

  private func factorTensors(_ name: String, _ c: Int) -> [StoredTensor] {
    [
      ("w_l", [c, c]), ("w_u", [c, c]), ("w_s", [c]), ("w_p", [c, c]), ("s_sign", [c]), ("l_mask", [c, c]),
      ("u_mask", [c, c]), ("l_eye", [c, c]),
    ].map { StoredTensor(name: "\(name).invconv.\($0)", shape: $1) }
  }

  /// From the scale and then the tensors in the order of `factorTensors`.
  private static func factors(_ stored: [[Double]], _ c: Int) -> StoredFactors {
    StoredFactors(
      size: c, permutation: stored[4], lower: stored[1], upper: stored[2], logScale: stored[3],
      sign: stored[5])
  }

  /// The masks are constants of the implementation; only with them do the triangles mean what they should.
  private static func checkMasks(_ stored: [[Double]], _ factors: [StoredTensor], channels c: Int) throws {
    let expected = [
      squareMatrix(c) { $0 > $1 ? 1 : 0 }, squareMatrix(c) { $0 < $1 ? 1 : 0 },
      squareMatrix(c) { $0 == $1 ? 1 : 0 },
    ]
    for (index, mask) in expected.enumerated() where stored[6 + index] != mask {
      throw RelationError(name: factors[5 + index].name, reason: "is not the mask that it is named for")
    }
  }
}
