import Foundation
import GlowFiles
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow
@testable import GlowStorage

/// A model of 8×8 images whose parameters are all random.
func randomGlow<S: Scalar>(
  _ change: (inout GlowConfiguration) -> Void = { _ in }, hasEdges: Bool = true, as _: S.Type = S.self
) throws -> Glow<S> {
  var configuration = GlowConfiguration()
  configuration.imageHeight = 8
  configuration.imageWidth = 8
  configuration.levels = 2
  configuration.depth = 2
  configuration.width = 6
  change(&configuration)
  let glow = try Glow<S>(configuration: configuration, seed: 3, team: ThreadTeam(count: 1))
  var generator = SplitMix(state: 5)
  for entry in glow.parameters.entries where entry.isTrainable {
    let isEdge = { (index: Int) in
      entry.shape.count == 4 && index / entry.shape[3] % entry.shape[2] == entry.shape[2] - 1
    }
    for index in 0..<entry.count {
      glow.values.base[entry.offset + index] += S(Double.random(in: -0.05...0.05, using: &generator))
      if !hasEdges && isEdge(index) { glow.values.base[entry.offset + index] = 0 }
    }
  }
  glow.isInitialized = true
  try glow.parametersChanged()
  return glow
}

@Suite("Model files")
struct ModelFileTests {
  private let folder: TemporaryFolder
  private var path: String { "\(folder.path)/model.safetensors" }

  init() throws { folder = try TemporaryFolder() }

  @Test(
    "a model is read back bit by bit, from its file and from its folder", arguments: PermutationKind.allCases)
  func roundTrip(kind: PermutationKind) throws {
    let glow: Glow<Float> = try randomGlow {
      $0.permutation = kind
      $0.coupling = kind == .shuffle ? .additive : .affine
      $0.classCount = kind == .reverse ? 3 : 0
      $0.learnsTopPrior = kind != .reverse
    }
    try ModelFile.write(glow, metadata: ["note": "kept"], to: path)
    let (fromFile, metadata) = try ModelFile.read(path, as: Float.self)
    #expect(fromFile.configuration == glow.configuration && fromFile.isInitialized)
    #expect(fromFile.values.values.elementsEqual(glow.values.values))
    #expect(metadata["note"] == "kept" && metadata["format"] == "glow" && metadata["glow.version"] == "1")
    // What was read may be written again, with the metadata it came with.
    try ModelFile.write(fromFile, metadata: metadata, to: path)
    let fromFolder = try ModelFile.read(folder.path, as: Double.self).glow
    #expect(fromFolder.values.values.elementsEqual(glow.values.values.map { Double($0) }))
  }

  @Test("other values than the model's own can be written")
  func averagedValues() throws {
    let glow: Glow<Float> = try randomGlow()
    let halved = glow.values.values.map { $0 / 2 }
    try ModelFile.write(glow, values: halved, to: path)
    #expect(try SafetensorsFile(path).values("level0.step0.actnorm.bias", as: Float.self)[0] == halved[1])
  }

  /// Writes a model with one entry changed; nil leaves it out.
  private func write(
    _ glow: Glow<Float>, metadata: [String: String] = [:], name: String = "",
    _ change: ((shape: [Int], values: [Float])) -> (shape: [Int], values: [Float])?
  ) throws {
    try ModelFile.write(glow, to: path)
    let file = try SafetensorsFile(path)
    var writer = SafetensorsWriter(metadata: file.metadata.merging(metadata) { $1 })
    for entry in file.entries {
      let values = try file.values(entry.name, as: Float.self)
      if entry.name != name {
        writer.add(entry.name, shape: entry.shape, values: values)
      } else if let changed = change((entry.shape, values)) {
        writer.add(entry.name, shape: changed.shape, values: changed.values)
      }
    }
    try writer.write(to: path)
  }

  private func expectRefusal(_ reason: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let error = try #require(throws: FileError.self, sourceLocation: sourceLocation) {
      try ModelFile.read(path, as: Float.self)
    }
    #expect(error.path == path && error.reason.hasPrefix(reason), sourceLocation: sourceLocation)
  }

  @Test("what no model can be made of is refused with the entry's name")
  func refusals() throws {
    let glow: Glow<Float> = try randomGlow { $0.permutation = .factoredConvolution }
    let bias = "level1.step0.actnorm.bias"
    try write(glow, name: bias) { _ in nil }
    try expectRefusal("\(bias): is missing")
    try write(glow, name: bias) { ([24, 1], $0.values) }
    try expectRefusal("\(bias): has shape [24, 1], expected [24]")
    try write(glow, name: bias) { ($0.shape, $0.values.map { _ in .nan }) }
    try expectRefusal("\(bias): value 0 is nan")
    let permutation = "level0.step1.invconv.permutation"
    try write(glow, name: permutation) { ($0.shape, $0.values.map { $0 == 3 ? 12 : $0 }) }
    try expectRefusal("\(permutation): is not a permutation of 0 to 11")
    let sign = "level0.step0.invconv.sign"
    try write(glow, name: sign) { ($0.shape, $0.values.map { _ in 0 }) }
    try expectRefusal("\(sign): value 0 is 0.0, expected 1 or -1")
  }

  @Test("a model that earlier versions would take for another has a later version of the format, and is read")
  func laterVersion() throws {
    var configuration = GlowConfiguration()
    (configuration.levels, configuration.depth, configuration.width, configuration.logit) = (1, 1, 4, 1e-5)
    try ModelFile.write(Glow<Float>(configuration: configuration, seed: 1), to: path)
    let found: (glow: Glow<Float>, metadata: [String: String]) = try ModelFile.read(path)
    #expect(found.metadata["glow.version"] == "2" && found.glow.configuration == configuration)
  }

  @Test("a channel map without an inverse is refused with its step")
  func singularMap() throws {
    try write(randomGlow(), name: "level1.step1.invconv.weight") { ($0.shape, $0.values.map { _ in 1 }) }
    try expectRefusal("level1.step1: the channel map cannot be inverted")
  }

  @Test("metadata that describes no model, or a larger one than the file holds, is refused")
  func metadata() throws {
    let glow: Glow<Float> = try randomGlow()
    func refuse(_ key: String, _ text: String, _ reason: String) throws {
      try write(glow, metadata: [key: text]) { $0 }
      try expectRefusal(reason)
    }
    try refuse("format", "pt", "is not a model of this program")
    try refuse(
      "glow.version", "3",
      "has format version 3, written by glow \(Release.version); this program, glow \(Release.version), reads "
        + "versions 1 and 2")
    try refuse("glow.configuration", "{}", "glow.configuration: is not a model's configuration: {}")
    try ModelFile.write(glow, to: path)
    let text = try #require(try SafetensorsFile(path).metadata["glow.configuration"])
    let changes = [
      ("\"depth\":2", "\"depth\":0", "glow.configuration: depth must be 1 to 1024, not 0"),
      (
        "\"width\":6", "\"width\":16384",
        "describes a model of more than 1084"
      ),
    ]
    for (old, new, reason) in changes {
      try refuse("glow.configuration", text.replacingOccurrences(of: old, with: new), reason)
    }
    try refuse(
      "glow.configuration", text.replacingOccurrences(of: "\"depth\":2", with: "\"depth\":1"),
      "level0.step1.actnorm.bias: is no parameter of the model")
  }
}
