import GlowKernels

/// A tensor of another implementation's file: its name there and the shape it must have.
struct StoredTensor: Sendable {
  let name: String
  let shape: [Int]
  /// What it is written as; the floating-point type is the model's own.
  var type = TensorType.float32

  var count: Int { shape.reduce(1, *) }
}

/// How some of another implementation's tensors and some of our parameters follow from each other.
///
/// `read` maps theirs to ours; `pullBack` is the adjoint of its derivative, which takes gradients the other way;
/// `write` is its inverse, if only for what `read` can produce.
struct Relation: Sendable {
  let stored: [StoredTensor]
  /// Names of our parameters.
  let ours: [String]
  /// Sizes of our parameters.
  let counts: [Int]
  let read: @Sendable (_ stored: [[Double]]) throws -> [[Double]]
  let pullBack: @Sendable (_ stored: [[Double]], _ gradients: [[Double]]) -> [[Double]]
  let write: @Sendable (_ ours: [[Double]]) throws -> [[Double]]
  /// What the format lacks, if `write` cannot be the inverse for all values.
  var limit = "it has nothing that holds these values"
  /// How far, relative to the largest, values may be from what `read` makes of what `write` wrote.
  var tolerance = 1e-6
  /// The parameters that the format has for the same map, if it has fewer than the model.
  var reduced: @Sendable (_ ours: [[Double]]) -> [[Double]] = { $0 }
}

/// What a relation finds wrong with one tensor.
struct RelationError: Error {
  let name: String
  let reason: String
}

/// ours[ours] += coefficient·stored[stored]. Of the terms of a stored value, the one that `determines` it gives
/// it back: stored = ours/coefficient.
struct LinearTerm {
  let ours: Int
  let stored: Int
  var coefficient = 1.0
  var determines = true
}

extension Relation {
  /// One tensor of theirs and one parameter of ours, related by a sparse matrix of which `terms` tells the
  /// elements. Values of ours without a term are 0, and so are those of theirs when written.
  static func linear(
    _ stored: StoredTensor, _ ours: String, count: Int,
    terms: @escaping @Sendable (_ body: (LinearTerm) -> Void) -> Void
  ) -> Relation {
    Relation(
      stored: [stored], ours: [ours], counts: [count],
      read: { tensors in
        var result = [Double](repeating: 0, count: count)
        terms { result[$0.ours] += $0.coefficient * tensors[0][$0.stored] }
        return [result]
      },
      pullBack: { _, gradients in
        var result = [Double](repeating: 0, count: stored.count)
        terms { result[$0.stored] += $0.coefficient * gradients[0][$0.ours] }
        return [result]
      },
      write: { parameters in
        var result = [Double](repeating: 0, count: stored.count)
        terms { if $0.determines { result[$0.stored] = parameters[0][$0.ours] / $0.coefficient } }
        return [result]
      })
  }

  /// The same values in the same order, times `factor`.
  static func same(_ stored: StoredTensor, _ ours: String, times factor: Double = 1) -> Relation {
    linear(stored, ours, count: stored.count) { body in
      for index in 0..<stored.count { body(LinearTerm(ours: index, stored: index, coefficient: factor)) }
    }
  }

  /// A vector of one value for each output channel, `order[channel]` of theirs being `channel` of ours.
  static func channels(_ stored: StoredTensor, _ ours: String, order: [Int]) -> Relation {
    linear(stored, ours, count: order.count) { body in
      for (channel, theirs) in order.enumerated() { body(LinearTerm(ours: channel, stored: theirs)) }
    }
  }

  /// A matrix that multiplies columns of channels, [out, in], as ours that multiplies rows, [in, out].
  static func transposed(_ stored: StoredTensor, _ ours: String, rows: Int, columns: Int) -> Relation {
    linear(stored, ours, count: rows * columns) { body in
      for row in 0..<rows {
        for column in 0..<columns {
          body(LinearTerm(ours: column * rows + row, stored: row * columns + column))
        }
      }
    }
  }

  /// What the file has and no model depends on: written as zeros.
  static func unused(_ stored: StoredTensor) -> Relation {
    Relation(
      stored: [stored], ours: [], counts: [], read: { _ in [] },
      pullBack: { _, _ in [[Double](repeating: 0, count: stored.count)] },
      write: { _ in [[Double](repeating: 0, count: stored.count)] })
  }

