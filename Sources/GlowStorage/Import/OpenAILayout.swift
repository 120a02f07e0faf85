import GlowFlow

/// The variables of the original TensorFlow code. Ours are the same arrays under other names.
struct OpenAILayout {
  let configuration: GlowConfiguration
  /// Of the file to read; nil to write.
  let shapes: ShapeTable?

  static func detect(_ shapes: ShapeTable, _ configuration: inout GlowConfiguration) throws {
    configuration.levels = shapes.count("model/", "/")
    configuration.depth = shapes.count("model/0/", "/")
    let first = "model/0/0"
    let last = "\(first)/f1/l_last/W"
    try shapes.setFirstStep(
      &configuration, channels: shapes.length("\(first)/actnorm_center/b", axis: 3),
      width: shapes.length("\(first)/f1/l_1/W", axis: 3), outputs: shapes.length(last, axis: 3),
      last: last)
    configuration.permutation = try permutation(shapes)
    configuration.learnsTopPrior = shapes.hasAny(prefix: "model/prior/p/")
    let hasClasses = ["model/prior/y_emb/", "model/classifier/"].contains { shapes.hasAny(prefix: $0) }
    configuration.classCount = hasClasses ? try shapes.length("model/prior/y_emb/W", axis: 0) : 0
  }

  /// The one way in which all steps mix the channels, or a free matrix, which holds every other.
  ///
  /// - Throws: `RelationError` if a step has no tensor of its mixing where others have: only a model of nothing but
  ///   reversals has none.
  private static func permutation(_ shapes: ShapeTable) throws -> PermutationKind {
    let end = "/actnorm_center/b"
    // model/LEVEL/STEP/actnorm_center/b; those of the coupling networks have two more parts.
    let steps = shapes.shapes.keys.filter { $0.hasSuffix(end) && $0.split(separator: "/").count == 5 }
      .map { String($0.dropLast(end.count)) }
    let kinds = Set(steps.map { mixing(of: $0, shapes) })
    if kinds.count > 1, let step = steps.filter({ mixing(of: $0, shapes) == .reverse }).min() {
      throw RelationError(
        name: "\(step)/\(kinds.contains(.shuffle) ? "shuffle/indices" : "invconv/W")",
        reason: "is missing")
    }
    return kinds.count == 1 ? kinds.first! : .convolution
  }

  /// The way in which a file's step mixes the channels; a reversal has no tensors.
  private static func mixing(of step: String, _ shapes: ShapeTable) -> PermutationKind {
    if shapes.hasAny(factorTensors(step, 1).all) { return .factoredConvolution }
    if shapes.has("\(step)/invconv/W") { return .convolution }
    if shapes.has("\(step)/shuffle/indices") || shapes.has("\(step)/shuffle/indices_inverse") {
      return .shuffle
    }
    return .reverse
  }

  private static func factorTensors(_ step: String, _ channels: Int) -> FactorTensors {
    FactorTensors("\(step)/invconv/", size: channels, names: ["P", "L", "U", "log_S", "sign_S"])
  }

