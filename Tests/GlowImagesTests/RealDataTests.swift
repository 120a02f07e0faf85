import Foundation
import GlowFiles
import GlowTestSupport
import Testing

@testable import GlowImages

@Suite("Real data sets", .realData)
struct RealDataTests {
  private let folder = realData ?? ""

  @Test("every file of PngSuite decodes, or is refused if its name starts with x")
  func pngSuite() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/pngsuite").sorted().filter {
      $0.hasSuffix(".png")
    }
    try #require(names.count > 20)
    for name in names {
      let path = "\(folder)/pngsuite/\(name)"
      if name.hasPrefix("x") {
        #expect(throws: FileError.self, "\(name)") { try PNG.read(path) }
      } else {
        let image = try PNG.read(path)
        // The digit before the color type's letter: 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA.
        let type = name.dropLast(".png".count).suffix(4).first
        #expect(image.shape.channels == (type == "0" || type == "4" ? 1 : 3), "\(name)")
        #expect(Set(image.pixels).count > 1, "\(name)")
      }
    }
  }

  @Test("interlaced files hold the same as the others")
  func interlacing() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/pngsuite").sorted()
    let pairs = names.filter { names.contains("i" + $0) }
    try #require(pairs.count > 10)
    for name in pairs {
      #expect(
        try PNG.read("\(folder)/pngsuite/\(name)") == PNG.read("\(folder)/pngsuite/i\(name)"), "\(name)")
    }
  }

  @Test("CIFAR-10 as batches: every class, and the planes of the last record")
  func cifarBatches() throws {
    let dataset = try DataSource.open("\(folder)/cifar-10-batches-bin", part: .test).dataset
    #expect(dataset.classNames.first == "airplane" && dataset.classNames.last == "truck")
    #expect(Set((0..<dataset.count).map(dataset.label)) == Set(0...9))
    let file = try Data(contentsOf: URL(filePath: "\(folder)/cifar-10-batches-bin/test_batch.bin"))
    let image = try dataset.image(dataset.count - 1)
    for channel in 0..<3 {
      let plane = file.suffix(3072).dropFirst(1024 * channel).prefix(1024)
      #expect(stride(from: channel, to: 3072, by: 3).map { image.pixels[$0] } == Array(plane))
    }
  }

  @Test("CIFAR-10 as PNG files: classes, and the sum of all pixels as another decoder finds it")
  func cifarFiles() throws {
    let opened = try DataSource.open("\(folder)/cifar-10-png", part: .test)
    let dataset = opened.dataset
    #expect(opened.kind == "images" && opened.part == .test && dataset.count == 200)
    #expect(dataset.classNames.first == "airplane" && dataset.classNames.count == 10)
    try dataset.checkAll()
    var sum = 0
    for index in 0..<dataset.count {
      sum = try dataset.image(index).pixels.reduce(sum) { $0 + Int($1) }
      #expect(dataset.source(index).contains("/\(dataset.classNames[index / 20])/"))
      #expect(dataset.label(index) == index / 20)
    }
    #expect(sum == 72_630_011)
  }

  @Test("MNIST", arguments: [DataPart.train, .test])
  func mnist(part: DataPart) throws {
    var options = DataOptions()
    options.imageSize = 32
    let opened = try DataSource.open("\(folder)/mnist-idx", part: part, options: options)
    let dataset = opened.dataset
    #expect(opened.notes.contains("28×28 images are padded to 32×32: bits/dim is over the padded size"))
    #expect(dataset.shape == ImageShape(height: 32, width: 32, channels: 1))
    #expect(Set((0..<dataset.count).map(dataset.label)) == Set(0...9))
    let image = try dataset.image(0)
    #expect(image.pixels.prefix(64).allSatisfy { $0 == 0 } && image.pixels.contains { $0 > 200 })
  }
}
