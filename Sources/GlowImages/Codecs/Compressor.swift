import CWebP
import GlowFiles

/// A lossless compressor of images, by whose size their complexity is measured.
package enum Compressor: String, Sendable, CaseIterable {
  /// libpng at zlib's level 9.
  case png
  /// libwebp's lossless mode, always of RGB: a gray image is repeated in three channels.
  case webp

  /// Bytes of the image as a file.
  ///
  /// - Throws: `FileError` if the library refuses, as it does when memory runs out.
  package func size(of image: ByteImage) throws -> Int {
    switch self {
    case .png: return try PNG.encode(image, compression: 9).count
    case .webp:
      guard let image = image.with(channels: 3) else {
        throw FileError("an image", "of \(image.shape) cannot be a WebP file")
      }
      var bytes: UnsafeMutablePointer<UInt8>?
      let (height, width) = (Int32(image.shape.height), Int32(image.shape.width))
      let count = image.pixels.withUnsafeBufferPointer {
        WebPEncodeLosslessRGB($0.baseAddress, width, height, 3 * width, &bytes)
      }
      WebPFree(bytes)
      if count == 0 { throw FileError("an image", "cannot be compressed by libwebp") }
      return count
    }
  }
}
