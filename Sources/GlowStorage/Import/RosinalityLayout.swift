import GlowFlow
import GlowKernels

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
      throw ConfigurationError(
        "models of rosinality have no classes, and this one has \(configuration.classCount)")
    }
    self.configuration = configuration
    self.shapes = shapes
  }

  static func detect(_ shapes: ShapeTable, _ configuration: inout GlowConfiguration) throws {
    configuration.levels = shapes.count("blocks.", ".")
    configuration.depth = shapes.count("blocks.0.flows.", ".")
    let first = "blocks.0.flows.0"
    let last = "\(first).coupling.net.4.conv.weight"
    try shapes.setFirstStep(
      &configuration, channels: shapes.length("\(first).actnorm.loc", axis: 1),
      width: shapes.length("\(first).coupling.net.0.weight", axis: 0),
      outputs: shapes.length(last, axis: 0), last: last)
    configuration.padding = .ones
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
      .constant(StoredTensor(name: "\(name).actnorm.initialized", shape: [1], type: .uint8)) { _ in 1 },
      .same(StoredTensor(name: "\(name).actnorm.loc", shape: [1, c, 1, 1]), "\(ours).actnorm.bias"),
      .biased(
        filter(
          "\(net).0.weight", "\(ours).coupling.conv1.weight", inChannels: c / 2, order: Array(0..<width),
          padding: 0), StoredTensor(name: "\(net).0.bias", shape: [width]),
        actNorm: "\(ours).coupling.actnorm1"),
      .biased(
        .transposed(
          StoredTensor(name: "\(net).2.weight", shape: [width, width, 1, 1]), "\(ours).coupling.conv2.weight",
          rows: width, columns: width), StoredTensor(name: "\(net).2.bias", shape: [width]),
        actNorm: "\(ours).coupling.actnorm2"),
      filter(
        "\(net).4.conv.weight", "\(ours).coupling.conv3.weight", inChannels: width, order: order, padding: 1),
    ] + biasAndLogs("\(net).4", "\(ours).coupling.conv3", order: order) + mixing(name, ours, level)
  }

  private func filter(
    _ name: String, _ ours: String, inChannels: Int, order: [Int], padding: Double
  ) -> Relation {
    if configuration.padding != .edge { return .filter(name, ours, inChannels: inChannels, order: order) }
    var filter = Relation.edgeFilter(name, ours, inChannels: inChannels, order: order, padding: padding)
    filter.limit += " (train with --padding ones)"
    return filter
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
      filter("\(name).conv.weight", "\(ours).weight", inChannels: c / 2, order: order, padding: 1)
    ] + biasAndLogs(name, ours, order: order)
  }

  // MARK: Actnorm's scale and the 1×1 convolution

  /// Their code has the last block's in factors, whatever its option for the others.
  private func mixing(_ name: String, _ ours: String, _ level: Int) -> [Relation] {
    let c = configuration.channels(level)
    let weight = "\(ours).invconv.weight"
    let factors = FactorTensors(
      "\(name).invconv.", size: c, names: ["w_p", "w_l", "w_u", "w_s", "s_sign"])
    let writesFactors =
      configuration.permutation == .factoredConvolution || level == configuration.levels - 1
    if shapes?.hasAny(factors.all) ?? writesFactors {
      return [scaled(.factors(factors, weight, isTransposed: true), name, ours, channels: c)]
        + masks("\(name).invconv", channels: c)
    }
    let matrix = StoredTensor(name: "\(name).invconv.weight", shape: [c, c, 1, 1])
    return [scaled(.transposed(matrix, weight, rows: c, columns: c), name, ours, channels: c)]
  }

  /// Constants of their code; only with these do the triangles mean what they should.
  private func masks(_ name: String, channels c: Int) -> [Relation] {
    func mask(_ suffix: String, _ isOne: @escaping @Sendable (_ row: Int, _ column: Int) -> Bool) -> Relation
    {
      .constant(StoredTensor(name: "\(name).\(suffix)", shape: [c, c])) { isOne($0 / c, $0 % c) ? 1 : 0 }
    }
    return [mask("l_mask") { $0 > $1 }, mask("u_mask") { $0 < $1 }, mask("l_eye") { $0 == $1 }]
  }

  /// Their y = W·(scale·(x + b)) in our terms: logs = ln |scale|/3, and row i of Wᵀ takes the sign of scale[i].
  ///
  /// Backward: d scale = d logs/(3·scale), and the rows of the gradient take the same signs.
  private func scaled(_ mixing: Relation, _ name: String, _ ours: String, channels c: Int) -> Relation {
    let scaleName = "\(name).actnorm.scale"
    let signed = { @Sendable (matrix: [Double], scale: [Double]) in
      squareMatrix(c) { row, column in (scale[row] < 0 ? -1 : 1) * matrix[row * c + column] }
    }
    return Relation(
      stored: [StoredTensor(name: scaleName, shape: [1, c, 1, 1])] + mixing.stored,
      ours: ["\(ours).actnorm.logs"] + mixing.ours, counts: [c] + mixing.counts,
      read: { stored in
        let scale = stored[0]
        if scale.contains(0) { throw RelationError(name: scaleName, reason: "holds a scale of 0") }
        let matrix = try mixing.read(Array(stored.dropFirst()))[0]
        return [scale.map { Elementary.log(abs($0)) / 3 }, signed(matrix, scale)]
      },
      pullBack: { stored, gradients in
        [zip(gradients[0], stored[0]).map { $0 / (3 * $1) }]
          + mixing.pullBack(Array(stored.dropFirst()), [signed(gradients[1], stored[0])])
      },
      write: { parameters in
        try [parameters[0].map { Elementary.exp(3 * $0) }] + mixing.write([parameters[1]])
      })
  }
}
