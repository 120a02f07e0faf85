import GlowFlow

/// The variables of the original TensorFlow code. Ours are the same arrays under other names.
struct OpenAILayout {
  let configuration: GlowConfiguration
  /// Of the file to read; nil to write.
  let shapes: ShapeTable?

  static func detect(_ shapes: ShapeTable, _ configuration: inout GlowConfiguration) throws {
    configuration.levels = (shapes.numbers("model/", "/0/actnorm_center/b").max() ?? -1) + 1
    configuration.depth = (shapes.numbers("model/0/", "/actnorm_center/b").max() ?? -1) + 1
    let first = "model/0/0"
    let last = "\(first)/f1/l_last/W"
    try shapes.setFirstStep(
      &configuration, channels: shapes.length("\(first)/actnorm_center/b", axis: -1),
      width: shapes.length("\(first)/f1/l_1/W", axis: -1), outputs: shapes.length(last, axis: -1),
      last: last)
    configuration.permutation = permutation(shapes, steps: configuration.levels * configuration.depth)
    configuration.learnsTopPrior = shapes.has("model/prior/p/W")
    let classes = "model/prior/y_emb/W"
    configuration.classCount = shapes.has(classes) ? try shapes.length(classes, axis: 0) : 0
  }

  /// The one way in which all steps mix the channels, or a free matrix, which holds every other.
  private static func permutation(_ shapes: ShapeTable, steps: Int) -> PermutationKind {
    func count(_ suffix: String) -> Int { shapes.shapes.keys.count { $0.hasSuffix(suffix) } }
    switch (count("/invconv/W"), count("/shuffle/indices")) {
    case (0, 0): return .reverse
    case (0, steps): return .shuffle
    default: return .convolution
    }
  }

  var relations: [Relation] {
    var relations: [Relation] = []
    for level in 0..<configuration.levels {
      for step in 0..<configuration.depth { relations += stepRelations(level, step) }
      if level < configuration.levels - 1 {
        let c = configuration.channels(level)
        relations += layer(
          "model/pool\(level)/conv", "level\(level).split.conv", shape: [3, 3, c / 2 + 1, c])
      }
    }
    return relations + topRelations
  }

  private func same(_ name: String, _ shape: [Int], _ ours: String) -> Relation {
    .same(StoredTensor(name: name, shape: shape), ours)
  }

  private func actNorm(_ name: String, _ ours: String, channels: Int) -> [Relation] {
    [
      same("\(name)/actnorm_center/b", [1, 1, 1, channels], "\(ours).bias"),
      same("\(name)/actnorm_scale/logs", [1, 1, 1, channels], "\(ours).logs"),
    ]
  }

  /// A zero-initialised convolution or, with two axes, linear layer.
  private func layer(_ name: String, _ ours: String, shape: [Int]) -> [Relation] {
    let out = shape.last!
    return [
      same("\(name)/W", shape, "\(ours).weight"),
      same("\(name)/b", shape.count == 4 ? [1, 1, 1, out] : [1, out], "\(ours).bias"),
      same("\(name)/logs", [1, out], "\(ours).logs"),
    ]
  }

  private func stepRelations(_ level: Int, _ step: Int) -> [Relation] {
    let c = configuration.channels(level)
    let width = configuration.width
    let name = "model/\(level)/\(step)"
    let ours = "level\(level).step\(step)"
    return actNorm(name, "\(ours).actnorm", channels: c) + mixing(name, ours, channels: c)
      + [same("\(name)/f1/l_1/W", [3, 3, c / 2 + 1, width], "\(ours).coupling.conv1.weight")]
      + actNorm("\(name)/f1/l_1", "\(ours).coupling.actnorm1", channels: width)
      + [same("\(name)/f1/l_2/W", [1, 1, width, width], "\(ours).coupling.conv2.weight")]
      + actNorm("\(name)/f1/l_2", "\(ours).coupling.actnorm2", channels: width)
      + layer(
        "\(name)/f1/l_last", "\(ours).coupling.conv3",
        shape: [3, 3, width + 1, configuration.networkOutputs(level)])
  }

