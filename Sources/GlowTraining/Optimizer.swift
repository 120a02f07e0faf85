import GlowKernels

/// How the parameters follow the gradient.
public enum OptimizerKind: String, Sendable, Codable, CaseIterable {
  /// Adam with the largest past gradient in place of its root mean square (section 7 of Kingma & Ba 2015).
  case adamax
  /// Kingma & Ba 2015, algorithm 1.
  case adam
}

/// Adamax or Adam on one slab of parameters, with the moving average of the weights kept in the same pass.
///
/// With t the number of updates so far, this one included,
///
///     m ← β1·m + (1 − β1)·g
///     v ← max(β2·v, |g|)            (Adamax)        v ← β2·v + (1 − β2)·g²   (Adam)
///     w ← (1 − rate·λ)·w − rate·√(1 − β2ᵗ)/(1 − β1ᵗ)·m/(v + ε)   … m/(√v + ε)
///     average ← decay·average + (1 − decay)·w
///
/// The bias factor is the original implementation's for both. ε = 10⁻⁸. λ is that of decoupled weight decay (Loshchilov &
/// Hutter 2019, algorithm 2), and 0 for all parameters that are no filters.
package final class Optimizer<S: Scalar> {
  package let kind: OptimizerKind
  package let beta1: Double
  package let beta2: Double
  package let firstMoment: Slab<S>
  /// Adamax: the largest past gradient, decayed.
  package let secondMoment: Slab<S>
  /// Values that are learned, and their λ.
  private let parts: [(ranges: [Range<Int>], decay: Double)]

  /// - Parameters:
  ///   - ranges: the values that are learned and do not decay.
  ///   - decayed: those that are learned and decay, and their λ.
  /// - Throws: `MemoryError`.
  package init(
    _ kind: OptimizerKind, betas: (Double, Double) = (0.9, 0.999), count: Int, ranges: [Range<Int>],
    decayed: (ranges: [Range<Int>], decay: Double) = ([], 0)
  ) throws {
    self.kind = kind
    (beta1, beta2) = betas
    firstMoment = try Slab(count: count)
    secondMoment = try Slab(count: count)
    parts = [(ranges, 0), decayed]
  }

  /// An update of all learned parameters, to be applied to them in parts.
  package struct Update {
    /// For the parameters that do not decay, and for those that do; ranges are in order.
    fileprivate let parts: [(moments: MomentUpdate<S>, ranges: [Range<Int>])]

    /// Updates those of the learned parameters that are in a range; each must be in one such range and no more.
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
    return Update(
      parts: parts.map { ranges, decay in
        update.keepValue = S(1 - rate * decay)
        return (update, ranges)
      })
  }
}
