import GlowFiles
import GlowFlow
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowStorage

@Suite("Hostile models")
struct HostileModelTests {
  private let folder: TemporaryFolder
  private var path: String { "\(folder.path)/model.safetensors" }

  init() throws { folder = try TemporaryFolder() }

  private func bytes() throws -> [UInt8] { try MappedFile(path).withBytes { Array($0) } }

  /// The file at `path`, and a copy of it whose checksums nobody looks for.
  private func seeds() throws -> [[UInt8]] {
    let file = try SafetensorsFile(path)
    let whole = try bytes()
    var copy = whole
    for index in 0..<whole.count - 7 where whole[index..<index + 7].elementsEqual(Array("\"crc32.".utf8)) {
      copy[index + 1] = UInt8(ascii: "C")
    }
    try AtomicFile.write(copy, to: path)
    #expect(try SafetensorsFile(path).entries == file.entries)
    return [whole, copy]
  }

  private func expectAnswers(
    _ seeds: [[UInt8]], count: Int = 500, sourceLocation: SourceLocation = #_sourceLocation,
    _ read: () throws -> Void
  ) throws {
    let outcome = readHostileFiles(like: seeds, count: count) { file in
      try overwrite(path, with: file)
      try read()
    }
    #expect(outcome.wrong == [], sourceLocation: sourceLocation)
    #expect(
      outcome.accepted > 0 && outcome.refused > count / 10, "\(outcome)", sourceLocation: sourceLocation)
  }

  @Test("changed safetensors files")
  func safetensors() throws {
    var writer = SafetensorsWriter(metadata: ["key": "value"])
    writer.add("a", shape: [2, 3], values: [Float](repeating: 1, count: 6))
    writer.add("b", shape: [], values: [Double.pi])
    writer.add("c", shape: [0, 5], values: [UInt8]())
    try writer.write(to: path)
    try expectAnswers(seeds()) {
      let file = try SafetensorsFile(path)
      for entry in file.entries {
        let values = try file.values(entry.name, as: Double.self)
        #expect(values.count == entry.count)
      }
      try file.checkSums()
    }
  }

  @Test("changed models")
  func models() throws {
    let glow = try randomGlow(
      {
        $0.permutation = .factoredConvolution
        $0.levels = 1
        $0.depth = 1
      }, as: Float.self)
    try ModelFile.write(glow, to: path)
    let team = ThreadTeam(count: 1)
    try expectAnswers(seeds()) {
      let read = try ModelFile.read(path, as: Float.self, team: team).glow
      let isFinite = read.values.values.allSatisfy { $0.isFinite }
      #expect(isFinite)
    }
  }

  @Test("finite parameters whose weights are not finite are refused with the layer's name")
  func absurdities() throws {
    let glow = try randomGlow({ $0.levels = 2 }, as: Float.self)
    let scales = glow.parameters.entries.filter {
      $0.name.hasPrefix("level1.step0") && $0.name.hasSuffix("logs")
    }
    #expect(scales.count > 2)
    for entry in scales {
      let kept = entry.range.map { glow.values.base[$0] }
      for index in entry.range { glow.values.base[index] = 100 }
      try ModelFile.write(glow, to: path)
      for (index, value) in zip(entry.range, kept) { glow.values.base[index] = value }
      let error = try #require(throws: FileError.self) { try ModelFile.read(path, as: Float.self) }
      #expect(error.path == path && error.reason.hasPrefix("level1.step0"), "\(entry.name): \(error)")
    }
  }

  @Test(
    "finite parameters that no training gives are refused with the layer's name, and those that one may give are not",
    arguments: [
      ("level0.split.conv.bias", -1e4, "level0.split"), ("level0.split.conv.bias", 1e4, "level0.split"),
      ("level0.split.conv.weight", 1e30, "level0.split"), ("top.prior.bias", 1e30, "top.prior"),
      ("top.prior.bias", 1e3, "top.prior"), ("top.prior.weight", 1e30, "top.prior"),
      ("top.class_embedding.weight", 1e3, "top.prior"), ("top.class_embedding.bias", -1e3, "top.prior"),
      ("level0.step1.coupling.conv1.weight", 1e20, "level0.step1"),
      ("level0.step1.coupling.actnorm1.bias", 1e20, "level0.step1"),
      ("level0.step1.coupling.conv2.weight", 1e30, "level0.step1"),
      ("level0.step1.coupling.conv3.bias", 1e38, "level0.step1"),
      ("level1.step0.actnorm.logs", 20, "level1.step0"), ("level1.step0.actnorm.logs", -20, "level1.step0"),
      ("level1.step0.actnorm.bias", 1e20, "level1.step0"),
      ("level1.step0.invconv.weight", 1e20, "level1.step0"),
      // Of channels without variance.
      ("level1.step0.actnorm.logs", 4.7, nil), ("top.prior.bias", 10, nil),
    ] as [(String, Float, String?)])
  func absurdity(parameter: String, value: Float, layer: String?) throws {
    let glow = try randomGlow(
      {
        $0.levels = 2
        $0.classCount = 3
      }, as: Float.self)
    let entry = try #require(glow.parameters[parameter])
    // A matrix of one value has no inverse.
    for index in entry.range where !parameter.contains("invconv") || index == entry.offset {
      glow.values.base[index] = value
    }
    try ModelFile.write(glow, to: path)
    guard let layer else {
      _ = try ModelFile.read(path, as: Float.self)
      return
    }
    let error = try #require(throws: FileError.self) { try ModelFile.read(path, as: Float.self) }
    #expect(error.path == path && error.reason.hasPrefix("\(layer): "), "\(error)")
  }

  @Test("changed models of other implementations", arguments: ForeignFormat.allCases)
  func foreignModels(format: ForeignFormat) throws {
    // A new model, because the formats hold less than a random one; without edge weights, as they lack those too.
    var configuration = GlowConfiguration()
    (configuration.imageHeight, configuration.imageWidth) = (8, 8)
    (configuration.levels, configuration.depth, configuration.width) = (2, 1, 6)
    if format == .realnvp { (configuration.architecture, configuration.blocks) = (.realNVP, 1) }
    let glow = try Glow<Float>(configuration: configuration, team: ThreadTeam(count: 1))
    for entry in glow.parameters.entries where entry.shape.count == 4 {
      for index in 0..<entry.count where index / entry.shape[3] % entry.shape[2] == entry.shape[2] - 1 {
        glow.values.base[entry.offset + index] = 0
      }
    }
    try ModelExport.write(glow, as: format, to: path)
    let team = ThreadTeam(count: 1)
    try expectAnswers(seeds(), count: 200) {
      _ = try ModelImport.read(path, from: format, imageSize: 8, as: Float.self, team: team)
    }
  }

  // MARK: Claims that no memory must be booked for

  @Test("a header of 2⁶³ bytes, and a shape of a million dimensions")
  func hugeHeader() throws {
    try AtomicFile.write([0, 0, 0, 0, 0, 0, 0, 128] + Array("{}".utf8), to: path)
    #expect(
      throws: FileError(
        path,
        "is not a safetensors file: a header of 9223372036854775808 bytes is more than the format's 100000000"
      )
    ) { try SafetensorsFile(path) }
    let shape = String(repeating: "1,", count: 1_000_000) + "1"
    let header = Array(#"{"a":{"dtype":"F32","shape":[\#(shape)],"data_offsets":[0,4]}}"#.utf8)
    try AtomicFile.write(
      withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header + [0, 0, 0, 0], to: path)
    let error = try #require(throws: FileError.self) { try SafetensorsFile(path) }
    #expect(error.reason.hasSuffix("expected at most 64 values in a list"))
  }

  /// Writes a file that holds `count` bytes under the name of one of the model's parameters.
  private func write(claiming configuration: String, count: Int) throws {
    var writer = SafetensorsWriter(metadata: [
      "format": "glow", "glow.version": "1", "glow.configuration": configuration,
    ])
    writer.add("initialised", shape: [count], values: [UInt8](repeating: 1, count: count))
    try writer.write(to: path)
  }

  private func configuration(_ changes: (String, Int)...) -> String {
    var numbers = [
      "imageHeight": 32, "imageWidth": 32, "imageChannels": 3, "levels": 3, "depth": 1, "width": 1, "bits": 8,
      "classCount": 0,
    ]
    for (name, value) in changes { numbers[name] = value }
    let members =
      numbers.map { "\"\($0)\":\($1)" } + [
        #""coupling":"affine""#, #""permutation":"invconv""#, #""learnsTopPrior":true"#,
      ]
    return "{\(members.joined(separator: ","))}"
  }

  @Test("a model whose sides make its last channel map take 64 GB is refused for what the file lacks")
  func hugeSides() throws {
    // 16·2¹³ channels at the last of 12 levels; the networks alone, of width 1, are small.
    let claim = configuration(
      ("imageHeight", 16384), ("imageWidth", 16384), ("imageChannels", 16), ("levels", 12))
    try write(claiming: claim, count: 3_000_000)
    #expect(throws: FileError(path, "initialised: has shape [3000000], expected [1]")) {
      try ModelFile.read(path, as: Float.self)
    }
    try write(claiming: claim, count: 1)
    #expect(throws: FileError(path, "describes a model of more than 2358732 parameters, holds 1")) {
      try ModelFile.read(path, as: Float.self)
    }
  }

  @Test("a model of a million classes, of the greatest width and depth, or of impossible sides is refused")
  func hugeConfigurations() throws {
    func expect(_ change: (String, Int)..., reason: String, sourceLocation: SourceLocation = #_sourceLocation)
      throws
    {
      var text = configuration()
      for (name, value) in change {
        text = text.replacing(try Regex("\"\(name)\":[0-9]+"), with: "\"\(name)\":\(value)")
      }
      try write(claiming: text, count: 1)
      let error = try #require(throws: FileError.self, sourceLocation: sourceLocation) {
        try ModelFile.read(path, as: Float.self)
      }
      #expect(error.reason.hasPrefix(reason), "\(error)", sourceLocation: sourceLocation)
    }
    try expect(
      ("classCount", 1_000_000), reason: "glow.configuration: the number of classes must be 0 to 65536")
    try expect(("width", 16384), ("depth", 1024), reason: "describes a model of more than ")
    try expect(("imageHeight", Int.max), reason: "glow.configuration: images must have sides of 1 to 16384")
    try expect(("levels", Int.max), reason: "glow.configuration: levels must be 1 to 12")
    try expect(("classCount", 65536), reason: "describes a model of more than ")
  }

  /// Writes a file of tensors of zeros.
  private func write(_ tensors: [(name: String, shape: [Int])]) throws {
    var writer = SafetensorsWriter()
    for (name, shape) in tensors {
      writer.add(name, shape: shape, values: [Float](repeating: 0, count: shape.reduce(1, *)))
    }
    try writer.write(to: path)
  }

  private let firstStep: [(name: String, shape: [Int])] = [
    ("blocks.0.flows.0.actnorm.loc", [1, 12, 1, 1]),
    ("blocks.0.flows.0.coupling.net.0.weight", [1, 6, 3, 3]),
    ("blocks.0.flows.0.coupling.net.4.conv.weight", [12, 1, 3, 3]),
  ]

  @Test("names that tell of a thousand steps are not believed without their tensors")
  func hugeImport() throws {
    try write(
      firstStep + (1..<1024).map { ("blocks.0.flows.\($0).actnorm.loc", [1]) }
        + (1..<5).map { ("blocks.\($0).flows.0.actnorm.loc", [1]) })
    let error = try #require(throws: FileError.self) {
      try ModelImport.read(path, from: .rosinality, as: Float.self)
    }
    #expect(error.reason.hasPrefix("describes a model of more than "))
  }

  @Test("the number of a step tells of no steps before it")
  func lastStepAlone() throws {
    try write(firstStep + [("blocks.0.flows.1023.actnorm.loc", [1]), ("blocks.4.flows.0.actnorm.loc", [1])])
    #expect(throws: FileError(path, "blocks.0.flows.0.actnorm.initialized: is missing")) {
      try ModelImport.read(path, from: .rosinality, as: Float.self)
    }
  }

  @Test("a split after a thousand steps is not believed without their tensors")
  func lateSplit() throws {
    try write([
      ("flow.layers.1.actnorm.bias", [1, 12, 1, 1]), ("flow.layers.1.block.0.conv.weight", [1, 6, 3, 3]),
      ("flow.layers.1.block.4.conv.weight", [12, 1, 3, 3]), ("flow.layers.1024.conv.bias", [1]),
    ])
    let error = try #require(throws: FileError.self) {
      try ModelImport.read(path, from: .y0ast, as: Float.self)
    }
    #expect(error.reason.hasPrefix("describes a model of more than "), "\(error)")
  }
}
