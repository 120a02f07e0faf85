import GlowFlow
import GlowKernels

extension Glow<Float> {
  /// The memory of passes without gradients: their workspace, and images that are read ahead and decoded.
  private func inferenceBytes(batch: Int) -> Int {
    workspaceBytes(batch: batch, purpose: .inference) + 4 * batch * configuration.dimensions
  }

  /// - Throws: `MemoryError` if passes of `batch` images do not fit into memory.
  func requireMemory(batch: Int) throws {
    try GlowKernels.requireMemory(
      inferenceBytes(batch: batch), for: "a pass over a batch of \(batch)",
      advice: batch > 1 ? "use a smaller batch" : "free memory, or use a smaller model")
  }

  /// The largest number of images, at most `most`, that `passes` objects can each send through the model at once:
  /// what comes of an image does not depend on it.
  package func batchThatFits(_ most: Int, passes: Int = 1) -> Int {
    guard let available = availableMemory() else { return most }
    var batch = most
    while batch > 1 && passes * inferenceBytes(batch: batch) > available / 2 { batch = (batch + 1) / 2 }
    return batch
  }
}
