import Foundation
import GlowFiles
import Synchronization

/// Parts a data set in two by what its images are, so that neither names nor order matter, nor what is done to the images
/// when they are opened: twins are always on the same side.
enum HeldOut {
  /// The images whose hash lies in the lowest `share` of all values that a hash can have, about so many, or the others.
  ///
  /// Reads the stored bytes of every image, on all threads. What is damaged so that it has none is not held out.
  /// - Throws: `FileError` if the system refuses to read one.
  static func indices(of dataset: any Dataset, share: Double, isHeldOut: Bool) throws -> [Int] {
    let chosen = Mutex<Result<[Int], any Error>>(.success([]))
    let pieces = (dataset.count + 255) / 256
    DispatchQueue.concurrentPerform(iterations: pieces) { piece in
      let found = Result {
        try (piece * 256..<min(dataset.count, (piece + 1) * 256)).filter { index in
          let hash = try hash(index, of: dataset)
          return (hash.map { Double($0 >> 11) / Double(1 << 53) < share } ?? false) == isHeldOut
        }
      }
      chosen.withLock { all in all = all.flatMap { all in found.map { all + $0 } } }
    }
    return try chosen.withLock { $0 }.get().sorted()
  }

  private static func hash(_ index: Int, of dataset: any Dataset) throws -> UInt64? {
    do { return try dataset.contentHash(index) } catch let error as FileError {
      // Another time it may be read, and then be on the other side.
      if error.isOfSystem { throw error }
      return nil
    }
  }
}

/// A hash of an image's bytes.
enum ContentHash {
  /// FNV-1a (Fowler, Noll & Vo), stirred at the end so that the upper bits depend on all bytes.
  static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var hash = plain(bytes)
    hash = (hash ^ hash >> 33) &* 0xFF51_AFD7_ED55_8CCD
    hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
    return hash ^ hash >> 33
  }

  /// FNV-1a alone.
  static func plain(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}
