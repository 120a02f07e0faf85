import GlowKernels

/// What training minimizes: the mean bits/dim of a batch, plus, in a conditional model, 0.01 times the mean bits
/// of the classifier (the original implementation's weight).
public struct Objective: Sendable {
  public static let classifierWeight = 0.01

  /// What is differentiated.
  public let loss: Double
  public let bitsPerDimension: Double
  /// Mean −log2 probability of the labels, in a conditional model.
  public let classifierBits: Double?

  public init(_ likelihoods: [LogLikelihood]) {
    let count = Double(likelihoods.count)
    bitsPerDimension = likelihoods.reduce(0) { $0 + $1.bitsPerDimension } / count
    let bits = likelihoods.compactMap(\.classifierBits)
    classifierBits = bits.isEmpty ? nil : bits.reduce(0, +) / count
    loss = bitsPerDimension + Objective.classifierWeight * (classifierBits ?? 0)
  }
}

extension Glow {
  /// The objective of the `count` images in `workspace.images`, and its gradient added to `gradients`, as in training: with
  /// the statistics of the batch.
  ///
  /// - Throws: `LinearAlgebraError` if a channel map has no inverse.
  @specialized(where S == Float)
  @specialized(where S == Double)
  public func objective(
    _ workspace: Workspace<S>, count: Int, labels: [Int]? = nil, gradients: UnsafeMutablePointer<S>,
    imageGradient: UnsafeMutablePointer<S>? = nil
  ) throws -> Objective {
    let objective = Objective(
      forward(workspace, count: count, labels: labels, normalization: .batch))
    let weight = -1 / (Double(count) * Double(configuration.dimensions) * Elementary.ln2)
    try backward(
      workspace, weights: [Double](repeating: weight, count: count),
      classifierWeight: Objective.classifierWeight / Double(count), gradients: gradients,
      imageGradient: imageGradient)
    return objective
  }
}
