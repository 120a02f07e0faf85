import Foundation
import GlowFiles
import GlowTestSupport
import Testing

@testable import GlowImages

/// Small images of 13×18 that Pillow wrote.
enum PillowFiles {
  static let baseline = data(
    """
    /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFd\
    BRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0\
    9PT09PT09PT09PT09PT0//wAARCAANABIDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAt\
    RAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3\
    ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usL\
    DxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8\
    QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpK\
    jU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3\
    uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDlLTSM4+Wtm20UAAsoAre0+yi\
    OK1bSyibLtyQM1zQrR9nGTV2/0MMuzSVzmxpEWOn6GiuyFsmB8q/lRWX12l2X3P8AzPpf7Tmf/9k=
    """)
  static let turned = data(
    """
    /9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDABsSFBcUERsXFhc\
    eHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl\
    1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAANABIDASIAAhEBAxEB/\
    8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJx\
    FDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXq\
    DhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+P\
    n6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhc\
    RMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3\
    eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb\
    3+Pn6/9oADAMBAAIRAxEAPwDKitM9quR2Qxkir9vAvFWooVPzGs1NcqbW5GHxLM37Gv8AkUVsiNcdB+VFR7aHZfd/wT0vrL\
    P/2Q==
    """)
  static let inks = data(
    """
    /9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAbEhQXFBEbFxYXHhwbIChCKyglJShROj0wQmBVZWRfVV1baniZgWpxkHNbXYW1hpC\
    eo6utq2eAvMm6pseZqKuk/8AAFAgADQASBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC/\
    /EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqN\
    DU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4\
    ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwDIse1Zv9nf7NYlpa+djiu\
    mrobHtR/Z3+zWoukQxxebOyxp6t39h6n2orWHQUf2d/s08WWlY/13/kJv8KK4ix7V1P2WOjw9Csm3NFdDY9qPssdOtR9qEt\
    9c/vGRCwUcAADOB6CitYdBR9ljpy38u0fubbp/cb/4qiv/2Q==
    """)
  static let lossy = data(
    """
    UklGRnoAAABXRUJQVlA4IG4AAAAwBACdASoSAA0APxFysVAsJqSisAgBgCIJbACdMoRwIsAAxeztsIQrLOAA/uxDygI1lyS\
    gG2xeYNOzMe3SLAnI+Lg3l+ImHE47DrRZYXpH3nBeX/xgW0Gb/4wLaozw5pqn9APtHqVaq6kEE7AAAA==
    """)
  static let alpha = data(
    """
    UklGRmAAAABXRUJQVlA4TFQAAAAvEQADELkyRPQ/duWP6H9AQdtGjjkcf7bzB4BxUNu2kSvoAFVX3f33P0AaIAchQQqxOQF\
    IyvPAYP4tzIgIsAxQgA6AHoYMpA0MDZigyEBK0ChJ+AA=
    """)

  private static func data(_ text: String) -> [UInt8] { [UInt8](Data(base64Encoded: text)!) }
}

