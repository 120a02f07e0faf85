import Foundation
import GlowFiles
import GlowImages
import GlowTestSupport
import Testing

@testable import GlowTraining

@Suite("Digests of data")
struct DataDigestTests {
  private func images(_ count: Int) -> [ByteImage] {
    (0..<count).map { index in
      ByteImage(
        shape: ImageShape(height: 1, width: 1, channels: 3),
        pixels: [UInt8(truncatingIfNeeded: index), UInt8(truncatingIfNeeded: index >> 8), 7])
    }
  }

  @Test("every image of an array counts")
  func arrays() throws {
    let images = images(3000)
    let digest = try DataDigest.of(ImageArray(images))
    #expect(try digest == DataDigest.of(ImageArray(images)))
    for index in [0, 1, 1500, 2998, 2999] {
      var changed = images
      changed[index] = ByteImage(shape: images[0].shape, pixels: [9, 9, 9])
      #expect(try digest != DataDigest.of(ImageArray(changed)), "\(index)")
    }
    #expect(try digest != DataDigest.of(ImageArray(Array(images.dropLast()))))
  }

  @Test("of a large folder every name and size counts, wherever it stands and whenever it was written")
  func folders() throws {
    let root = FileManager.default.temporaryDirectory.appending(path: "glow-digest-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: root) }
    func write(_ name: String) throws {
      for (index, image) in images(1100).enumerated() {
        try overwrite(
          "\(root)/\(name)/\(String(format: "%04d", index)).png", with: Array(PNG.encode(image)))
      }
    }
    func digest(_ name: String) throws -> String {
      try DataDigest.of(DataSource.open("\(root)/\(name)", part: .train).dataset)
    }
    for name in ["one", "two"] {
      try FileManager.default.createDirectory(
        atPath: "\(root)/\(name)", withIntermediateDirectories: true)
      try write(name)
    }
    let before = try digest("one")
    #expect(try before == digest("two"))
    // Not among the thousand images whose bytes are read.
    try overwrite(
      "\(root)/two/0010.png", with: Array(PNG.encode(images(11)[10])) + [0])
    #expect(try before != digest("two"))
    try FileManager.default.moveItem(
      atPath: "\(root)/one/0010.png", toPath: "\(root)/one/0010b.png")
    #expect(try before != digest("one"))
  }
}
