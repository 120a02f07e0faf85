import Foundation
import GlowFiles
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow
@testable import GlowStorage

@Suite("Import and export")
struct ImportTests {
  private let folder: TemporaryFolder
  private var path: String { "\(folder.path)/foreign.safetensors" }

  init() throws { folder = try TemporaryFolder() }

  /// The largest difference of two models' parameters.
  private func difference<S>(_ a: Glow<S>, _ b: Glow<S>) -> Double {
    zip(a.values.values, b.values.values).reduce(0) { max($0, Double(abs($1.0 - $1.1))) }
  }

  @Test("an imported model is exported and imported as the same model", arguments: Reference.all)
  func inverse(reference: Reference) throws {
    let glow: Glow<Double> = try reference.glow()
    try ModelExport.write(glow, as: reference.format, to: path)
    let again: Glow<Double> = try ModelImport.read(
      path, from: reference.format, imageSize: reference.imageSize, bits: reference.bits)
    #expect(again.configuration == glow.configuration)
    #expect(difference(again, glow) < 1e-14)
    if reference.format == .rosinality { return }  // The reference has its 1×1 convolution in factors.
    let original = try SafetensorsFile(reference.path)
    let written = try SafetensorsFile(path)
    let names = original.entries.map(\.name).filter { $0.hasPrefix("weight.") }
    #expect(Set(names) == Set(written.entries.map { "weight.\($0.name)" }))
    for name in names {
      let entry = try written.entry(String(name.dropFirst(7)))
      #expect(try entry.shape == original.entry(name).shape, "\(name)")
    }
  }

  @Test("the original's format holds every model", arguments: PermutationKind.allCases)
  func original(kind: PermutationKind) throws {
    let glow: Glow<Double> = try randomGlow {
      $0.permutation = kind
      $0.classCount = 3
    }
    try ModelExport.write(glow, as: .openai, to: path)
    let again: Glow<Double> = try ModelImport.read(path, from: .openai, imageSize: 8)
    try expectSameLikelihoods(glow, again, labels: [0, 2])
  }

  @Test(
    "the other formats hold any mixing as a matrix, if there is no edge channel",
    arguments: PermutationKind.allCases)
  func anyMixing(kind: PermutationKind) throws {
    let glow: Glow<Double> = try randomGlow(
      {
        $0.permutation = kind
        $0.learnsTopPrior = false
      }, hasEdges: false)
    try ModelExport.write(glow, as: .y0ast, to: path)
    try expectSameLikelihoods(glow, ModelImport.read(path, from: .y0ast, imageSize: 8))
  }

  @Test("a model without an edge channel goes to the format that pads as it does, and to the original's")
  func paddings() throws {
    for (padding, own, other) in [
      (Padding.zeros, ForeignFormat.y0ast, ForeignFormat.rosinality), (.ones, .rosinality, .y0ast),
    ] {
      for coupling in [CouplingKind.affine, .additive] {
        let glow: Glow<Double> = try randomGlow {
          $0.padding = padding
          $0.coupling = coupling
        }
        for format in [own, .openai] {
          try ModelExport.write(glow, as: format, to: path)
          let again: Glow<Double> = try ModelImport.read(path, from: format, imageSize: 8)
          #expect(again.configuration.padding == (format == .openai ? .edge : padding))
          try expectSameLikelihoods(glow, again)
          // What was imported stays what the format can hold.
          if format == own { try ModelExport.write(again, as: own, to: path) }
        }
        let reason =
          "models of \(other.rawValue) pad with \(padding == .zeros ? "ones" : "zeros"), and this one was trained with "
          + "--padding \(padding)"
        #expect(throws: FileError(path, reason)) { try ModelExport.write(glow, as: other, to: path) }
      }
    }
  }

