import GlowFlow
import GlowKernels

/// How the parameters follow the gradient.
public enum OptimizerKind: String, Sendable, Codable, CaseIterable {
  /// Adam with the largest past gradient in place of its root mean square (section 7 of Kingma & Ba 2015).
  case adamax
  /// Kingma & Ba 2015, algorithm 1.
  case adam
  /// Muon for filters (Jordan et al. 2024), which takes the gradient of a matrix as a whole; Adam for the rest.
  case muon
}

/// Adamax, Adam or Muon on one slab of parameters, with the moving average of the weights kept in the same pass.
///
/// With t the number of updates so far, this one included,
///
///     m ← β1·m + (1 − β1)·g
///     v ← max(β2·v, |g|)            (Adamax)        v ← β2·v + (1 − β2)·g²   (Adam)
///     w ← (1 − rate·λ)·w − rate·√(1 − β2ᵗ)/(1 − β1ᵗ)·m/(v + ε)   … m/(√v + ε)
///     average ← decay·average + (1 − decay)·w
///
/// The bias factor is the original implementation's for both. ε = 10⁻⁸. λ is that of decoupled weight decay (Loshchilov &
/// Hutter 2019, algorithm 2), and 0 for all parameters whose role is not `decayed`. Muon takes a filter as a whole
/// (`MomentUpdate.applyOrthogonalized`), without v and the bias factor.
package final class Optimizer<S: Scalar> {
  package let kind: OptimizerKind
  package let beta1: Double
  package let beta2: Double
  package let firstMoment: Slab<S>
  /// Adamax: the largest past gradient, decayed.
  package let secondMoment: Slab<S>
  /// Values that are learned one by one, and their λ; ranges are in order.
  private let parts: [(ranges: [Range<Int>], decay: Double)]
  /// Those that Muon takes as a whole, the most work first.
  private let filters: [ParameterEntry]
  private let weightDecay: Double
  private let kernels: ProductKernels

  /// - Parameters:
  ///   - weightDecay: λ of what decays.
  ///   - kernels: what makes Muon's products.
  /// - Throws: `MemoryError`.
  package init(
    _ kind: OptimizerKind, betas: (Double, Double) = (0.9, 0.999), parameters: ParameterList,
    weightDecay: Double = 0, kernels: ProductKernels = .standard
  ) throws {
    self.kind = kind
    (beta1, beta2) = betas
    (self.weightDecay, self.kernels) = (weightDecay, kernels)
    firstMoment = try Slab(count: parameters.count)
    secondMoment = try Slab(count: parameters.count)
    filters = kind == .muon ? parameters.entries.filter(\.isFilter).sorted(by: Self.isMoreWork) : []
    parts = [
      (parameters.ranges(of: .learned), 0),
      (parameters.ranges { $0.role == .decayed && !(kind == .muon && $0.isFilter) }, weightDecay),
    ]
  }

  /// About how many values of memory each thread of an update needs besides.
  package static func scratchCount(_ parameters: ParameterList, _ kind: OptimizerKind) -> Int {
    if kind != .muon { return 0 }
    // The direction, its transpose and the next one, and what is as long as the shorter side.
    return parameters.entries.filter(\.isFilter).map { filter in
      let columns = filter.shape.last!
      let size = min(columns, filter.count / columns)
      return 3 * filter.count + 3 * size * size
    }.max() ?? 0
  }

  /// Of orthogonalization, which multiplies a matrix with the square one of its smaller side.
  private static func isMoreWork(_ one: ParameterEntry, _ other: ParameterEntry) -> Bool {
    func work(_ entry: ParameterEntry) -> Int {
      let columns = entry.shape.last!
      return entry.count * min(columns, entry.count / columns)
    }
    return (work(other), one.offset) < (work(one), other.offset)
  }

  /// An update of all learned parameters, to be applied to the filters first, and to the others in parts.
  package struct Update {
    fileprivate let parts: [(moments: MomentUpdate<S>, ranges: [Range<Int>])]
    fileprivate let filters: (moments: MomentUpdate<S>, entries: [ParameterEntry])
    fileprivate let kernels: ProductKernels

    /// Updates the filters that are taken as a whole, if there are any, on a team.
    package func applyToFilters(on team: ThreadTeam) {
      let (moments, entries) = filters
      if entries.isEmpty { return }
      // Weights, moments and average in and out, and the gradient in.
      let plan = WorkPlan("orthogonalization", bytes: { 7 * MemoryLayout<S>.stride * entries[$0].count })
      team.run(entries.count, as: plan) { index, _ in
        moments.applyOrthogonalized(entries[index].range, columns: entries[index].shape.last!, kernels)
      }
    }

    /// Updates those of the other learned parameters that are in a range; each must be in one such range and no more.
    package func apply(to part: Range<Int>) {
      for (moments, ranges) in parts { apply(moments, to: part, of: ranges) }
    }

    private func apply(_ moments: MomentUpdate<S>, to part: Range<Int>, of ranges: [Range<Int>]) {
      var (low, high) = (0, ranges.count)
      while low < high {
        let middle = (low + high) / 2
        if ranges[middle].upperBound <= part.lowerBound { low = middle + 1 } else { high = middle }
      }
      while low < ranges.count, ranges[low].lowerBound < part.upperBound {
        moments.apply(ranges[low].clamped(to: part))
        low += 1
      }
    }
  }

  /// One update.
  ///
  /// - Parameters:
  ///   - step: t, from 1.
  ///   - scale: a factor on the gradient, below 1 where it is clipped.
  ///   - average: the moving average of the weights, if one is kept, and its decay.
  package func update(
    _ values: UnsafeMutablePointer<S>, gradients: UnsafePointer<S>, step: Int, rate: Double,
    scale: Double = 1, average: (values: UnsafeMutablePointer<S>, decay: Double)? = nil
  ) -> Update {
    let correction = (1 - Elementary.power(beta2, step)).squareRoot() / (1 - Elementary.power(beta1, step))
    var update = MomentUpdate(
      values: values, gradients: gradients, first: firstMoment.base, second: secondMoment.base,
      average: average?.values)
    update.isAdamax = kind == .adamax
    (update.scale, update.rate, update.epsilon) = (S(scale), S(rate * correction), S(1e-8))
    (update.keepFirst, update.takeFirst) = (S(beta1), S(1 - beta1))
    (update.keepSecond, update.takeSecond) = (S(beta2), S(1 - beta2))
    (update.keepAverage, update.takeAverage) = (S(average?.decay ?? 0), S(1 - (average?.decay ?? 0)))
    func decaying(_ decay: Double) -> MomentUpdate<S> {
      var update = update
      update.keepValue = S(1 - rate * decay)
      return update
    }
    var whole = decaying(weightDecay)
    whole.rate = S(rate)
    return Update(
      parts: parts.map { (decaying($0.decay), $0.ranges) }, filters: (whole, filters), kernels: kernels)
  }
}