  /// A convolution with a bias, which is ours with an actnorm whose scale, exp(3·logs), is 1. Written, the scale of ours
  /// goes into filter and bias.
  ///
  /// - Parameters:
  ///   - filter: a relation whose parameter of ours ends in the channels out.
  ///   - actNorm: the name of ours, less `.bias` and `.logs`.
  static func biased(_ filter: Relation, _ bias: StoredTensor, actNorm: String) -> Relation {
    let out = bias.count
    let reduced = { @Sendable (ours: [[Double]]) in
      let scale = ours[2].map { Elementary.exp(3 * $0) }
      return [
        ours[0].enumerated().map { $1 * scale[$0 % out] }, zip(ours[1], scale).map { $0 * $1 },
        [Double](repeating: 0, count: out),
      ]
    }
    return Relation(
      stored: filter.stored + [bias], ours: filter.ours + ["\(actNorm).bias", "\(actNorm).logs"],
      counts: filter.counts + [out, out],
      read: { stored in
        try filter.read([stored[0]]) + [stored[1], [Double](repeating: 0, count: out)]
      },
      pullBack: { stored, gradients in filter.pullBack([stored[0]], [gradients[0]]) + [gradients[1]] },
      write: { ours in
        let reduced = reduced(ours)
        return try filter.write([reduced[0]]) + [reduced[1]]
      }, limit: filter.limit, tolerance: filter.tolerance, reduced: reduced)
  }

  /// What the model has and the file does not: all zero.
  static func zero(_ ours: String, count: Int, limit: String) -> Relation {
    Relation(
      stored: [], ours: [ours], counts: [count],
      read: { _ in [[Double](repeating: 0, count: count)] }, pullBack: { _, _ in [] }, write: { _ in [] },
      limit: limit, tolerance: 0)
  }

  /// What the file has and the model does not: the element at each index is `value`.
  static func constant(
    _ stored: StoredTensor, _ value: @escaping @Sendable (_ index: Int) -> Double
  ) -> Relation {
    Relation(
      stored: [stored], ours: [], counts: [],
      read: { tensors in
        if let index = tensors[0].indices.first(where: { tensors[0][$0] != value($0) }) {
          throw RelationError(
            name: stored.name, reason: "value \(index) is \(tensors[0][index]), expected \(value(index))")
        }
        return []
      },
      pullBack: { _, _ in [[Double](repeating: 0, count: stored.count)] },
      write: { _ in [(0..<stored.count).map(value)] })
  }

  /// A 3×3 filter of PyTorch, [out, in, 3, 3], as ours, [3, 3, in, out], of the same padding.
  ///
  /// - Parameter order: which of their output channels is each of ours.
  static func filter(_ name: String, _ ours: String, inChannels: Int, order: [Int]) -> Relation {
    let out = order.count
    return linear(
      StoredTensor(name: name, shape: [out, inChannels, 3, 3]), ours, count: 9 * inChannels * out
    ) { body in
      for tap in 0..<9 {
        for input in 0..<inChannels {
          for (output, theirs) in order.enumerated() {
            body(
              LinearTerm(
                ours: (tap * inChannels + input) * out + output,
                stored: (theirs * inChannels + input) * 9 + tap))
          }
        }
      }
    }
  }

  /// A 3×3 filter of PyTorch, [out, in, 3, 3], as ours with an edge channel, [3, 3, in + 1, out].
  ///
  /// - Parameters:
  ///   - order: which of their output channels is each of ours.
  ///   - padding: what their convolution reads outside of the image. Ours reads 0 there, and 1 in the edge channel:
  ///     a padding of ones is an edge weight that is the sum of the others.
  static func edgeFilter(
    _ name: String, _ ours: String, inChannels: Int, order: [Int], padding: Double
  ) -> Relation {
    let out = order.count
    var relation = linear(
      StoredTensor(name: name, shape: [out, inChannels, 3, 3]), ours, count: 9 * (inChannels + 1) * out
    ) { body in
      for tap in 0..<9 {
        for input in 0..<inChannels {
          for (output, theirs) in order.enumerated() {
            let stored = (theirs * inChannels + input) * 9 + tap
            body(LinearTerm(ours: (tap * (inChannels + 1) + input) * out + output, stored: stored))
            if padding == 0 { continue }
            body(
              LinearTerm(
                ours: (tap * (inChannels + 1) + inChannels) * out + output, stored: stored,
                coefficient: padding, determines: false))
          }
        }
      }
    }
    // The sums of a padding of ones were rounded to the precision of their file.
    if padding == 0 { relation.tolerance = 0 }
    relation.limit =
      padding == 0
      ? "it has no edge channel, and the weights of this one are not 0"
      : "its edge channel is a padding of ones, and the weights of this one are not the sums of the others'"
    return relation
  }

  /// The filter of a prior that convolves an image of zeros: only what it reads outside has an influence, which
  /// ours, [3, 3, 1, out], keeps as the edge channel's.
  ///
  /// Written, all of it stands in the first input channel.
  static func filterOfZeros(
    _ name: String, _ ours: String, inChannels: Int, outChannels: Int, padding: Double
  ) -> Relation {
    var relation = linear(
      StoredTensor(name: name, shape: [outChannels, inChannels, 3, 3]), ours, count: 9 * outChannels
    ) { body in
      if padding == 0 { return }
      for tap in 0..<9 {
        for input in 0..<inChannels {
          for output in 0..<outChannels {
            body(
              LinearTerm(
                ours: tap * outChannels + output, stored: (output * inChannels + input) * 9 + tap,
                coefficient: padding, determines: input == 0))
          }
        }
      }
    }
    relation.tolerance = 0
    relation.limit =
      "its top prior is the same at all positions, and this one is not"
    return relation
  }
}