  var relations: [Relation] {
    var relations: [Relation] = []
    for level in 0..<configuration.levels {
      for step in 0..<configuration.depth { relations += stepRelations(level, step) }
      if level < configuration.levels - 1 {
        let c = configuration.channels(level)
        relations += zeroConvolution(
          "model/pool\(level)/conv", "level\(level).split.conv", inChannels: c / 2, outChannels: c)
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

  /// A zero-initialized convolution or, with two axes, linear layer.
  private func layer(_ name: String, _ ours: String, shape: [Int]) -> [Relation] {
    let out = shape.last!
    return [
      same("\(name)/W", shape, "\(ours).weight"),
      same("\(name)/b", shape.count == 4 ? [1, 1, 1, out] : [1, out], "\(ours).bias"),
      same("\(name)/logs", [1, out], "\(ours).logs"),
    ]
  }

  private func zeroConvolution(
    _ name: String, _ ours: String, inChannels: Int, outChannels: Int
  ) -> [Relation] {
    [
      filter(
        "\(name)/W", "\(ours).weight", inChannels: inChannels, outChannels: outChannels,
        isZeroConvolution: true)
    ] + layer(name, ours, shape: [3, 3, inChannels + 1, outChannels]).dropFirst()
  }

  /// A 3×3 filter, [3, 3, in + 1, out]. That of a model without an edge channel gets one of zeros, or of the sums of the
  /// others if it reads ones outside of the image.
  private func filter(
    _ name: String, _ ours: String, inChannels: Int, outChannels: Int, isZeroConvolution: Bool
  ) -> Relation {
    let stored = StoredTensor(name: name, shape: [3, 3, inChannels + 1, outChannels])
    if configuration.padding == .edge { return .same(stored, ours) }
    let plain = Relation.linear(stored, ours, count: 9 * inChannels * outChannels) { body in
      for tap in 0..<9 {
        for index in 0..<inChannels * outChannels {
          body(
            LinearTerm(
              ours: tap * inChannels * outChannels + index,
              stored: tap * (inChannels + 1) * outChannels + index))
        }
      }
    }
    if configuration.padding == .zeros || !isZeroConvolution { return plain }
    return Relation(
      stored: plain.stored, ours: plain.ours, counts: plain.counts, read: plain.read,
      pullBack: plain.pullBack,
      write: { ours in
        var filter = try plain.write(ours)[0]
        for tap in 0..<9 {
          let start = tap * (inChannels + 1) * outChannels
          for index in 0..<inChannels * outChannels {
            filter[start + inChannels * outChannels + index % outChannels] += filter[start + index]
          }
        }
        return [filter]
      })
  }

  private func stepRelations(_ level: Int, _ step: Int) -> [Relation] {
    let c = configuration.channels(level)
    let width = configuration.width
    let name = "model/\(level)/\(step)"
    let ours = "level\(level).step\(step)"
    return actNorm(name, "\(ours).actnorm", channels: c) + mixing(name, ours, channels: c)
      + [
        filter(
          "\(name)/f1/l_1/W", "\(ours).coupling.conv1.weight", inChannels: c / 2, outChannels: width,
          isZeroConvolution: false)
      ]
      + actNorm("\(name)/f1/l_1", "\(ours).coupling.actnorm1", channels: width)
      + [same("\(name)/f1/l_2/W", [1, 1, width, width], "\(ours).coupling.conv2.weight")]
      + actNorm("\(name)/f1/l_2", "\(ours).coupling.actnorm2", channels: width)
      + zeroConvolution(
        "\(name)/f1/l_last", "\(ours).coupling.conv3", inChannels: width,
        outChannels: configuration.networkOutputs(level))
  }

  private func mixing(_ name: String, _ ours: String, channels c: Int) -> [Relation] {
    let weight = "\(ours).invconv.weight"
    let inFile = shapes.map { Self.mixing(of: name, $0) }
    if configuration.permutation == .reverse { return [] }
    if configuration.permutation == .shuffle { return [Self.shuffle(name, ours, channels: c)] }
    if configuration.permutation == .factoredConvolution {
      return [.sameFactors(Self.factorTensors(name, c), ours)]
    }
    // Any other is a matrix, whatever holds it in the file.
    if inFile == .factoredConvolution {
      return [.factors(Self.factorTensors(name, c), weight, isTransposed: false)]
    }
    if inFile == .shuffle {
      let shuffle = Self.shuffle(name, ours, channels: c)
      return [
        Relation(
          stored: shuffle.stored, ours: [weight], counts: [c * c],
          read: { [permutationMatrix(try shuffle.read($0)[0])] }, pullBack: shuffle.pullBack,
          write: { _ in preconditionFailure("a free matrix is written as one") })
      ]
    }
    return [same("\(name)/invconv/W", [c, c], weight)]
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
      relations += classifier(channels: c)
    }
    return relations
  }

  /// The original has none if its loss gives it no weight; then ours is one of zeros.
  private func classifier(channels: Int) -> [Relation] {
    let shape = [channels, configuration.classCount]
    let layer = layer("model/classifier", "top.classifier", shape: shape)
    if shapes?.hasAny(layer.flatMap(\.stored)) ?? true { return layer }
    return layer.map { .zero($0.ours[0], count: $0.counts[0], limit: "it has no classifier") }
  }
}

/// The matrix that multiplies rows of channels so that output o is input `indices[o]`.
func permutationMatrix(_ indices: [Double]) -> [Double] {
  squareMatrix(indices.count) { row, column in Int(indices[column]) == row ? 1 : 0 }
}
