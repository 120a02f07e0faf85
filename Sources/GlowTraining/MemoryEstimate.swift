import Foundation
import GlowFlow
import GlowImages
import GlowKernels

/// The memory that a training run will take, and whether it keeps the hidden activations.
package struct MemoryEstimate: Sendable {
  package let parameterBytes: Int
  package let workspaceBytes: Int
  package let keepsHidden: Bool
  /// Of images that are kept unpacked, which are not free any more.
  package let unpackedBytes: Int
  package let available: Int?

  package var bytes: Int { parameterBytes + workspaceBytes + unpackedBytes }
  var purpose: Purpose { .training(keepsHidden: keepsHidden) }

  /// Bytes for each parameter: weights, gradients, two moments, average, and folded weights with their gradient; with
  /// guards also weights, average and moments of the last good state; with packed products panels of the folded weights,
  /// of their transposes, and of the averaged model's.
  private static func bytesOfParameter(_ configuration: TrainingConfiguration, _ kernels: ProductKernels)
    -> Int
  {
    ((configuration.guards ? 12 : 8) + (kernels == .packed ? 3 : 0)) * MemoryLayout<Float>.stride
  }

  /// The part of what is available that a run may take.
  private static func limit(_ available: Int?) -> Int { available.map { $0 / 10 * 9 } ?? .max }

  /// Refuses a model whose parameters alone do not fit, before memory is booked for them.
  ///
  /// - Parameter available: bytes; nil where it cannot be told.
  /// - Throws: `TrainingError` with the estimate and what to change.
  package static func check(
    _ model: GlowConfiguration, _ configuration: TrainingConfiguration, _ kernels: ProductKernels,
    available: Int? = availableMemory()
  ) throws {
    let bytes = try model.parameters().count * bytesOfParameter(configuration, kernels)
    if bytes > limit(available) {
      throw TrainingError(
        "training needs about \(megabytes(bytes)) of memory for the parameters alone and "
          + "\(megabytes(available!)) are free: use a smaller width or depth, or fewer levels")
    }
  }

  /// Of a run with a model.
  ///
  /// - Parameters:
  ///   - imageCount: images to train on; if nil, as many as initialization takes.
  ///   - available: bytes; nil where it cannot be told.
  /// - Throws: `TrainingError` if not even recomputing the hidden activations would fit.
  package init(
    _ glow: Glow<Float>, _ configuration: TrainingConfiguration, imageCount: Int? = nil,
    available: Int? = availableMemory()
  ) throws {
    let parts = BatchParts(configuration)
    // Sums over parts of the batch that wait for their neighbors.
    let sums = BatchPass.sumCount(0..<parts.count) * MemoryLayout<Float>.stride
    parameterBytes =
      (MemoryEstimate.bytesOfParameter(configuration, glow.kernels) + sums) * glow.parameters.count
      + glow.team.count * Optimizer<Float>.scratchCount(glow.parameters, configuration.optimizer)
      * MemoryLayout<Float>.stride
    self.available = available
    unpackedBytes = Unpacked.bytes
    let initialization =
      glow.isInitialized
      ? 0
      : glow.workspaceBytes(
        batch: configuration.initializationImages(of: imageCount ?? .max), purpose: .inference)
    func estimate(_ keepsHidden: Bool) -> Int {
      max(
        glow.workspaceBytes(batch: parts.size, purpose: .training(keepsHidden: keepsHidden)), initialization)
    }
    let limit = MemoryEstimate.limit(available)
    let kept = estimate(true)
    switch configuration.activations {
    case .keep: keepsHidden = true
    case .recompute: keepsHidden = false
    case .automatic: keepsHidden = parameterBytes + kept <= limit
    }
    workspaceBytes = keepsHidden ? kept : estimate(false)
    if parameterBytes + workspaceBytes > limit {
      throw TrainingError(
        "training needs about \(megabytes(parameterBytes + workspaceBytes)) of memory and \(megabytes(available!)) are free: "
          + (workspaceBytes == initialization
            ? "initialize from fewer images (--init-images), or use a smaller width or image size"
            : "use a smaller \(parts.count > 1 ? "micro-batch" : "batch"), width or image size"
              + (keepsHidden ? ", or recompute the activations" : "")))
    }
  }

  package var description: String {
    "memory: about \(megabytes(bytes)) (\(megabytes(parameterBytes)) for the parameters, "
      + "\(megabytes(workspaceBytes)) for activations, hidden ones \(keepsHidden ? "kept" : "recomputed")"
      + (unpackedBytes < 1_000_000 ? ")" : ", \(megabytes(unpackedBytes)) for unpacked images)")
      + (available.map { ", \(megabytes($0)) free" } ?? "")
  }
}
