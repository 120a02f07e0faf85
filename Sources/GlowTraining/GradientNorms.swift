/// How large gradients have been of late, by which those that are much larger are scaled down.
///
/// On images of few levels the loss was seen to jump where gradients grow from step to step (`docs/robustness.md`). A limit
/// that follows the norms fits any data.
struct GradientNorms: Codable, Equatable {
  /// Running mean of the norms, each clipped.
  private(set) var mean: Double
  private var count = 0

  /// The decay of the mean, at first less, so that it is soon that of the run.
  private static let decay = 0.99

  init(first norm: Double) { mean = norm.isFinite ? norm : 0 }

  /// The factor that clips a gradient to `ratio` times the mean of those before; one that is not finite, which without
  /// guards goes into the weights as it is, counts for nothing.
  mutating func scale(ofNorm norm: Double, ratio: Double) -> Double {
    if !norm.isFinite { return 1 }
    let clipped = mean > 0 ? min(norm, ratio * mean) : norm
    let decay = min(Self.decay, Double(count) / Double(10 + count))
    mean = decay * mean + (1 - decay) * clipped
    count += 1
    return clipped < norm ? clipped / norm : 1
  }
}
