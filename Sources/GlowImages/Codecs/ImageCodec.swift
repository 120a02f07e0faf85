import GlowFiles

/// What is said of an image file before it is decoded.
struct ImageHeader: Sendable, Equatable {
  /// Of the decoded image: gray or RGB.
  let shape: ImageShape
  var traits: ImageTraits = []
}

/// What a person should know about how a file becomes bytes.
package struct ImageTraits: OptionSet, Sendable, Hashable, Codable {
  package let rawValue: Int

  package init(rawValue: Int) { self.rawValue = rawValue }

  /// Has a channel of transparency, whatever is in it.
  static let alpha = ImageTraits(rawValue: 1)
  /// Has 16 bits a value, which are reduced to 8.
  static let deep = ImageTraits(rawValue: 2)
  /// Is turned or mirrored as its EXIF orientation says.
  static let turned = ImageTraits(rawValue: 4)
  /// Holds inks, which become RGB.
  static let inks = ImageTraits(rawValue: 8)
  /// Lacks its last chunk and is whole otherwise.
  static let unended = ImageTraits(rawValue: 16)
  /// Is an animation, of which the default image is taken.
  static let animated = ImageTraits(rawValue: 32)
  /// Is gray, and is repeated in three channels.
  static let repeated = ImageTraits(rawValue: 64)
  /// Holds three channels that agree, of which one is taken.
  static let agreeing = ImageTraits(rawValue: 128)
  /// Has pixels that are transparent, whose colors nobody sees and are taken.
  static let transparent = ImageTraits(rawValue: 256)
  /// Is smaller than wanted, and is put on a ground of zeros.
  static let padded = ImageTraits(rawValue: 512)
  /// Loses its borders.
  static let cut = ImageTraits(rawValue: 1024)
  /// Is averaged over areas.
  static let reduced = ImageTraits(rawValue: 2048)

  /// What is done to an image's size.
  fileprivate static let ofSize: ImageTraits = [.padded, .cut, .reduced]

  /// What the header says, now that the pixels say whether one of them is transparent.
  func seen(isTransparent: Bool) -> ImageTraits {
    subtracting(.alpha).union(isTransparent ? .transparent : [])
  }
}

/// How many images have which traits.
package struct TraitCounts: Sendable, Hashable, Codable {
  private var images = 0
  private var counts: [ImageTraits: Int] = [:]

  private static let names: [(ImageTraits, String)] = [
    (.deep, "have 16-bit values, reduced to 8"), (.transparent, "have transparency, which is dropped"),
    (.alpha, "have a channel of transparency, which is dropped"),
    (.turned, "are turned as their EXIF orientation says"), (.inks, "are CMYK and become RGB"),
    (.unended, "lack their last chunk"), (.animated, "are animations, of which one picture is taken"),
    (.repeated, "are gray and are repeated in three channels"), (.agreeing, "are RGB and become gray"),
    (.padded, "are padded"), (.cut, "are cropped"), (.reduced, "are averaged"),
  ]

  package init() {}

  package mutating func add(_ traits: ImageTraits) {
    images += 1
    for (trait, _) in Self.names where traits.contains(trait) { counts[trait, default: 0] += 1 }
  }

  package mutating func add(_ other: TraitCounts) {
    images += other.images
    counts.merge(other.counts, uniquingKeysWith: +)
  }

  /// "of 1,000 images 3 have transparency, which is dropped"; nil if there is nothing to say. What is done to the size of all
  /// images alike is known before.
  package var note: String? {
    let items = Self.names.compactMap { trait, text in
      counts[trait].flatMap { count in
        ImageTraits.ofSize.contains(trait) && count == images ? nil : "\(count.grouped) \(text)"
      }
    }
    return items.isEmpty ? nil : "of \(images.counted("image")) " + items.joined(separator: ", ")
  }
}

/// A color behind transparent pixels.
package struct Background: Sendable, Hashable {
  /// Red, green and blue.
  package let color: [UInt8]

  /// - Parameter text: "white", "black", one level "128" or three "255,128,0".
  package init?(_ text: String) {
    switch text {
    case "white": color = [255, 255, 255]
    case "black": color = [0, 0, 0]
    default:
      let levels = text.split(separator: ",", omittingEmptySubsequences: false).map { UInt8($0) }
      guard levels.count == 1 || levels.count == 3, !levels.contains(nil) else { return nil }
      color = levels.count == 3 ? levels.map { $0! } : [UInt8](repeating: levels[0]!, count: 3)
    }
  }

  /// Lays `source`, `[pixels, channels + 1]` with alpha last, on the color.
  ///
  /// - Throws: `FileError` if gray pixels are to lie on a color.
  private func composite(
    _ source: [UInt8], channels: Int, into pixels: UnsafeMutableBufferPointer<UInt8>, path: String
  ) throws {
    if channels == 1 && Set(color).count != 1 {
      throw FileError(path, "is gray with transparent pixels, expected a gray --background, such as white")
    }
    for pixel in 0..<source.count / (channels + 1) {
      let start = pixel * (channels + 1)
      let alpha = Int(source[start + channels])
      for channel in 0..<channels {
        let sum = alpha * Int(source[start + channel]) + (255 - alpha) * Int(color[channel])
        pixels[pixel * channels + channel] = UInt8((sum + 127) / 255)
      }
    }
  }

  /// Takes the alpha out of `source`, `[pixels, channels + 1]` with alpha last: by laying the colors on a background or, where
  /// there is none, by taking them as stored.
  ///
  /// - Returns: whether there is no background and a pixel that needs one.
  /// - Throws: as `composite`.
  static func flatten(
    _ source: [UInt8], channels: Int, on background: Background?,
    into pixels: UnsafeMutableBufferPointer<UInt8>, path: String
  ) throws -> Bool {
    if let background {
      try background.composite(source, channels: channels, into: pixels, path: path)
      return false
    }
    var isTransparent = false
    for pixel in 0..<source.count / (channels + 1) {
      let start = pixel * (channels + 1)
      if source[start + channels] != 255 { isTransparent = true }
      for channel in 0..<channels { pixels[pixel * channels + channel] = source[start + channel] }
    }
    return isTransparent
  }
}

