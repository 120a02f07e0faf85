import Foundation
import GlowFiles
import Synchronization

/// Decoding everything before a long job relies on it.
package enum DataCheck {
  /// Decodes every image on all threads.
  ///
  /// - Parameter progress: is told after each 64, one call at a time, on any thread.
  /// - Returns: why images cannot be read, in their order.
  package static func brokenImages(
    _ dataset: any Dataset, progress: () -> Void = {}
  ) -> [FileError] {
    withoutActuallyEscaping(progress) { brokenImages(dataset, escaping: $0) }
  }

  private static func brokenImages(
    _ dataset: any Dataset, escaping progress: @escaping () -> Void
  ) -> [FileError] {
    let state = Mutex([(index: Int, error: FileError)]())
    // Called by who holds the lock.
    nonisolated(unsafe) let progress = progress
    DispatchQueue.concurrentPerform(iterations: (dataset.count + 63) / 64) { piece in
      let range = piece * 64..<min(dataset.count, (piece + 1) * 64)
      let broken = range.compactMap { index -> (index: Int, error: FileError)? in
        do {
          _ = try dataset.image(index)
          return nil
        } catch {
          return (index, error as? FileError ?? FileError(dataset.source(index), "\(error)"))
        }
      }
      state.withLock {
        $0 += broken
        progress()
      }
    }
    return state.withLock { $0.sorted { $0.index < $1.index }.map(\.error) }
  }
}
