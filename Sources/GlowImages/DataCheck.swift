import Foundation
import GlowFiles
import Synchronization

/// Decoding everything before a long job relies on it.
package enum DataCheck {
  /// Decodes every image on all threads.
  ///
  /// - Parameter progress: is told after each 64, one call at a time, on any thread.
  /// - Returns: why images cannot be read, in their order, and what is to be known of the others.
  package static func brokenImages(
    _ dataset: any Dataset, progress: () -> Void = {}
  ) -> (broken: [FileError], note: String?) {
    withoutActuallyEscaping(progress) { brokenImages(dataset, escaping: $0) }
  }

  private static func brokenImages(
    _ dataset: any Dataset, escaping progress: @escaping () -> Void
  ) -> (broken: [FileError], note: String?) {
    let state = Mutex((broken: [(index: Int, error: FileError)](), traits: TraitCounts()))
    // Called by who holds the lock.
    nonisolated(unsafe) let progress = progress
    DispatchQueue.concurrentPerform(iterations: (dataset.count + 63) / 64) { piece in
      let range = piece * 64..<min(dataset.count, (piece + 1) * 64)
      var broken: [(index: Int, error: FileError)] = []
      var traits: [ImageTraits] = []
      for index in range {
        do { traits.append(try dataset.imageAndTraits(index).traits) } catch {
          broken.append((index, error as? FileError ?? FileError(dataset.source(index), "\(error)")))
        }
      }
      state.withLock {
        $0.broken += broken
        for item in traits { $0.traits.add(item) }
        progress()
      }
    }
    return state.withLock { ($0.broken.sorted { $0.index < $1.index }.map(\.error), $0.traits.note) }
  }
}
