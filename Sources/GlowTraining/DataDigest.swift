import GlowFlow
import GlowImages

/// A number that tells whether images are still those that a run began with.
public enum DataDigest {
  /// Images whose bytes are looked at, spread evenly over all.
  private static let imageCount = 1000

  /// Of the number of images, all their classes, and the bytes of some of them.
  ///
  /// - Parameters:
  ///   - onError: whether images that cannot be read are passed over.
  ///   - progress: is told how many images of how many are done.
  /// - Throws: `FileError` of an image that cannot be read.
  public static func of(
    _ dataset: any Dataset, onError: ErrorPolicy = .fail,
    progress: (_ done: Int, _ count: Int) -> Void = { _, _ in }
  ) throws -> String {
    var words = [dataset.count] + (0..<dataset.count).map { dataset.label($0) ?? -1 }
    let looked = dataset.spread(over: imageCount)
    for index in 0..<looked.count {
      progress(index, looked.count)
      let image: ByteImage
      do { image = try looked.image(index) } catch {
        if onError == .fail { throw error }
        words.append(-1)
        continue
      }
      words.append(image.pixels.withUnsafeBufferPointer { Int(bitPattern: UInt(Dequantization.digest($0))) })
    }
    let digest = words.withUnsafeBytes { $0.withMemoryRebound(to: UInt8.self) { Dequantization.digest($0) } }
    return String(digest, radix: 16)
  }
}