  private func mixing(_ name: String, _ ours: String, channels c: Int) -> [Relation] {
    switch configuration.permutation {
    case .convolution, .factoredConvolution:
      [matrix(name, ours, channels: c)]
    case .shuffle: [Self.shuffle(name, ours, channels: c)]
    case .reverse: []
    }
  }

  /// A free matrix, which in a file of several mixings may stand for a shuffle or, with no tensor, the reversal.
  private func matrix(_ name: String, _ ours: String, channels c: Int) -> Relation {
    let weight = "\(ours).invconv.weight"
    guard let shapes, !shapes.has("\(name)/invconv/W") else {
      return same("\(name)/invconv/W", [c, c], weight)
    }
    let shuffle = shapes.has("\(name)/shuffle/indices") ? Self.shuffle(name, ours, channels: c) : nil
    return Relation(
      stored: shuffle?.stored ?? [], ours: [weight], counts: [c * c],
      read: { stored in
        let indices = try shuffle?.read(stored)[0] ?? (0..<c).reversed().map { Double($0) }
        return [permutationMatrix(indices)]
      },
      pullBack: { shuffle?.pullBack($0, $1) ?? [] },
      write: { _ in preconditionFailure("a free matrix is written as one") })
  }

  /// Indices and their inverse, which the original keeps too.
  private static func shuffle(_ name: String, _ ours: String, channels: Int) -> Relation {
    let inverse = "\(name)/shuffle/indices_inverse"
    return Relation(
      stored: [
        StoredTensor(name: "\(name)/shuffle/indices", shape: [channels], type: .int32),
        StoredTensor(name: inverse, shape: [channels], type: .int32),
      ],
      ours: ["\(ours).shuffle.indices"], counts: [channels],
      read: { stored in
        let isInverse = stored[0].enumerated().allSatisfy { place, index in
          stored[1].indices.contains(Int(exactly: index) ?? -1) && stored[1][Int(index)] == Double(place)
        }
        if !isInverse { throw RelationError(name: inverse, reason: "is not the inverse of the indices") }
        return [stored[0]]
      },
      pullBack: { _, _ in [[Double]](repeating: [Double](repeating: 0, count: channels), count: 2) },
      write: { ours in
        var inverse = ours[0]
        for (place, index) in ours[0].enumerated() { inverse[Int(index)] = Double(place) }
        return [ours[0], inverse]
      })
  }

  /// The prior convolves 2·channels of zeros, whose weights have no influence, and the edge channel, the last.
  private var topRelations: [Relation] {
    let c = configuration.channels(configuration.levels - 1)
    var relations: [Relation] = []
    if configuration.learnsTopPrior {
      let name = "model/prior/p"
      let row = 2 * c
      relations.append(
        .linear(
          StoredTensor(name: "\(name)/W", shape: [3, 3, row + 1, row]), "top.prior.weight", count: 9 * row
        ) { body in
          for tap in 0..<9 {
            for output in 0..<row {
              body(
                LinearTerm(ours: tap * row + output, stored: (tap * (row + 1) + row) * row + output))
            }
          }
        })
      relations += layer(name, "top.prior", shape: [3, 3, row + 1, row]).dropFirst()
    }
    if configuration.isConditional {
      relations += layer(
        "model/prior/y_emb", "top.class_embedding", shape: [configuration.classCount, 2 * c])
      relations += layer("model/classifier", "top.classifier", shape: [c, configuration.classCount])
    }
    return relations
  }
}

/// The matrix that multiplies rows of channels so that output o is input `indices[o]`.
func permutationMatrix(_ indices: [Double]) -> [Double] {
  squareMatrix(indices.count) { row, column in Int(indices[column]) == row ? 1 : 0 }
}
