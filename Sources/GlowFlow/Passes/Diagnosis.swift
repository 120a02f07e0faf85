import GlowKernels

/// Where in a model the numbers go bad.
package struct Diagnosis: Sendable, CustomStringConvertible {
  /// The first place, in the order of the flow and then of backward, whose values are not all finite.
  package let firstNonFinite: String?
  /// The flow step whose output has the largest absolute value, and that value.
  package let largest: (place: String, value: Double)
  /// The prior that the latents fit worst, and the mean ln of their density for an image.
  package let worstPrior: (place: String, logDensity: Double)

  package var description: String {
    if let firstNonFinite { return "the first values that are not finite: \(firstNonFinite)" }
    return String(
      format:
        "everything is finite; the largest activation, %.3g, leaves %@; the latents fit the prior of %@ worst, "
        + "ln density %.3g", largest.value, largest.place, worstPrior.place, worstPrior.logDensity)
  }
}

extension Glow {
  /// Goes through the flow once more with the `count` images in `workspace.images` and looks at what each layer
  /// puts out. Slow: for after something has gone wrong.
  ///
  /// - Parameter gradients: of the parameters, if they have been computed.
  @specialized(where S == Float)
  @specialized(where S == Double)
  package func diagnose(
    _ workspace: Workspace<S>, count: Int, labels: [Int]? = nil, gradients: UnsafePointer<S>? = nil
  ) -> Diagnosis {
    var findings = Findings()
    let first = firstNonFinite(workspace, count, checked(labels, count), &findings, gradients)
    return Diagnosis(firstNonFinite: first, largest: findings.largest, worstPrior: findings.worstPrior)
  }

  private struct Findings {
    var largest = (place: "nowhere", value: 0.0)
    var worstPrior = (place: "nowhere", logDensity: Double.infinity)
  }

  private func firstNonFinite(
    _ workspace: Workspace<S>, _ count: Int, _ labels: [Int]?, _ findings: inout Findings,
    _ gradients: UnsafePointer<S>?
  ) -> String? {
    if let name = firstNonFiniteEntry(of: UnsafePointer(values.base), backwards: false) {
      return "the parameter \(name)"
    }
    workspace.begin(count: count, labels: labels, normalization: .batch)
    for (number, level) in architecture.levels.enumerated() {
      for (index, placed) in level.layers.enumerated() {
        let densityBefore = workspace.levels[number].sums.logDensities.reduce(0, +)
        forward(number, index..<index + 1, workspace)
        if let found = nonFinite(number, index, workspace, &findings) { return found }
        let densities = workspace.levels[number].sums.logDensities.reduce(0, +)
        if placed.emitsLatents {
          let logDensity = (densities - densityBefore) / Double(count)
          if !logDensity.isFinite { return "\(placed.layer.title), its prior" }
          if logDensity < findings.worstPrior.logDensity {
            findings.worstPrior = (placed.layer.title, logDensity)
          }
        }
      }
    }
    guard let gradients, let name = firstNonFiniteEntry(of: gradients, backwards: true) else { return nil }
    return "the gradient of \(name)"
  }

  private func firstNonFiniteEntry(of slab: UnsafePointer<S>, backwards: Bool) -> String? {
    let isBad = { (entry: ParameterEntry) in !entry.range.allSatisfy { slab[$0].isFinite } }
    return (backwards ? parameters.entries.last(where: isBad) : parameters.entries.first(where: isBad))?.name
  }

  /// What a layer has put out that is not finite. Keeps the largest absolute value.
  private func nonFinite(
    _ number: Int, _ index: Int, _ workspace: Workspace<S>, _ findings: inout Findings
  ) -> String? {
    let level = architecture.levels[number]
    let layer = level.layers[index].layer
    let memory = workspace.levels[number]
    let z = UnsafeBufferPointer(
      start: memory.activations(at: level.placeAfter[index]), count: workspace.count * level.shape.count)
    var worst: Int?
    for (index, value) in z.enumerated() {
      let channel = index % level.shape.channels
      if !value.isFinite {
        // Later channels may have got it from earlier ones.
        worst = min(worst ?? channel, channel)
      } else if Double(abs(value)) > findings.largest.value {
        findings.largest = (layer.title, Double(abs(value)))
      }
    }
    if let worst { return layer.title + (layer.part(ofChannel: worst).map { ", \($0)" } ?? "") }
    return memory.sums.logDeterminants.allSatisfy(\.isFinite) ? nil : "\(layer.title), its log-determinant"
  }
}

/// How far a step's channel mixing, and its whole channel map, are from having no inverse.
package struct MapCondition: Sendable {
  /// The flow step, for instance `level0.step3`.
  package let step: String
  /// ln |det W| of the channel mixing (0 for a permutation).
  package let mixingLogDeterminant: Double
  /// The condition number of W; infinite if it has no inverse.
  package let mixingCondition: Double
  /// ln |det A| of the channel map A = diag(s)·W, the actnorm included, per position.
  package let logDeterminant: Double
  /// The condition number of A: in Float, decoding keeps about 7 − log10 of it digits.
  package let condition: Double
}

extension Glow {
  /// The condition of each layer that has a channel map, on the team.
  package func channelMapConditions() -> [MapCondition] {
    [MapCondition?](unsafeUninitializedCapacity: architecture.foldables.count) { conditions, count in
      let start = conditions.baseAddress!
      team.run(architecture.foldables.count) { index, _ in
        (start + index).initialize(to: architecture.foldables[index].layer.condition(folded(index)))
      }
      count = architecture.foldables.count
    }.compactMap { $0 }
  }
}
