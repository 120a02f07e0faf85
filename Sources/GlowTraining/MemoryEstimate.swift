import Foundation
import GlowFlow

/// The memory that a training run will take, and whether it keeps the hidden activations.
public struct MemoryEstimate: Sendable {
  /// Weights, gradients, two moments, average, and folded weights with their gradient; with guards also weights,
  /// average and moments of the last good state.
  public let parameterBytes: Int
  public let workspaceBytes: Int
  public let keepsHidden: Bool
  public let available: Int?

  public var bytes: Int { parameterBytes + workspaceBytes }
  var purpose: Purpose { .training(keepsHidden: keepsHidden) }

  /// - Throws: `TrainingError` if not even recomputing the hidden activations would fit.
  init(_ glow: Glow<Float>, _ configuration: TrainingConfiguration) throws {
    parameterBytes = (configuration.guards ? 12 : 8) * 4 * glow.parameters.count
    available = availableMemory()
    func estimate(_ keepsHidden: Bool) -> Int {
      max(
        glow.workspaceBytes(batch: configuration.batch, purpose: .training(keepsHidden: keepsHidden)),
        glow.isInitialised
          ? 0 : glow.workspaceBytes(batch: configuration.initialisationImages, purpose: .inference))
    }
    let limit = available.map { $0 / 10 * 9 } ?? .max
    let kept = estimate(true)
    switch configuration.activations {
    case .keep: keepsHidden = true
    case .recompute: keepsHidden = false
    case .automatic: keepsHidden = parameterBytes + kept <= limit
    }
    workspaceBytes = keepsHidden ? kept : estimate(false)
    if bytes > limit {
      throw TrainingError(
        "training needs about \(megabytes(bytes)) of memory and \(megabytes(available!)) are free: "
          + "use a smaller --batch, --width or --image-size"
          + (keepsHidden ? ", or --activations recompute" : ""))
    }
  }

  public var description: String {
    "memory: about \(megabytes(bytes)) (\(megabytes(parameterBytes)) for the parameters, "
      + "\(megabytes(workspaceBytes)) for activations, hidden ones \(keepsHidden ? "kept" : "recomputed"))"
      + (available.map { ", \(megabytes($0)) free" } ?? "")
  }

  fileprivate func megabytes(_ bytes: Int) -> String { "\(bytes / 1_000_000) MB" }
}
