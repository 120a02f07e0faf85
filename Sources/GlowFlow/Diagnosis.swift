import Foundation
import GlowKernels

/// Where in a model the numbers go bad.
public struct Diagnosis: Sendable, CustomStringConvertible {
  /// The first place, in the order of the flow and then of backward, whose values are not all finite.
  public let firstNonFinite: String?
  /// The flow step whose output has the largest absolute value, and that value.
  public let largest: (place: String, value: Double)
  /// The prior that the latents fit worst, and the mean ln of their density for an image.
  public let worstPrior: (place: String, logDensity: Double)

  public var description: String {
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
  public func diagnose(
    _ workspace: Workspace<S>, count: Int, labels: [Int]? = nil, gradients: UnsafePointer<S>? = nil
  ) -> Diagnosis {
    var largest = (place: "nowhere", value: 0.0)
    var worstPrior = (place: "nowhere", logDensity: Double.infinity)
    func firstNonFinite() -> String? {
      if let name = firstNonFiniteEntry(of: UnsafePointer(values.base), backwards: false) {
        return "the parameter \(name)"
      }
      workspace.begin(count: count)
      for level in 0..<configuration.levels {
        enter(level, workspace)
        if let part = nonFinitePart(level, before: 0, workspace, &largest, "") {
          return level == 0 ? "the images" : "the input of level\(level) (\(part))"
        }
        for step in 0..<configuration.depth {
          forwardSteps(level, step..<step + 1, workspace)
          let name = steps[level][step].name
          if let part = nonFinitePart(level, before: step + 1, workspace, &largest, name) {
            return "\(name), \(part)"
          }
          if !workspace.logDeterminantSlots[level].allSatisfy(\.isFinite) {
            return "\(name), the log-determinant of its coupling"
          }
        }
        leave(level, workspace, labels: labels)
        let name = level < splits.count ? "level\(level).split" : "the top"
        let logDensity = workspace.priorSlots[level].reduce(0, +) / Double(count)
        if !logDensity.isFinite { return "\(name), its prior" }
        if logDensity < worstPrior.logDensity { worstPrior = (name, logDensity) }
      }
      guard let gradients, let name = firstNonFiniteEntry(of: gradients, backwards: true) else { return nil }
      return "the gradient of \(name)"
    }
    let first = firstNonFinite()
    return Diagnosis(firstNonFinite: first, largest: largest, worstPrior: worstPrior)
  }

  private func firstNonFiniteEntry(of slab: UnsafePointer<S>, backwards: Bool) -> String? {
    let isBad = { (entry: ParameterEntry) in !entry.range.allSatisfy { slab[$0].isFinite } }
    return (backwards ? parameters.entries.last(where: isBad) : parameters.entries.first(where: isBad))?.name
  }

  /// Which half of the channels before a step is not finite: z1 comes from the channel map alone, z2 from the
  /// coupling too. Keeps the largest absolute value.
  private func nonFinitePart(
    _ level: Int, before step: Int, _ workspace: Workspace<S>,
    _ largest: inout (place: String, value: Double),
    _ place: String
  ) -> String? {
    let shape = workspace.levels[level].shape
    let z = UnsafeBufferPointer(
      start: workspace.levels[level].activations(before: step), count: workspace.count * shape.count)
    var isSecondBad = false
    for (index, value) in z.enumerated() {
      if value.isFinite {
        if Double(abs(value)) > largest.value { largest = (place, Double(abs(value))) }
      } else if index % shape.channels < shape.channels / 2 {
        return "the channel map"
      } else {
        isSecondBad = true
      }
    }
    return isSecondBad ? "the coupling" : nil
  }
}

/// How far a step's channel mixing, and its whole channel map, are from having no inverse.
public struct MapCondition: Sendable {
  /// The flow step, for instance `level0.step3`.
  public let step: String
  /// ln |det W| of the channel mixing (0 for a permutation).
  public let mixingLogDeterminant: Double
  /// The condition number of W; infinite if it has no inverse.
  public let mixingCondition: Double
  /// ln |det A| of the channel map A = diag(s)·W, the actnorm included, per position.
  public let logDeterminant: Double
  /// The condition number of A: in Float, decoding keeps about 7 − log10 of it digits.
  public let condition: Double
}

extension Glow {
  /// The condition of each step's channel map. Calls `dgetrf` and `dgecon` on the team.
  public func channelMapConditions() -> [MapCondition] {
    let all = Array(zip(steps.joined(), factorizations.joined()))
    return [MapCondition](unsafeUninitializedCapacity: all.count) { conditions, count in
      let start = conditions.baseAddress!
      team.run(all.count) { index, _ in
        let (step, map) = all[index]
        let mixing = try? Factorization(
          step.map.mixing.matrix(UnsafePointer(values.base)), size: step.map.channels)
        (start + index).initialize(
          to: MapCondition(
            step: step.name, mixingLogDeterminant: mixing?.logAbsoluteDeterminant ?? -.infinity,
            mixingCondition: (try? mixing?.conditionNumber()) ?? .infinity,
            logDeterminant: map.logAbsoluteDeterminant,
            condition: (try? map.conditionNumber()) ?? .infinity))
      }
      count = all.count
    }
  }
}