/// A file format of single images.
protocol ImageCodec: Sendable {
  /// "PNG".
  static var name: String { get }

  static func recognizes(_ bytes: UnsafeRawBufferPointer) -> Bool

  /// Checks what the file claims against its size, before anything is allocated for it.
  ///
  /// - Throws: `FileError`.
  static func header(of bytes: UnsafeRawBufferPointer, path: String) throws -> ImageHeader

  /// Decodes into `pixels`, which has the bytes that the header promised.
  ///
  /// - Parameter background: what transparent pixels are laid on; nil takes their colors as stored.
  /// - Returns: the traits of the header as the pixels confirm them.
  /// - Throws: `FileError`.
  @discardableResult
  static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, background: Background?,
    into pixels: UnsafeMutableBufferPointer<UInt8>
  ) throws -> ImageTraits
}

/// Image files of any format that is read. The content says which it is, not the name.
package enum ImageFile {
  static let codecs: [any ImageCodec.Type] = [PNG.self, JPEG.self, WebP.self]
  /// Of a file's first bytes, those that tell its format.
  static let startSize = 12

  /// - Parameter background: what transparent pixels are laid on; nil takes their colors as stored.
  /// - Throws: `FileError`.
  package static func read(_ path: String, background: Background? = nil) throws -> ByteImage {
    try MappedFile(path).withBytes { try decode($0, path: path, background: background) }
  }

  /// What a person should know of how a file becomes bytes; nothing if it cannot be read.
  package static func notes(_ path: String, background: Background?) -> [String] {
    let file = SingleFile(path)
    return (try? file.list()).map { FolderProbe($0, in: file, background: background).notes } ?? []
  }

  static func header(of bytes: UnsafeRawBufferPointer, path: String) throws -> ImageHeader {
    try codec(of: bytes, path: path).header(of: bytes, path: path)
  }

  static func decode(
    _ bytes: UnsafeRawBufferPointer, path: String, background: Background? = nil
  ) throws -> ByteImage { try decoded(bytes, path: path, background: background).image }

  /// - Returns: the image, and what a person should know about it.
  /// - Throws: `FileError`.
  static func decoded(
    _ bytes: UnsafeRawBufferPointer, path: String, background: Background? = nil
  ) throws -> (image: ByteImage, traits: ImageTraits) {
    let codec = try codec(of: bytes, path: path)
    let shape = try codec.header(of: bytes, path: path).shape
    var traits: ImageTraits = []
    let pixels = try [UInt8](unsafeUninitializedCapacity: shape.count) { buffer, count in
      traits = try codec.decode(
        bytes, path: path, background: background,
        into: UnsafeMutableBufferPointer(rebasing: buffer[..<shape.count]))
      count = shape.count
    }
    return (ByteImage(shape: shape, pixels: pixels), traits)
  }

  static func codec(of bytes: UnsafeRawBufferPointer, path: String) throws -> any ImageCodec.Type {
    if bytes.isEmpty { throw FileError(path, "is empty, expected \(expected)") }
    if let codec = codecs.first(where: { $0.recognizes(bytes) }) { return codec }
    if let other = unread(bytes) {
      throw FileError(path, "is \(other), which is not read: convert it to PNG")
    }
    throw FileError(path, "is not \(expected)")
  }

  /// What the first bytes say of formats that are known by name only.
  private static func unread(_ bytes: UnsafeRawBufferPointer) -> String? {
    let start = Array(bytes.prefix(12))
    func begins(_ text: String) -> Bool { start.starts(with: text.utf8) }
    if begins("GIF8") { return "a GIF image" }
    if begins("BM") { return "a BMP image" }
    if begins("II*\0") || begins("MM\0*") { return "a TIFF image" }
    if start.dropFirst(4).starts(with: "ftypavi".utf8) { return "an AVIF image" }
    if start.dropFirst(4).starts(with: "ftyphei".utf8) { return "an HEIC image" }
    return nil
  }

  /// "a PNG, JPEG or WebP image".
  static var expected: String { "a " + list(codecs.map { $0.name }) + " image" }

  private static func list(_ names: [String]) -> String {
    names.count == 1 ? names[0] : names.dropLast().joined(separator: ", ") + " or " + names.last!
  }

  // MARK: Names

  /// What a file's name says of its content, as far as images are concerned.
  enum Kind { case read, unread }

  /// nil if the name is not that of an image.
  static func kind(_ name: ArraySlice<UInt8>) -> Kind? {
    switch suffix(name) {
    case "png", "jpg", "jpeg", "jpe", "jfif", "webp": .read
    case "gif", "bmp", "tif", "tiff", "avif", "heic": .unread
    default: nil
    }
  }

  /// What follows the last point of a name, in small letters; empty if that is not a few ASCII letters.
  static func suffix(_ name: ArraySlice<UInt8>) -> String {
    guard let point = name.lastIndex(of: UInt8(ascii: ".")), name.endIndex - point <= 13 else { return "" }
    let text = name[(point + 1)...]
    guard text.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) }) else {
      return ""
    }
    return String(decoding: text, as: UTF8.self).lowercased()
  }
}
