import GlowFlow
import GlowImages

/// A number that tells whether images are still those that a run began with.
package enum DataDigest {
  /// Images with fingerprints whose bytes are looked at too, spread evenly over all.
  private static let imageCount = 1000
  /// Bytes of images that are looked at: in arrays, of which nothing else tells, a quarter of a gigabyte.
  private static let byteCount = 1 << 28

  /// Of the number of images, their classes, their fingerprints, and the bytes of as many as can be read in a moment.
  ///
  /// - Parameters:
  ///   - onError: whether images that cannot be read are passed over.
  ///   - progress: is told how many images of how many are done.
  /// - Throws: `FileError` of an image that cannot be read.
  package static func of(
    _ dataset: any Dataset, onError: ErrorPolicy = .fail,
    progress: (_ done: Int, _ count: Int) -> Void = { _, _ in }
  ) throws -> String {
    var digest = mix(0, dataset.count)
    let hasClasses = !dataset.classNames.isEmpty
    for index in 0..<dataset.count {
      if hasClasses { digest = mix(digest, dataset.label(index) ?? -1) }
      if let fingerprint = dataset.fingerprint(index) { digest = mix(digest, fingerprint) }
    }
    let looked = dataset.spread(over: lookedAt(dataset))
    for index in 0..<looked.count {
      progress(index, looked.count)
      do {
        let pixels = try looked.image(index).pixels
        let word = pixels.withUnsafeBufferPointer { Dequantization.digest($0) }
        digest = mix(digest, Int(truncatingIfNeeded: word))
      } catch {
        if onError == .fail { throw error }
        digest = mix(digest, -1)
      }
    }
    return String(digest, radix: 16)
  }

  private static func lookedAt(_ dataset: any Dataset) -> Int {
    if dataset.count == 0 { return 0 }
    let most = max(1, byteCount / dataset.shape.count)
    return dataset.fingerprint(0) == nil ? most : min(most, imageCount)
  }

  private static func mix(_ digest: UInt64, _ word: Int) -> UInt64 {
    let product = (digest ^ UInt64(bitPattern: Int64(word))) &* 0x9E37_79B9_7F4A_7C15
    return (product ^ product >> 32) &+ 1
  }
}
