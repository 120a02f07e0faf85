import Foundation
import GlowFiles
import Synchronization

/// Decoding everything before a long job relies on it.
public enum DataCheck {
  /// Decodes every image on all threads.
  ///
  /// - Parameter progress: is told now and then, on any thread, how many of how many are done.
  /// - Returns: why images cannot be read, in their order.
  public static func brokenImages(
    _ dataset: any Dataset, progress: @Sendable (_ done: Int, _ count: Int) -> Void = { _, _ in }
  ) -> [FileError] {
    let state = Mutex((done: 0, broken: [(index: Int, error: FileError)]()))
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
        $0.done += range.count
        $0.broken += broken
        progress($0.done, dataset.count)
      }
    }
    return state.withLock { $0.broken.sorted { $0.index < $1.index }.map(\.error) }
  }
}
