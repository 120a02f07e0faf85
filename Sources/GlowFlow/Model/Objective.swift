import GlowKernels

/// What training minimizes: the mean bits/dim of a batch, plus, in a conditional model, 0.01 times the mean bits
/// of the classifier (the original implementation's weight).
package struct Objective: Sendable {
  package static let classifierWeight = 0.01

  /// What is differentiated.
  package let loss: Double
  package let bitsPerDimension: Double
  /// Mean −log2 probability of the labels, in a conditional model.
  package let classifierBits: Double?

  init(bitsPerDimension: Double, classifierBits: Double?) {
    self.bitsPerDimension = bitsPerDimension
    self.classifierBits = classifierBits
    loss = bitsPerDimension + Objective.classifierWeight * (classifierBits ?? 0)
  }
}

extension Glow {
  /// The objective of the `count` images in `workspace.images`, and its gradient, as in training: with the statistics of the
  /// batch.
  ///
  /// - Parameter gradients: a slab that follows `parameters`. What no layer has a gradient for stays as it is.
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func objective(
    _ workspace: Workspace<S>, count: Int, labels: [Int]? = nil, gradients: UnsafeMutablePointer<S>,
    imageGradient: UnsafeMutablePointer<S>? = nil
  ) throws -> Objective {
    pass(workspace, count: count, labels: labels, normalization: .batch)
    let objective = objective(of: workspace)
    let weight = -1 / (Double(count) * Double(configuration.dimensions) * Elementary.ln2)
    var totalWeight = 0.0
    for image in 0..<count {
      workspace.setLikelihoodWeight(S(weight), image: image)
      totalWeight += weight
    }
    pullBack(
      workspace, classifierWeight: Objective.classifierWeight / Double(count), imageGradient: imageGradient)
    try foldBackward(totalWeight: totalWeight, into: ParameterValues(base: gradients), overwrites: true)
    return objective
  }

  /// The means over the images that have just passed.
  private func objective(of workspace: Workspace<S>) -> Objective {
    let count = Double(workspace.count)
    let constant = dequantization.constant(dimensions: configuration.dimensions)
    var bits = 0.0
    for image in 0..<workspace.count {
      var (logDeterminant, logPrior) = (0.0, 0.0)
      for level in architecture.levels.indices {
        logDeterminant += self.logDeterminant(ofLevel: level, image, workspace)
        logPrior += self.logPrior(ofLevel: level, image, workspace)
      }
      bits -= (constant + logDeterminant + logPrior) / (Double(configuration.dimensions) * Elementary.ln2)
    }
    return Objective(
      bitsPerDimension: bits / count,
      classifierBits: workspace.classifierResult.map { $0.bits.reduce(0, +) / count })
  }
}