  @Test("y0ast's class-conditional model is the original's with its matrices transposed")
  func classesOfY0ast() throws {
    let glow: Glow<Double> = try randomGlow {
      $0.classCount = 3
      $0.padding = .zeros
    }
    try ModelExport.write(glow, as: .openai, to: path)
    let original = try SafetensorsFile(path)
    let other = "\(folder.path)/y0ast.safetensors"
    try ModelExport.write(glow, as: .y0ast, to: other)
    let file = try SafetensorsFile(other)
    for (name, originalName) in [
      ("project_ycond", "model/prior/y_emb"), ("project_class", "model/classifier"),
    ] {
      let shape = try original.entry("\(originalName)/W").shape
      #expect(try file.entry("\(name).linear.weight").shape == [shape[1], shape[0]])
      let matrix = try original.values("\(originalName)/W", as: Double.self)
      let transposed = (0..<matrix.count).map { matrix[$0 % shape[0] * shape[1] + $0 / shape[0]] }
      #expect(try file.values("\(name).linear.weight", as: Double.self) == transposed)
      #expect(
        try file.values("\(name).linear.bias", as: Double.self)
          == original.values("\(originalName)/b", as: Double.self))
      #expect(
        try file.values("\(name).logs", as: Double.self)
          == original.values("\(originalName)/logs", as: Double.self))
    }
    let again: Glow<Double> = try ModelImport.read(other, from: .y0ast, imageSize: 8)
    #expect(again.configuration == glow.configuration)
    #expect(difference(again, glow) < 1e-14)
    try expectSameLikelihoods(glow, again, labels: [0, 2])
  }

  @Test("the original's conditional model without a classifier gets one of zeros")
  func noClassifier() throws {
    let reference = Reference.all[3]
    try copy(reference) { $0.hasPrefix("weight.model/classifier/") ? nil : ($1, $2) }
    let plain = try changed(reference)
    let entry = try #require(plain.parameters["top.classifier.weight"])
    #expect(entry.range.allSatisfy { plain.values.base[$0] == 0 })
    try expectSameLikelihoods(reference.glow(), plain, labels: [0, 9])
  }

  private func expectSameLikelihoods(_ a: Glow<Double>, _ b: Glow<Double>, labels: [Int]? = nil) throws {
    var generator = SplitMix(state: 9)
    let images = (0..<2 * a.latentCount).map { _ in Double.random(in: -0.5...0.5, using: &generator) }
    func likelihoods(_ glow: Glow<Double>) throws -> [Double] {
      let workspace = try glow.workspace(batch: 2, purpose: .inference)
      workspace.images.update(from: images, count: images.count)
      return glow.forward(workspace, count: 2, labels: labels).map(\.nats)
    }
    #expect(relativeError(try likelihoods(b), try likelihoods(a)) < 1e-13)
  }

  @Test("what a format has no place for is refused, not rounded away")
  func exportRefusals() throws {
    func refuse(_ glow: Glow<Double>, _ format: ForeignFormat, _ reason: String) {
      #expect(throws: FileError(path, reason)) { try ModelExport.write(glow, as: format, to: path) }
    }
    let glow: Glow<Double> = try randomGlow()
    refuse(
      glow, .y0ast,
      "cannot write level0.step0.coupling.conv1.weight as y0ast's: "
        + "it has no edge channel, and the weights of this one are not 0 (train with --padding zeros)"
    )
    refuse(
      try randomGlow({ $0.coupling = .additive }, hasEdges: false), .rosinality,
      "cannot write level0.step0.coupling.conv3.weight as rosinality's: its edge channel is a padding of ones, "
        + "and the weights of this one are not the sums of the others' (train with --padding ones)")
    let small: Glow<Double> = try randomGlow(hasEdges: false)
    let filter = small.parameters["level0.step0.coupling.conv1.weight"]!
    // The last input of the last tap is the edge channel.
    small.values.base[filter.offset + filter.count - 1] = 1e-12
    refuse(
      small, .y0ast,
      "cannot write level0.step0.coupling.conv1.weight as y0ast's: "
        + "it has no edge channel, and the weights of this one are not 0 (train with --padding zeros)"
    )
    let edgeOfPrior: Glow<Double> = try randomGlow(hasEdges: false)
    edgeOfPrior.values.base[edgeOfPrior.parameters["top.prior.weight"]!.offset] = 0.1
    refuse(
      edgeOfPrior, .y0ast,
      "cannot write top.prior.weight as y0ast's: "
        + "its top prior is the same at all positions, and this one is not (train with --padding zeros)")
    refuse(
      try randomGlow { $0.classCount = 2 }, .rosinality,
      "models of rosinality have no classes, and this one has 2")
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  // MARK: Changed files

  /// Copies a reference's weights, changing, leaving out (nil) or adding some.
  private func copy(
    _ reference: Reference, adding: [String: (shape: [Int], values: [Double])] = [:],
    _ change: (_ name: String, _ shape: [Int], _ values: [Double]) -> ([Int], [Double])? = { ($1, $2) }
  ) throws {
    let file = try SafetensorsFile(reference.path)
    var writer = SafetensorsWriter()
    for entry in file.entries where entry.name.hasPrefix("weight.") {
      let values = try file.values(entry.name, as: Double.self)
      if let (shape, values) = change(entry.name, entry.shape, values) {
        writer.add(entry.name, shape: shape, values: values)
      }
    }
    for (name, tensor) in adding { writer.add(name, shape: tensor.shape, values: tensor.values) }
    try writer.write(to: path)
  }

  private func changed(_ reference: Reference) throws -> Glow<Double> {
    try ModelImport.read(
      path, from: reference.format, imageSize: reference.imageSize, bits: reference.bits)
  }

  @Test("a shuffle beside a 1×1 convolution is imported as a matrix", arguments: [0, 1])
  func shuffleAndConvolution(step: Int) throws {
    let reference = Reference.all[1]
    let glow: Glow<Double> = try reference.glow()
    let name = "weight.model/1/\(step)"
    let indices = try SafetensorsFile(reference.path).values("\(name)/shuffle/indices", as: Double.self)
    let n = indices.count
    var matrix = [Double](repeating: 0, count: n * n)
    for (output, input) in indices.enumerated() { matrix[Int(input) * n + output] = 1 }
    try copy(reference, adding: ["\(name)/invconv/W": ([n, n], matrix)]) {
      $0.hasPrefix("\(name)/shuffle/") ? nil : ($1, $2)
    }
    let mixed = try changed(reference)
    #expect(mixed.configuration.permutation == .convolution)
    try expectSameLikelihoods(glow, mixed)
  }

  @Test("a step without its mixing is no reversal where others mix", arguments: [0, 1])
  func noMixing(index: Int) throws {
    let reference = Reference.all[index]
    let name = index == 0 ? "model/1/1/invconv/W" : "model/1/1/shuffle/indices"
    try copy(reference) { $0.hasPrefix("weight.\(name)") ? nil : ($1, $2) }
    refuse(reference, "\(name): is missing")
  }

  @Test(
    "1×1 convolutions in factors and as matrices are imported from one file",
    arguments: ["0.flows.0", "1.flows.1"])
  func factorsAndMatrices(step: String) throws {
    let reference = Reference.all[5]
    let glow: Glow<Double> = try reference.glow()
    try ModelExport.write(glow, as: .rosinality, to: path)
    let step = "blocks.\(step)"
    // The sign of the scale, too, is in the exported matrix.
    let exported = try SafetensorsFile(path)
    let tensors = try ["\(step).actnorm.scale", "\(step).invconv.weight"].map { name in
      (
        "weight.\(name)",
        (shape: try exported.entry(name).shape, values: try exported.values(name, as: Double.self))
      )
    }
    try copy(reference, adding: Dictionary(uniqueKeysWithValues: tensors)) { name, shape, values in
      let isReplaced = name == tensors[0].0 || name.hasPrefix("weight.\(step).invconv.")
      return isReplaced ? nil : (shape, values)
    }
    try expectSameLikelihoods(glow, changed(reference))
  }

  @Test(
    "without a learned prior the model has one of zeros",
    arguments: Reference.all.filter { $0.format != .rosinality })
  func noLearnedPrior(reference: Reference) throws {
    let glow: Glow<Double> = try reference.glow()
    for entry in glow.parameters.entries where entry.name.hasPrefix("top.prior.") {
      try glow.set(entry, to: [Double](repeating: 0, count: entry.count), path: reference.path)
    }
    try glow.accept(path: reference.path)
    try copy(reference) { name, shape, values in
      let isPrior = name.hasPrefix("weight.model/prior/p/") || name.hasPrefix("weight.learn_top_fn.")
      return isPrior ? nil : (shape, values)
    }
    let plain = try changed(reference)
    #expect(!plain.configuration.learnsTopPrior)
    try expectSameLikelihoods(glow, plain, labels: reference.isConditional ? [0, 1] : nil)
  }

  private func refuse(
    _ reference: Reference, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(throws: FileError(path, reason), sourceLocation: sourceLocation) {
      let _: Glow<Float> = try ModelImport.read(
        path, from: reference.format, imageSize: reference.imageSize)
    }
  }

  @Test("a tensor that is missing, left over, misshapen or not finite is named", arguments: Reference.all)
  func refusals(reference: Reference) throws {
    let file = try SafetensorsFile(reference.path)
    // The second level's last tensor tells nothing about the configuration.
    let name = try #require(
      file.entries.map(\.name).filter {
        $0.hasPrefix("weight.model/1/1/f1/l_2/W") || $0.hasPrefix("weight.flow.layers.10.block.2.conv.weight")
          || $0.hasPrefix("weight.blocks.1.flows.1.coupling.net.2.weight")
      }.first)
    let short = String(name.dropFirst(7))
    try copy(reference) { $0 == name ? nil : ($1, $2) }
    refuse(reference, "\(short): is missing")
    let shape = try file.entry(name).shape
    try copy(reference) { ($0 == name ? $1 + [1] : $1, $2) }
    refuse(reference, "\(short): has shape \(shape + [1]), expected \(shape)")
    try copy(reference) { ($1, $0 == name ? $2.map { _ in .infinity } : $2) }
    refuse(reference, "\(short): value 0 is inf")
    try copy(reference, adding: ["weight.more": ([1], [1])])
    refuse(reference, "more: is no tensor of the model that the other names tell of")
  }

  @Test(
    "tensors that tell of levels, steps, prior and classes are missed like any other",
    arguments: [
      (3, "model/0/1/actnorm_center/b"), (3, "model/1/0/actnorm_center/b"), (3, "model/prior/p/W"),
      (3, "model/prior/y_emb/W"), (4, "flow.layers.3.conv.conv.weight"), (4, "learn_top_fn.conv.weight"),
      (5, "blocks.0.flows.1.actnorm.loc"), (5, "blocks.2.flows.0.actnorm.loc"),
    ])
  func tellingTensors(index: Int, name: String) throws {
    let reference = Reference.all[index]
    try copy(reference) { $0 == "weight.\(name)" ? nil : ($1, $2) }
    refuse(reference, "\(name): is missing")
  }

  @Test("a file of something else is refused", arguments: ForeignFormat.allCases)
  func otherFiles(format: ForeignFormat) throws {
    var writer = SafetensorsWriter()
    writer.add("model/9223372036854775807/0/actnorm_center/b", shape: [1], values: [1] as [Float])
    writer.add("flow.layers.9223372036854775807.actnorm.bias", shape: [1], values: [1] as [Float])
    writer.add("blocks.9223372036854775807.flows.0.actnorm.loc", shape: [1], values: [1] as [Float])
    try writer.write(to: path)
    let error = try #require(throws: FileError.self) {
      let _: Glow<Float> = try ModelImport.read(path, from: format)
    }
    #expect(error.reason.hasSuffix("is missing"))
  }

  @Test("a file of another format is refused with that format", arguments: [0, 4, 5])
  func wrongFormat(index: Int) throws {
    let reference = Reference.all[index]
    for format in ForeignFormat.allCases where format != reference.format {
      #expect(
        throws: FileError(
          reference.path,
          "\(format.firstName): is missing, and \(reference.format.firstName) is there: "
            + "this is a model of \(reference.format.rawValue)")
      ) { let _: Glow<Float> = try ModelImport.read(reference.path, from: format) }
    }
  }

  @Test("an image size that does not divide is answered by one that does, and by no other number of levels")
  func indivisibleSize() throws {
    let reference = Reference.all[5]
    #expect(
      throws: FileError(
        reference.path,
        "images of 30×30 cannot be halved 3 times (both sides must divide by 8): use --image-size 32")
    ) { let _: Glow<Float> = try ModelImport.read(reference.path, from: .rosinality, imageSize: 30) }
  }

  @Test("a step that mixes the channels in two ways is refused")
  func twoMixings() throws {
    let reference = Reference.all[0]
    let name = "model/1/1/shuffle/indices"
    try copy(reference, adding: ["weight.\(name)": ([2], [0, 1])])
    refuse(reference, "\(name): is no tensor of the model that the other names tell of")
  }

  @Test("an image size that the prior contradicts is refused")
  func imageSize() throws {
    let reference = Reference.all[4]
    #expect(
      throws: FileError(reference.path, "prior_h: has shape [1, 96, 4, 4], expected [1, 96, 8, 8]")
    ) {
      let _: Glow<Float> = try ModelImport.read(reference.path, from: .y0ast, imageSize: 64)
    }
  }

  @Test("indices that are no permutation, and a scale of zero, are refused")
  func values() throws {
    let shuffle = Reference.all[1]
    let indices = "model/1/0/shuffle/indices"
    try copy(shuffle) { ($1, $0 == "weight.\(indices)" ? $2.map { _ in 1e30 } : $2) }
    refuse(shuffle, "\(indices)_inverse: is not the inverse of the indices")
    let rosinality = Reference.all[5]
    let scale = "blocks.1.flows.0.actnorm.scale"
    try copy(rosinality) { ($1, $0 == "weight.\(scale)" ? $2.map { _ in 0 } : $2) }
    refuse(rosinality, "\(scale): holds a scale of 0")
    let mask = "blocks.0.flows.1.invconv.u_mask"
    try copy(rosinality) { ($1, $0 == "weight.\(mask)" ? $2.reversed() : $2) }
    refuse(rosinality, "\(mask): value 1 is 0.0, expected 1.0")
    let initialized = "blocks.0.flows.1.actnorm.initialized"
    try copy(rosinality) { ($1, $0 == "weight.\(initialized)" ? [0] : $2) }
    refuse(rosinality, "\(initialized): value 0 is 0.0, expected 1.0")
  }

  @Test("a negative scale of rosinality's is the sign of a row of the 1×1 convolution")
  func negativeScale() throws {
    let reference = Reference.all[5]
    let glow: Glow<Double> = try reference.glow()
    try ModelExport.write(glow, as: .rosinality, to: path)
    let file = try SafetensorsFile(path)
    var writer = SafetensorsWriter()
    for entry in file.entries {
      var values = try file.values(entry.name, as: Double.self)
      // Turning the sign of both the scale and what multiplies the channel changes nothing.
      if entry.name == "blocks.0.flows.1.actnorm.scale" { values[2] *= -1 }
      if entry.name == "blocks.0.flows.1.invconv.weight" {
        for output in 0..<12 { values[output * 12 + 2] *= -1 }
      }
      writer.add(entry.name, shape: entry.shape, values: values)
    }
    try writer.write(to: path)
    let again: Glow<Double> = try ModelImport.read(path, from: .rosinality)
    #expect(difference(again, glow) < 1e-14)
  }
}