@Suite("JPEG and WebP")
struct CodecTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private func decode(_ bytes: [UInt8], background: Background? = nil) throws -> ByteImage {
    try bytes.withUnsafeBytes { try ImageFile.decode($0, path: "a", background: background) }
  }

  /// The image that the files were made of.
  private func original(_ y: Int, _ x: Int) -> [Int] { [x * 14 % 256, y * 19 % 256, x * y * 3 % 256] }

  @Test(
    "images come out as they went in, nearly",
    arguments: [PillowFiles.baseline, PillowFiles.inks, PillowFiles.lossy])
  func lossy(file: [UInt8]) throws {
    let image = try decode(file)
    #expect(image.shape == ImageShape(height: 13, width: 18, channels: 3))
    var error = 0
    for y in 0..<13 {
      for x in 0..<18 {
        for c in 0..<3 { error += abs(Int(image.pixels[(y * 18 + x) * 3 + c]) - original(y, x)[c]) }
      }
    }
    #expect(error / image.shape.count < 40)
  }

  @Test("a photograph is turned as its EXIF orientation says")
  func turned() throws {
    let image = try decode(PillowFiles.turned)
    #expect(image.shape == ImageShape(height: 18, width: 13, channels: 3))
    // Red grows from left to right as stored, and so from top to bottom once upright.
    let red = (0..<18).map { row in Int(image.pixels[(row * 13 + 6) * 3]) }
    #expect(red[0] < red[8] && red[8] < red[17])
    let header = try PillowFiles.turned.withUnsafeBytes { try ImageFile.header(of: $0, path: "a") }
    #expect(header.traits == .turned && header.shape == image.shape)
  }

  @Test("every orientation brings a corner where EXIF says", arguments: 1...8)
  func orientations(value: Int) throws {
    let orientation = try #require(Orientation(rawValue: value))
    let image = ByteImage(shape: ImageShape(height: 2, width: 3, channels: 1), pixels: [1, 2, 3, 4, 5, 6])
    let wanted: [[UInt8]] = [
      [1, 2, 3, 4, 5, 6], [3, 2, 1, 6, 5, 4], [6, 5, 4, 3, 2, 1], [4, 5, 6, 1, 2, 3], [1, 4, 2, 5, 3, 6],
      [4, 1, 5, 2, 6, 3], [6, 3, 5, 2, 4, 1], [3, 6, 2, 5, 1, 4],
    ]
    #expect(orientation.apply(image).pixels == wanted[value - 1])
  }

  @Test("a lossless WebP is exact; transparent pixels keep their colors or lie on a background")
  func lossless() throws {
    let image = try decode(PillowFiles.alpha, background: Background("0,0,255"))
    for (y, x) in [(0, 0), (5, 7), (12, 17)] {
      let (alpha, start) = ((x + y) * 8, (y * 18 + x) * 3)
      let wanted = zip(original(y, x), [0, 0, 255]).map {
        UInt8(($0 * alpha + $1 * (255 - alpha) + 127) / 255)
      }
      #expect(Array(image.pixels[start..<start + 3]) == wanted)
    }
    let plain = try decode(PillowFiles.alpha)
    #expect(plain.pixels.suffix(3).map(Int.init) == original(12, 17))
  }

  @Test("content says what a file is, not its name; formats are mixed in a folder")
  func names() throws {
    try folder.write(PillowFiles.baseline, "a.png")
    try folder.write(PillowFiles.lossy, "b.jpg")
    try folder.write(testImage(13, 18, 3), "c.webp")
    try folder.write(PillowFiles.inks, "d.JPEG")
    let opened = try DataSource.open(folder.path, part: .train)
    #expect(
      opened.dataset.count == 4
        && opened.note
          == "1 .jpeg, 1 .jpg, 1 .png, 1 .webp; CMYK images become RGB (\(folder.path)/d.JPEG)"
    )
    #expect(try opened.dataset.image(0) == decode(PillowFiles.baseline))
    #expect(try opened.dataset.image(2) == testImage(13, 18, 3))
    try opened.dataset.checkAll()
    // Nor does a name without a suffix, or that of a format that is not read.
    let other = try TestFolder()
    try other.write(testImage(13, 18, 3), "a.bmp")
    try other.write(testImage(13, 18, 3), "b")
    try other.write(Array("GIF89a".utf8), "c.gif")
    try other.write([1, 2], "README")
    let found = try DataSource.open(other.path, part: .train)
    #expect(
      found.dataset.count == 2
        && found.note == "1 without a suffix, 1 .bmp; left out: 1 .gif (not read), 1 other")
  }

  @Test("formats that are not read are named")
  func unread() {
    expectError("a", "is a GIF image, which is not read: convert it to PNG") {
      try decode(Array("GIF89a".utf8))
    }
    expectError("a", "is a BMP image, which is not read: convert it to PNG") {
      try decode(Array("BM1234".utf8))
    }
    expectError("a", "is a TIFF image, which is not read: convert it to PNG") {
      try decode([0x49, 0x49, 42, 0])
    }
    expectError("a", "is not a PNG, JPEG or WebP image") { try decode([1, 2, 3]) }
  }

  @Test(
    "truncated files are refused, not filled up",
    arguments: [PillowFiles.baseline, PillowFiles.inks, PillowFiles.lossy, PillowFiles.alpha])
  func truncated(file: [UInt8]) {
    for count in stride(from: 1, to: file.count - 12, by: 7) {
      #expect(throws: FileError.self, "\(count)") { try decode(Array(file.prefix(count))) }
    }
  }

  @Test(
    "changed files",
    arguments: [
      [PillowFiles.baseline, PillowFiles.turned, PillowFiles.inks], [PillowFiles.lossy, PillowFiles.alpha],
    ])
  func hostile(seeds: [[UInt8]]) {
    let outcome = readHostileFiles(like: seeds, count: 1000) { file in
      // Headers may claim up to the limits, which is right and slow.
      let shape = try file.withUnsafeBytes { try ImageFile.header(of: $0, path: "a").shape }
      if shape.count < 1 << 20 { _ = try decode(file) }
    }
    #expect(outcome.wrong == [])
    #expect(outcome.accepted > 0 && outcome.refused > 100, "\(outcome)")
  }

  @Test("a JPEG of 65500×65500 is refused before anything is allocated")
  func hugeJPEG() throws {
    var file = PillowFiles.baseline
    let start = try #require(file.indices.first { file[$0] == 0xFF && file[$0 + 1] == 0xC0 })
    file.replaceSubrange(start + 5..<start + 9, with: [0xFF, 0xDC, 0xFF, 0xDC])
    expectError("a", "is 65500×65500, expected at most 16384 a side") { try decode(file) }
    file.replaceSubrange(start + 5..<start + 9, with: [0x40, 0, 0x40, 0])
    expectError(
      "a", "is a damaged JPEG file: \(file.count) bytes cannot hold the 16384×16384 it claims"
    ) { try decode(file) }
  }

  @Test("bytes are those that Pillow gives", .python("PIL", "numpy"))
  func pillow() throws {
    let program = """
      import sys, numpy as np
      from PIL import Image, ImageOps
      folder = sys.argv[1]
      rng = np.random.default_rng(1)
      images = []
      for height, width in [(1, 1), (8, 8), (17, 33), (64, 50)]:
          y, x = np.mgrid[0:height, 0:width]
          smooth = np.stack([x * 5 % 256, y * 7 % 256, (x + y) * 3 % 256], -1)
          noise = rng.integers(0, 60, (height, width, 3))
          images.append(Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8)))
      number = 0
      def save(image, format, **options):
          global number
          path = f"{folder}/{number:04d}"
          image.save(path, format, **options)
          found = ImageOps.exif_transpose(Image.open(path))
          if found.mode != "L": found = found.convert("RGB")
          np.asarray(found).tofile(path + ".raw")
          number += 1
      for image in images:
          for quality in [20, 75, 95]:
              for sampling in [0, 1, 2]:
                  for progressive in [False, True]:
                      save(image, "JPEG", quality=quality, subsampling=sampling, progressive=progressive)
              save(image.convert("L"), "JPEG", quality=quality)
              save(image.convert("CMYK"), "JPEG", quality=quality)
              save(image, "WEBP", quality=quality)
              save(image.convert("L"), "WEBP", quality=quality)
          for turn in range(1, 9):
              exif = Image.Exif()
              exif[274] = turn
              for format in ["JPEG", "PNG", "WEBP"]: save(image, format, exif=exif)
          save(image, "WEBP", lossless=True)
          save(image, "JPEG", restart_marker_blocks=2)
          save(image, "JPEG", keep_rgb=True)
      print(number)
      """
    let outcome = try Python.run(program, folder.path)
    let count = try #require(Int(outcome.output.split(separator: "\n").last ?? ""), "\(outcome.output)")
    #expect(count == 4 * (3 * 10 + 27))
    for number in 0..<count {
      let path = "\(folder.path)/\(String(format: "%04d", number))"
      let image = try ImageFile.read(path)
      #expect(try MappedFile(path + ".raw").withBytes { $0.elementsEqual(image.pixels) }, "\(path)")
    }
  }
}
