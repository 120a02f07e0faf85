import GlowFlow

/// The tensors of chrischute's PyTorch code: filters are [out, in, kh, kw] with weight normalization, its scales are nested
/// in each other, and the factor of tanh is weight-normalized too, though it is one number a channel.
struct RealNVPLayout {
  let configuration: GlowConfiguration

  /// What a scale's names begin with.
  private static func scale(_ number: Int) -> String {
    "flows" + String(repeating: ".next_block", count: number)
  }

  static func detect(_ shapes: ShapeTable, _ configuration: inout GlowConfiguration) throws {
    let first = "flows.in_couplings.0.st_net"
    configuration.begin(.realNVP)
    configuration.flowNormalization = .none
    configuration.levels = (1...12).last { shapes.hasAny(prefix: scale($0 - 1) + ".") } ?? 1
    configuration.blocks = shapes.count("\(first).blocks.", ".")
    configuration.width = try shapes.length("\(first).in_conv.conv.weight_g", axis: 0)
    configuration.imageChannels = try shapes.length("\(first).in_norm.weight", axis: 0)
  }

  var relations: [Relation] {
    // Stored in the precision of the file, which may be that of Float.
    var relations = [
      Relation.near(StoredTensor(name: "data_constraint", shape: [1]), 0.9, within: 1e-7)
    ]
    for scale in 0..<configuration.levels {
      let (theirs, ours) = (Self.scale(scale), "scale\(scale)")
      let isLast = scale == configuration.levels - 1
      let channels = configuration.imageChannels << scale
      for index in 0..<(isLast ? 4 : 3) {
        relations += coupling(
          "\(theirs).in_couplings.\(index)", "\(ours).checkerboard\(index)",
          Sizes(seen: channels, width: configuration.width << scale))
      }
      if isLast { continue }
      for index in 0..<3 {
        relations += coupling(
          "\(theirs).out_couplings.\(index)", "\(ours).channels\(index)",
          Sizes(seen: 2 * channels, width: configuration.width << (scale + 1)))
      }
    }
    return relations
  }

  private struct Sizes {
    /// Channels that a network sees, and half as many as it puts out.
    let seen: Int
    let width: Int
  }

  private func coupling(_ name: String, _ ours: String, _ sizes: Sizes) -> [Relation] {
    let net = "\(name).st_net"
    let width = sizes.width
    var relations =
      [Relation.sign("\(name).rescale", "\(ours).rescale", channels: sizes.seen)]
      + normalization("\(net).in_norm", "\(ours).in_norm", channels: sizes.seen)
      + convolution("\(net).in_conv", "\(ours).in_conv", [width, 2 * sizes.seen, 3, 3])
      + convolution("\(net).in_skip", "\(ours).in_skip", [width, width, 1, 1])
    for block in 0..<configuration.blocks {
      let (theirs, block, skip) = ("\(net).blocks.\(block)", "\(ours).block\(block)", "\(net).skips.\(block)")
      relations += normalization("\(theirs).in_norm", "\(block).in_norm", channels: width)
      relations += convolution(
        "\(theirs).in_conv", "\(block).in_conv", [width, width, 3, 3], hasBias: false)
      relations += normalization("\(theirs).out_norm", "\(block).out_norm", channels: width)
      relations += convolution("\(theirs).out_conv", "\(block).out_conv", [width, width, 3, 3])
      relations += convolution(skip, "\(block).skip", [width, width, 1, 1])
    }
    return relations + normalization("\(net).out_norm", "\(ours).out_norm", channels: width)
      + convolution("\(net).out_conv", "\(ours).out_conv", [2 * sizes.seen, width, 1, 1])
  }

  private func normalization(_ name: String, _ ours: String, channels: Int) -> [Relation] {
    ["weight", "bias", "running_mean", "running_var"].map {
      .same(StoredTensor(name: "\(name).\($0)", shape: [channels]), "\(ours).\($0)")
    } + [.ignored(StoredTensor(name: "\(name).num_batches_tracked", shape: [1], type: .int64))]
  }

  /// - Parameter shape: [out, in, kh, kw].
  private func convolution(
    _ name: String, _ ours: String, _ shape: [Int], hasBias: Bool = true
  ) -> [Relation] {
    let (output, input, taps) = (shape[0], shape[1], shape[2] * shape[3])
    let filter = Relation.linear(
      StoredTensor(name: "\(name).conv.weight_v", shape: shape), "\(ours).weight_v",
      count: shape.reduce(1, *)
    ) { body in
      for tap in 0..<taps {
        for i in 0..<input {
          for o in 0..<output {
            body(LinearTerm(ours: (tap * input + i) * output + o, stored: (o * input + i) * taps + tap))
          }
        }
      }
    }
    let bias = StoredTensor(name: "\(name).conv.bias", shape: [output])
    return [
      filter,
      .same(StoredTensor(name: "\(name).conv.weight_g", shape: [output, 1, 1, 1]), "\(ours).weight_g"),
    ] + (hasBias ? [.same(bias, "\(ours).bias")] : [])
  }
}

extension Relation {
  /// One number for each channel that is weight-normalized: g·v/|v|, of which we keep the product.
  fileprivate static func sign(_ name: String, _ ours: String, channels: Int) -> Relation {
    let tensors = ["weight_g", "weight_v"].map {
      StoredTensor(name: "\(name).\($0)", shape: [channels, 1, 1])
    }
    return Relation(
      stored: tensors, ours: [ours], counts: [channels],
      read: { stored in
        if let index = stored[1].firstIndex(of: 0) {
          throw RelationError(name: tensors[1].name, reason: "value \(index) is 0")
        }
        return [zip(stored[0], stored[1]).map { $1 < 0 ? -$0 : $0 }]
      },
      pullBack: { stored, gradients in
        [
          zip(gradients[0], stored[1]).map { $1 < 0 ? -$0 : $0 },
          [Double](repeating: 0, count: channels),
        ]
      }, write: { [$0[0], [Double](repeating: 1, count: channels)] })
  }

  /// A number that every model of the file has, but for rounding.
  fileprivate static func near(_ stored: StoredTensor, _ value: Double, within distance: Double) -> Relation {
    Relation(
      stored: [stored], ours: [], counts: [],
      read: { tensors in
        if abs(tensors[0][0] - value) > distance {
          throw RelationError(name: stored.name, reason: "is \(tensors[0][0]), expected \(value)")
        }
        return []
      }, pullBack: { _, _ in [[0]] }, write: { _ in [[value]] })
  }

  /// What has no influence on what a model computes.
  fileprivate static func ignored(_ stored: StoredTensor) -> Relation {
    Relation(
      stored: [stored], ours: [], counts: [], read: { _ in [] },
      pullBack: { _, _ in [[Double](repeating: 0, count: stored.count)] },
      write: { _ in [[Double](repeating: 0, count: stored.count)] })
  }
}
