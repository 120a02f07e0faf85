import Foundation
import Synchronization

/// Parts a data set in two by what its images are, so that neither names nor order matter, and the same pixels, as they are
/// opened, are always on the same side.
enum HeldOut {
  /// The images whose hash lies in the lowest `share` of all values that a hash can have, about so many, or the others.
  ///
  /// Reads every image, on all threads.
  /// - Throws: `FileError` of one that cannot be read.
  static func indices(of dataset: any Dataset, share: Double, isHeldOut: Bool) throws -> [Int] {
    let chosen = Mutex<Result<[Int], any Error>>(.success([]))
    let pieces = (dataset.count + 255) / 256
    DispatchQueue.concurrentPerform(iterations: pieces) { piece in
      let found = Result {
        try (piece * 256..<min(dataset.count, (piece + 1) * 256)).filter { index in
          let hash = hash(try dataset.image(index).pixels)
          return (Double(hash >> 11) / Double(1 << 53) < share) == isHeldOut
        }
      }
      chosen.withLock { all in all = all.flatMap { all in found.map { all + $0 } } }
    }
    return try chosen.withLock { $0 }.get().sorted()
  }

  /// FNV-1a (Fowler, Noll & Vo), stirred at the end so that the upper bits depend on all bytes.
  static func hash(_ bytes: [UInt8]) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    hash = (hash ^ hash >> 33) &* 0xFF51_AFD7_ED55_8CCD
    hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
    return hash ^ hash >> 33
  }
}
