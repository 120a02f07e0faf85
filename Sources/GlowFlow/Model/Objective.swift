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

  /// The means over images, in their order.
  package init(_ images: [ImageBits]) {
    let count = Double(images.count)
    bitsPerDimension = images.reduce(0) { $0 + $1.perDimension } / count
    classifierBits =
      images.first?.classifier == nil ? nil : images.reduce(0) { $0 + $1.classifier! } / count
    loss = bitsPerDimension + Objective.classifierWeight * (classifierBits ?? 0)
  }
}

/// What one image adds to the objective.
package struct ImageBits: Sendable {
  package let perDimension: Double
  /// −log2 probability of its label, in a conditional model.
  package let classifier: Double?

  package init(perDimension: Double, classifier: Double?) {
    (self.perDimension, self.classifier) = (perDimension, classifier)
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
    let images = pullBackObjective(
      workspace, count: count, of: count, labels: labels, imageGradient: imageGradient)
    try foldObjectiveBackward(batch: count, into: gradients)
    return Objective(images)
  }

  /// The first half of `objective`, of `count` images of a batch of `batch`: the gradient of the folded weights, which
  /// replaces the former one in `foldedGradient`. Those of all parts of the batch are to be added up there.
  ///
  /// - Parameter whenFinal: is told in between which values of `foldedGradient` are final: `gradientRuns`, in order.
  /// - Returns: in the order of the images.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func pullBackObjective(
    _ workspace: Workspace<S>, count: Int, of batch: Int, labels: [Int]? = nil,
    imageGradient: UnsafeMutablePointer<S>? = nil, whenFinal: ((Range<Int>) -> Void)? = nil
  ) -> [ImageBits] {
    pass(workspace, count: count, labels: labels, normalization: .batch)
    let images = (0..<count).map { bits(ofImage: $0, workspace) }
    let weight = likelihoodWeight(batch: batch)
    for image in 0..<count { workspace.setLikelihoodWeight(S(weight), image: image) }
    pullBack(
      workspace, classifierWeight: Objective.classifierWeight / Double(batch), imageGradient: imageGradient,
      // Without a listener there is no need to stop within a level.
      runs: whenFinal == nil ? architecture.levelRuns : architecture.gradientRuns,
      whenFinal: whenFinal ?? { _ in })
    return images
  }

  /// The stretches of `foldedGradient` that become final one after the other.
  package var gradientRuns: [Range<Int>] { architecture.gradientRuns.map(\.values) }

  /// The second half of `objective`: from the gradient of the folded weights, of a whole batch, to that of the parameters.
  ///
  /// - Throws: as `objective`.
  package func foldObjectiveBackward(batch: Int, into gradients: UnsafeMutablePointer<S>) throws {
    let weight = likelihoodWeight(batch: batch)
    let totalWeight = (0..<batch).reduce(0.0) { sum, _ in sum + weight }
    try foldBackward(totalWeight: totalWeight, into: ParameterValues(base: gradients), overwrites: true)
  }

  /// Of each image's ln p in the mean bits/dim of a batch.
  private func likelihoodWeight(batch: Int) -> Double {
    -1 / (Double(batch) * Double(configuration.dimensions) * Elementary.ln2)
  }

  /// Of an image that has just passed.
  private func bits(ofImage image: Int, _ workspace: Workspace<S>) -> ImageBits {
    var (logDeterminant, logPrior) = (0.0, 0.0)
    for level in architecture.levels.indices {
      logDeterminant += self.logDeterminant(ofLevel: level, image, workspace)
      logPrior += self.logPrior(ofLevel: level, image, workspace)
    }
    let constant = dequantization.constant(dimensions: configuration.dimensions)
    return ImageBits(
      perDimension: -(constant + logDeterminant + logPrior)
        / (Double(configuration.dimensions) * Elementary.ln2),
      classifier: workspace.classifierResult?.bits[image])
  }
}
