import GlowFlow

/// The tensors of y0ast's PyTorch code: filters are [out, in, kh, kw] and padded with zeros, so an edge channel has
/// no weight; actnorm's logs are not multiplied by 3; the 1×1 convolution multiplies columns of channels, and is a
/// matrix or, in a file whose step has factors, P·L·(U + diag(sign·exp(log s))).
///
/// `flow.layers` holds for each level a squeeze, the steps and, except in the last, a split.
struct Y0astLayout {
  let configuration: GlowConfiguration
  /// Of the file to read; nil to write.
  let shapes: ShapeTable?

  static func detect(_ shapes: ShapeTable, _ configuration: inout GlowConfiguration) throws {
    let layers = shapes.numbers("flow.layers.", ".")
    let splits = shapes.numbers("flow.layers.", ".conv.")
    configuration.levels = splits.count + 1
    configuration.depth = (splits.min() ?? layers.max().map { min($0, layers.count) + 1 } ?? 1) - 1
    let first = "flow.layers.1"
    let last = "\(first).block.4.conv.weight"
    try shapes.setFirstStep(
      &configuration, channels: shapes.length("\(first).actnorm.bias", axis: 1),
      width: shapes.length("\(first).block.0.conv.weight", axis: 0),
      outputs: shapes.length(last, axis: 0), last: last)
    configuration.padding = .zeros
    configuration.learnsTopPrior = shapes.hasAny(prefix: "learn_top_fn.")
    let hasClasses = ["project_ycond.", "project_class."].contains { shapes.hasAny(prefix: $0) }
    configuration.classCount = hasClasses ? try shapes.length("project_ycond.linear.weight", axis: 1) : 0
  }

  var relations: [Relation] {
    var relations: [Relation] = []
    for level in 0..<configuration.levels {
      let start = level * (configuration.depth + 2)
      for step in 0..<configuration.depth {
        relations += stepRelations("flow.layers.\(start + 1 + step)", level, step)
      }
      if level < configuration.levels - 1 {
        let c = configuration.channels(level)
        relations += zeroConvolution(
          "flow.layers.\(start + 1 + configuration.depth).conv", "level\(level).split.conv",
          inChannels: c / 2,
          outChannels: c)
      }
    }
    return relations + topRelations
  }

  private func actNorm(_ name: String, _ ours: String, channels: Int) -> [Relation] {
    [
      .same(StoredTensor(name: "\(name).bias", shape: [1, channels, 1, 1]), "\(ours).bias"),
      .same(
        StoredTensor(name: "\(name).logs", shape: [1, channels, 1, 1]), "\(ours).logs", times: 1.0 / 3),
    ]
  }

  /// Where a model has an edge channel.
  private var advice: String { " (train with --padding zeros)" }

  private func filter(_ name: String, _ ours: String, inChannels: Int, outChannels: Int) -> Relation {
    let order = Array(0..<outChannels)
    if configuration.padding != .edge { return .filter(name, ours, inChannels: inChannels, order: order) }
    var filter = Relation.edgeFilter(name, ours, inChannels: inChannels, order: order, padding: 0)
    filter.limit += advice
    return filter
  }

  private func zeroConvolution(
    _ name: String, _ ours: String, inChannels: Int, outChannels: Int
  ) -> [Relation] {
    [
      filter(
        "\(name).conv.weight", "\(ours).weight", inChannels: inChannels, outChannels: outChannels)
    ] + biasAndLogs(name, ours, channels: outChannels)
  }

  private func biasAndLogs(_ name: String, _ ours: String, channels: Int) -> [Relation] {
    [
      .same(StoredTensor(name: "\(name).conv.bias", shape: [channels]), "\(ours).bias"),
      .same(StoredTensor(name: "\(name).logs", shape: [channels, 1, 1]), "\(ours).logs"),
    ]
  }

  private func stepRelations(_ name: String, _ level: Int, _ step: Int) -> [Relation] {
    let c = configuration.channels(level)
    let width = configuration.width
    let ours = "level\(level).step\(step)"
    return actNorm("\(name).actnorm", "\(ours).actnorm", channels: c)
      + [
        mixing(name, "\(ours).invconv.weight", channels: c),
        filter(
          "\(name).block.0.conv.weight", "\(ours).coupling.conv1.weight", inChannels: c / 2,
          outChannels: width),
      ]
      + actNorm("\(name).block.0.actnorm", "\(ours).coupling.actnorm1", channels: width)
      + [
        .transposed(
          StoredTensor(name: "\(name).block.2.conv.weight", shape: [width, width, 1, 1]),
          "\(ours).coupling.conv2.weight", rows: width, columns: width)
      ]
      + actNorm("\(name).block.2.actnorm", "\(ours).coupling.actnorm2", channels: width)
      + zeroConvolution(
        "\(name).block.4", "\(ours).coupling.conv3", inChannels: width,
        outChannels: configuration.networkOutputs(level))
  }

  private func mixing(_ name: String, _ ours: String, channels c: Int) -> Relation {
    let factors = FactorTensors(
      "\(name).invconv.", size: c, names: ["p", "lower", "upper", "log_s", "sign_s"])
    if shapes?.hasAny(factors.all) ?? (configuration.permutation == .factoredConvolution) {
      return .factors(factors, ours, isTransposed: true)
    }
    let matrix = StoredTensor(name: "\(name).invconv.weight", shape: [c, c])
    return .transposed(matrix, ours, rows: c, columns: c)
  }

  private func linearLayer(_ name: String, _ ours: String, inCount: Int, outCount: Int) -> [Relation] {
    [
      .transposed(
        StoredTensor(name: "\(name).linear.weight", shape: [outCount, inCount]), "\(ours).weight",
        rows: outCount, columns: inCount),
      .same(StoredTensor(name: "\(name).linear.bias", shape: [outCount]), "\(ours).bias"),
      .same(StoredTensor(name: "\(name).logs", shape: [outCount]), "\(ours).logs"),
    ]
  }

  private var topRelations: [Relation] {
    let shape = configuration.shape(ofLevel: configuration.levels - 1)
    let row = 2 * shape.channels
    let input = StoredTensor(name: "prior_h", shape: [1, row, shape.height, shape.width])
    var relations = [Relation.constant(input) { _ in 0 }]
    if configuration.learnsTopPrior {
      let name = "learn_top_fn.conv.weight"
      var filter = Relation.unused(StoredTensor(name: name, shape: [row, row, 3, 3]))
      if configuration.padding == .edge {
        filter = .filterOfZeros(name, "top.prior.weight", inChannels: row, outChannels: row, padding: 0)
        filter.limit += advice
      }
      relations.append(filter)
      relations += biasAndLogs("learn_top_fn", "top.prior", channels: row)
    }
    if configuration.isConditional {
      relations += linearLayer(
        "project_ycond", "top.class_embedding", inCount: configuration.classCount, outCount: row)
      relations += linearLayer(
        "project_class", "top.classifier", inCount: shape.channels, outCount: configuration.classCount)
    }
    return relations
  }
}
