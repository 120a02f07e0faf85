import Foundation
import GlowFlow

/// Why a step of training is not to be trusted.
enum Trouble {
  /// The loss, or the norm of its gradient, is not finite.
  case notFinite
  /// A loss far above the lowest level so far, and in how many steps in a row.
  case spike(loss: Double, level: Double, count: Int)
  /// The update left a channel map that has no inverse, or one could not be inverted in backward.
  case singular(any Error)

  var description: String {
    switch self {
    case .notFinite: "the loss or its gradient is not finite"
    case .spike(let loss, let level, let count):
      String(format: "the loss is %.4g and has been %.4g", loss, level)
        + (count > 1 ? ", for \(count) steps now" : "")
    case .singular(let error): "\(error)"
    }
  }
}

/// What is done about trouble.
enum Response {
  /// No update this time.
  case skip
  /// Back to the last good state.
  case rollBack
  /// Back to the last good state, and on with half the rate.
  case rollBackAndSlow
  case giveUp
}

/// What the guards remember. It is part of every checkpoint, so that a resumed run decides as the whole one.
struct Safeguard: Codable, Equatable {
  /// A factor on the learning rate.
  private(set) var rateFactor = 1.0
  /// Bad steps so far.
  private(set) var badSteps = 0
  /// Bad steps since the last calm.
  private var troubles = 0
  private var latestTrouble = 0
  /// Running mean of the loss of good steps, and its lowest value.
  private var mean: Double?
  private var level: Double?
  /// Spikes in a row.
  private var spikes = 0
  /// What gradients are clipped by; nil before the first, after a roll-back, and in the checkpoints of an earlier version.
  private(set) var norms: GradientNorms?
  /// What was due at steps with trouble: it waits for a good one. Absent in the checkpoints of an earlier version.
  private(set) var postponed: Duties?

  /// Spikes in a row that are taken for divergence: batches differ, so it is the weights that have gone bad.
  private static let patienceWithSpikes = 5
  /// Good steps after which earlier trouble no longer counts.
  private static let calm = 200
  /// Troubles, each within that time of the one before, at which a run ends: after 8 halvings, at 1/256 of the rate.
  static let patience = 11

  /// Whether a step's loss shows trouble. It may be above its lowest level by as many bits/dim as the images
  /// have, which no healthy run comes near: images coded without any model need no more than those.
  mutating func judge(loss: Double, gradientNorm: Double, bits: Int) -> Trouble? {
    guard loss.isFinite && gradientNorm.isFinite else { return .notFinite }
    if let level, loss > level + Double(bits) {
      spikes += 1
      return .spike(loss: loss, level: level, count: spikes)
    }
    spikes = 0
    let mean = mean.map { 0.9 * $0 + 0.1 * loss } ?? loss
    self.mean = mean
    level = min(level ?? mean, mean)
    return nil
  }

  /// The factor that clips a gradient to `ratio` times the running mean of the norms before.
  mutating func scale(ofNorm norm: Double, ratio: Double) -> Double {
    var norms = norms ?? GradientNorms(first: norm)
    defer { self.norms = norms }
    return norms.scale(ofNorm: norm, ratio: ratio)
  }

  mutating func postpone(_ duties: Duties) { postponed = duties.isEmpty ? nil : duties }

  /// Whether trouble says nothing about the weights: a single wild batch.
  static func isPassing(_ trouble: Trouble) -> Bool {
    if case .spike(_, _, let count) = trouble { return count < patienceWithSpikes }
    return false
  }

  /// Whether the step before `step` was bad, so that its weights may be.
  func isSuspect(at step: Int) -> Bool { spikes > 0 || (troubles > 0 && latestTrouble == step - 1) }

  /// Decides what to do about trouble at a step: first the gentlest that can help, then more if it repeats.
  mutating func respond(to trouble: Trouble, step: Int) -> Response {
    badSteps += 1
    if Safeguard.isPassing(trouble) { return .skip }
    if step - latestTrouble > Safeguard.calm { troubles = 0 }
    latestTrouble = step
    troubles += 1
    if troubles >= Safeguard.patience {
      // Whoever goes on from here has changed something.
      troubles = 0
      return .giveUp
    }
    if troubles == 1, case .notFinite = trouble { return .skip }
    spikes = 0
    // Those of the weights that are given up: a divergence would leave a limit that limits nothing.
    norms = nil
    if troubles <= 2 { return .rollBack }
    rateFactor /= 2
    return .rollBackAndSlow
  }
}
