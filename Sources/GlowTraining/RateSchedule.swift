import GlowKernels

/// How the learning rate falls from its full value, at the end of the warm-up, to a fraction of it at the last update.
///
/// The averaged weights of a high constant rate are far better than the raw ones; a rate that falls brings the raw ones
/// there too (`docs/recipes.md` has measurements).
public enum RateSchedule: String, Sendable, Codable, CaseIterable {
  /// Does not fall.
  case constant
  /// Half a period of a cosine (Loshchilov & Hutter 2017, without restarts).
  case cosine
  /// The same decrement each update.
  case linear
  /// The same factor each update.
  case exponential

  /// The factor on the full rate.
  ///
  /// - Parameters:
  ///   - progress: the share of the updates after the warm-up that is done, 0…1.
  ///   - final: the factor at 1.
  public func factor(at progress: Double, final: Double) -> Double {
    switch self {
    case .constant: 1
    case .cosine: final + (1 - final) * 0.5 * (1 + Elementary.cosine(turns: progress / 2))
    case .linear: 1 - (1 - final) * progress
    case .exponential: Elementary.exp(progress * Elementary.log(final))
    }
  }
}
