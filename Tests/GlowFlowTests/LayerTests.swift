import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowFlow

@Suite("Layers, in Double against finite differences and a numerical Jacobian")
struct LayerTests {
  private func expectAccepted(_ layer: CheckedLayer, at input: [Double], _ what: String) throws {
    let report = try check(layer, at: input)
    print("\(layer.name), \(what): \(report)")
    #expect(report.isAccepted, "\(layer.name), \(what): \(report)")
  }

  @Test("squeeze", arguments: Cut.all)
  func squeeze(cut: Cut) throws {
    let model = try SmallModel(cut: cut)
    try expectAccepted(model.layer(0), at: model.randomInput(), cut.name)
  }

  @Test("flow step with each channel mixing", arguments: PermutationKind.allCases)
  func mixing(kind: PermutationKind) throws {
    let model = try SmallModel({ $0.permutation = kind }, cut: .groups)
    try expectAccepted(model.layer(1), at: model.randomInput(), kind.rawValue)
  }

  @Test("flow step with each coupling, however it is cut", arguments: CouplingKind.allCases, Cut.all)
  func coupling(kind: CouplingKind, cut: Cut) throws {
    let model = try SmallModel({ $0.coupling = kind }, cut: cut)
    try expectAccepted(model.layer(1), at: model.randomInput(), "\(kind.rawValue), \(cut.name)")
  }

  @Test(
    "flow step with each conditioner, its hidden activations kept and computed again",
    arguments: NetworkKind.allCases, [1, 3])
  func conditioner(kind: NetworkKind, kernel: Int) throws {
    // A plain network has no blocks that the kernel could be of.
    if kind == .plain && kernel > 1 { return }
    for (cut, keepsHidden) in Cut.all.flatMap({ [($0, true), ($0, false)] }) {
      let model = try SmallModel(
        {
          $0.network = kind
          $0.kernel = kernel
          // More than a vector, and no multiple of one.
          $0.width = 13
        }, cut: cut, keepsHidden: keepsHidden)
      try expectAccepted(
        model.layer(1), at: model.randomInput(),
        "\(kind), kernel \(kernel), \(keepsHidden ? "kept" : "recomputed"), \(cut.name)")
    }
  }

  @Test("every layer that convolves, with each padding", arguments: [Padding.zeros, .ones], Cut.all)
  func padding(padding: Padding, cut: Cut) throws {
    for network in NetworkKind.allCases {
      let model = try SmallModel(
        {
          $0.levels = 2
          $0.network = network
          $0.kernel = 3
          $0.padding = padding
        }, cut: cut)
      for layer in [1, 2] {
        try expectAccepted(
          model.layer(layer), at: model.randomInput(), "\(network), padding \(padding), \(cut.name)")
      }
    }
    let model = try SmallModel({ $0.padding = padding }, cut: cut)
    #expect((model.glow.parameters["top.prior.weight"] == nil) == (padding == .zeros))
    try expectAccepted(model.layer(2), at: model.randomInput(), "padding \(padding), \(cut.name)")
  }

  @Test(
    "a padding of ones is an edge indicator whose weights are the sums of the others, of zeros one of zeros")
  func paddingAsIndicator() throws {
    for padding in [Padding.zeros, .ones] {
      let model = try SmallModel {
        $0.levels = 2
        $0.padding = padding
      }
      let edged = try SmallModel { $0.levels = 2 }
      for entry in edged.glow.parameters.entries {
        let to = edged.glow.values.base + entry.offset
        guard let own = model.glow.parameters[entry.name] else {
          for index in 0..<entry.count { to[index] = 0 }
          continue
        }
        let from = model.glow.values.base + own.offset
        if own.shape == entry.shape {
          to.update(from: from, count: entry.count)
          continue
        }
        let (inputs, outputs) = (own.shape[2], own.shape[3])
        let readsOnes = padding == .ones && !entry.name.hasSuffix("conv1.weight")
        for tap in 0..<9 {
          for output in 0..<outputs {
            var sum = 0.0
            for input in 0..<inputs {
              let value = from[(tap * inputs + input) * outputs + output]
              to[(tap * (inputs + 1) + input) * outputs + output] = value
              sum += value
            }
            to[(tap * (inputs + 1) + inputs) * outputs + output] = readsOnes ? sum : 0
          }
        }
      }
      try edged.glow.parametersChanged()
      let images = model.randomInput().map { 0.2 * $0 }
      let likelihoods = [model, edged].map { model in
        model.workspace.images.update(from: images, count: images.count)
        return model.glow.forward(model.workspace, count: model.images).map(\.nats)
      }
      for (found, expected) in zip(likelihoods[0], likelihoods[1]) {
        #expect(abs(found / expected - 1) < 1e-13, "\(padding)")
      }
    }
  }

  @Test("split with its prior", arguments: Cut.all)
  func split(cut: Cut) throws {
    let model = try SmallModel({ $0.levels = 2 }, cut: cut)
    try expectAccepted(model.layer(2), at: model.randomInput(), cut.name)
  }

  @Test("top prior, learned or not, conditional or not", arguments: [true, false], [0, 3])
  func topPrior(learnsTopPrior: Bool, classes: Int) throws {
    for cut in Cut.all {
      let model = try SmallModel(
        {
          $0.learnsTopPrior = learnsTopPrior
          $0.classCount = classes
        }, cut: cut)
      for prefix in ["top.prior", "top.class_embedding"] {
        try expectAccepted(
          model.layer(2, parameters: prefix), at: model.randomInput(),
          "learned \(learnsTopPrior), \(classes) classes, \(cut.name)")
      }
    }
  }

  @Test("whole model", arguments: PermutationKind.allCases, CouplingKind.allCases)
  func whole(permutation: PermutationKind, coupling: CouplingKind) throws {
    let model = try SmallModel {
      $0.levels = 2
      $0.depth = 2
      $0.permutation = permutation
      $0.coupling = coupling
    }
    let images = model.randomInput().map { 0.2 * $0 }
    try expectAccepted(model.whole(), at: images, "\(permutation.rawValue), \(coupling.rawValue)")
  }

  @Test("whole model, conditional or with a plain prior", arguments: [true, false], [0, 3])
  func priors(learnsTopPrior: Bool, classes: Int) throws {
    let model = try SmallModel {
      $0.levels = 2
      $0.learnsTopPrior = learnsTopPrior
      $0.classCount = classes
    }
    let images = model.randomInput().map { 0.2 * $0 }
    try expectAccepted(model.whole(), at: images, "learned \(learnsTopPrior), \(classes) classes")
  }

  @Test(
    "the objective overwrites what was in its gradient, and says its norm", arguments: [Padding.edge, .ones],
    [0, 3])
  func overwrites(padding: Padding, classes: Int) throws {
    let model = try SmallModel {
      $0.padding = padding
      $0.classCount = classes
    }
    let images = model.randomInput().map { 0.2 * $0 }
    func gradient(over former: Double) throws -> [Double] {
      model.workspace.images.update(from: images, count: images.count)
      for entry in model.glow.parameters.entries where entry.isTrainable {
        for index in entry.range { model.gradients.base[index] = former }
      }
      _ = try model.glow.objective(
        model.workspace, count: 2, labels: model.labels, gradients: model.gradients.base)
      return model.glow.parameters.trainableRanges.flatMap { $0.map { model.gradients.base[$0] } }
    }
    let found = try gradient(over: .nan)
    #expect(try found == gradient(over: 0) && found.allSatisfy(\.isFinite))
    let norm = found.reduce(0) { $0 + $1 * $1 }.squareRoot()
    #expect(norm > 0 && abs(model.glow.gradientNorm / norm - 1) < 1e-12)
  }

  @Test("objective of a conditional model, the classifier included")
  func classifier() throws {
    let model = try SmallModel { $0.classCount = 3 }
    let images = model.randomInput().map { 0.2 * $0 }
    func objective() throws -> Double {
      try model.glow.parametersChanged()
      model.workspace.images.update(from: images, count: images.count)
      let likelihoods = model.glow.forward(model.workspace, count: 2, labels: model.labels)
      return likelihoods.reduce(0) { $0 + $1.bitsPerDimension + 0.01 * $1.classifierBits! } / 2
    }
    let expectedLoss = try objective()
    let loss = try model.glow.objective(
      model.workspace, count: 2, labels: model.labels, gradients: model.gradients.base)
    #expect(loss.classifierBits! > 0 && loss.loss == loss.bitsPerDimension + 0.01 * loss.classifierBits!)
    #expect(abs(loss.loss - expectedLoss) < 1e-12)
    var worst = 0.0
    for entry in model.glow.parameters.entries where entry.isTrainable {
      var (error, largest) = (0.0, 0.0)
      for index in entry.range {
        let value = model.glow.values.base[index]
        let h = 1e-4
        var f: [Double] = []
        for shift in [-2.0, -1, 1, 2] {
          model.glow.values.base[index] = value + shift * h
          f.append(try objective())
        }
        model.glow.values.base[index] = value
        let expected = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
        error = max(error, abs(model.gradients.base[index] - expected))
        largest = max(largest, abs(expected))
      }
      worst = max(worst, error / max(largest, 1e-3))
    }
    print("conditional objective: largest relative gradient error of a tensor \(worst)")
    #expect(worst < 1e-8)
  }
}

@Suite("What a model comes to does not depend on how a batch is cut or what memory there is")
struct CutTests {
  private func model(_ kind: NetworkKind, _ kernel: Int, _ cut: Cut) throws -> SmallModel {
    try SmallModel(
      {
        $0.network = kind
        $0.kernel = kernel
        $0.levels = 2
        $0.width = 13
      }, cut: cut)
  }

  private func expectEqual(_ found: [Double], _ expected: [Double], _ what: String) {
    let error = zip(found, expected).map { abs($0 - $1) / max(1, abs($1)) }.max()!
    #expect(found.count == expected.count && error < 1e-11, "\(what): \(error)")
  }

  /// A batch of 19 images in one tile and otherwise.
  private let cuts = [
    Cut(name: "one tile for four", images: 19, side: 12, tileRows: 256),
    Cut(name: "one picture a tile", images: 19, side: 12, tileRows: 36),
    Cut(name: "bands", images: 19, side: 12, tileRows: 24),
    Cut(name: "bands of one row", images: 19, side: 12, tileRows: 6),
  ]

  @Test("likelihoods and latents, in training and in inference", arguments: NetworkKind.allCases, [1, 3])
  func forward(kind: NetworkKind, kernel: Int) throws {
    var expected: [Double]?
    for cut in cuts {
      let model = try model(kind, kernel, cut)
      let images = model.randomInput().map { 0.2 * $0 }
      for purpose in [Purpose.training(keepsHidden: true), .training(keepsHidden: false), .inference] {
        let workspace = try model.glow.workspace(batch: cut.images, purpose: purpose)
        workspace.images.update(from: images, count: images.count)
        var found = model.glow.forward(workspace, count: cut.images).map(\.nats)
        for image in 0..<cut.images {
          var latents = [Double](repeating: 0, count: model.glow.latentCount)
          workspace.readLatents(image, into: &latents)
          found += latents
        }
        expectEqual(found, expected ?? found, "\(kind), kernel \(kernel), \(cut), \(purpose)")
        expected = found
      }
    }
  }

  @Test("data-dependent initialization", arguments: NetworkKind.allCases, [1, 3])
  func initialization(kind: NetworkKind, kernel: Int) throws {
    var expected: [Double]?
    for cut in cuts {
      let model = try model(kind, kernel, cut)
      let images = model.randomInput().map { 0.2 * $0 }
      let workspace = try model.glow.workspace(batch: cut.images, purpose: .inference)
      workspace.images.update(from: images, count: images.count)
      try model.glow.initialize(workspace, count: cut.images)
      let found = Array(model.glow.values.values)
      expectEqual(found, expected ?? found, "\(kind), kernel \(kernel), \(cut)")
      expected = found
    }
  }
}

/// Packed products alone share out gradients, in Float. Here a workspace that is booked as for them takes the same way in
/// Double.
@Suite("Gradients of wide weights that are shared out by blocks")
struct SharedGradientTests {
  /// Three blocks of outputs and of inputs; three tiles, the last not full.
  private static let cut = Cut(name: "tiles of two pictures", images: 5, side: 8, tileRows: 256)
  private static let tolerance = 1e-12

  private let model: SmallModel
  private let shared: Workspace<Double>

  init() throws {
    model = try SmallModel({ $0.width = 384 }, cut: Self.cut)
    shared = try Self.sharing(model, .training(keepsHidden: true))
  }

  private static func sharing(_ model: SmallModel, _ purpose: Purpose) throws -> Workspace<Double> {
    let plan = WorkspacePlan<Double>(
      model.glow.architecture, dimensions: model.glow.latentCount, batch: cut.images, purpose: purpose,
      grain: TileGrain(purpose, .packed))
    let workspace = try Workspace(plan, threads: model.glow.team.count)
    #expect(workspace.levels.contains { $0.tiling.sharesGradients && $0.tiling.tileCount == 3 })
    return workspace
  }

  /// Of all parameters, where each image has a weight.
  private func gradient(_ workspace: Workspace<Double>, _ weights: [Double]) throws -> [Double] {
    let images = model.randomImages()
    workspace.images.update(from: images, count: images.count)
    _ = model.glow.forward(workspace, count: model.images)
    let gradients = try Slab<Double>(count: model.glow.parameters.count)
    try model.glow.backward(workspace, weights: weights, gradients: gradients.base)
    return Array(gradients.values)
  }

  /// The largest difference over the root mean square, of the worst parameter.
  private func error(_ found: [Double], _ expected: [Double]) -> Double {
    model.glow.parameters.entries.filter(\.isTrainable).map { entry in
      let size = (entry.range.reduce(0) { $0 + expected[$1] * expected[$1] } / Double(entry.count))
        .squareRoot()
      return entry.range.map { abs(found[$0] - expected[$0]) }.max()! / max(size, 1e-300)
    }.max()!
  }

  private let weights = [0.5, 0.8, 1.1, 1.4, 1.7]

  @Test("are those that groups of tiles add up, kept and recomputed")
  func groups() throws {
    #expect(model.workspace.levels.allSatisfy { !$0.tiling.sharesGradients })
    let expected = try gradient(model.workspace, weights)
    let recomputed = try Self.sharing(model, .training(keepsHidden: false))
    for workspace in [shared, recomputed] {
      let error = try error(gradient(workspace, weights), expected)
      print("gradients by blocks beside those by groups: \(error)")
      #expect(error < Self.tolerance)
    }
  }

  @Test("agree with differences along a direction of each parameter, with which they change most")
  func differences() throws {
    let found = try gradient(shared, weights)
    let values = model.glow.values
    func objective() throws -> Double {
      try model.glow.parametersChanged()
      return zip(model.glow.forward(shared, count: model.images), weights).reduce(0) { $0 + $1.0.nats * $1.1 }
    }
    for entry in model.glow.parameters.entries where entry.isTrainable {
      let norm = entry.range.reduce(0) { $0 + found[$1] * found[$1] }.squareRoot()
      let before = entry.range.map { values.base[$0] }
      // Kinks lie within long steps, and short ones leave rounding alone.
      let error = try [1e-5, 1e-6, 1e-7].map { step in
        let f = try [-step, step].map { shift in
          for (place, index) in entry.range.enumerated() {
            values.base[index] = before[place] + shift * found[index] / norm
          }
          return try objective()
        }
        return abs((f[1] - f[0]) / (2 * step) / norm - 1)
      }.min()!
      for (place, index) in entry.range.enumerated() { values.base[index] = before[place] }
      print("\(entry.name) along its gradient: \(error)")
      #expect(error < 1e-6, "\(entry.name): \(error)")
    }
  }

  @Test("would differ if a block lacked a tile")
  func missingTile() throws {
    let expected = try gradient(shared, weights)
    let lacking = try gradient(shared, weights.dropLast() + [0])
    let weight = model.glow.parameters["level0.step0.coupling.conv2.weight"]!
    #expect(weight.count == 384 * 384)
    var found = expected
    for row in 128..<256 {
      for column in 256..<384 {
        let index = weight.offset + row * 384 + column
        found[index] = lacking[index]
      }
    }
    #expect(error(found, expected) > 1e-3)
  }
}

@Suite("Data-dependent initialization that is stopped")
struct StoppedInitializationTests {
  @Test("leaves the model as it was, at whatever layer it is stopped")
  func stopped() throws {
    let model = try SmallModel {
      $0.levels = 2
      $0.depth = 2
    }
    let images = model.randomInput().map { 0.2 * $0 }
    func likelihoods() -> [Double] {
      model.workspace.images.update(from: images, count: images.count)
      return model.glow.forward(model.workspace, count: model.images).map(\.nats)
    }
    let (values, expected) = (Array(model.glow.values.values), likelihoods())
    for layers in 0..<8 {
      var asked = 0
      model.workspace.images.update(from: images, count: images.count)
      let isDone = try model.glow.initialize(model.workspace, count: model.images) { _, _ in
        asked += 1
        return asked > layers
      }
      #expect(!isDone && !model.glow.isInitialized)
      #expect(Array(model.glow.values.values) == values && likelihoods() == expected, "\(layers) layers")
    }
    model.workspace.images.update(from: images, count: images.count)
    #expect(try model.glow.initialize(model.workspace, count: model.images) && model.glow.isInitialized)
    #expect(Array(model.glow.values.values) != values)
  }
}

@Suite("The checker rejects what is wrong")
struct CheckerTests {
  @Test(
    "a gradient scaled by 1.01, of a large parameter and of a small one",
    arguments: ["conv2.weight", "conv3.logs"])
  func scaledGradient(name: String) throws {
    let model = try SmallModel()
    var layer = model.layer(1)
    let backward = layer.backward
    layer.backward = { x, dy, dLogDeterminants in
      let before = Array(layer.gradients)
      let dx = try backward(x, dy, dLogDeterminants)
      let weight = model.glow.parameters["level0.step0.coupling.\(name)"]!
      for index in weight.range {
        layer.gradients[index] = before[index] + 1.01 * (layer.gradients[index] - before[index])
      }
      return dx
    }
    let report = try check(layer, at: model.randomInput())
    #expect(report.parameterGradient > 1e-3 && !report.isAccepted, "\(report)")
  }

  @Test("a transposed gradient of W")
  func transposedGradient() throws {
    let model = try SmallModel()
    var layer = model.layer(1)
    let backward = layer.backward
    layer.backward = { x, dy, dLogDeterminants in
      let before = Array(layer.gradients)
      let dx = try backward(x, dy, dLogDeterminants)
      let weight = model.glow.parameters["level0.step0.invconv.weight"]!
      let added = weight.range.map { layer.gradients[$0] - before[$0] }
      let n = weight.shape[0]
      for i in 0..<n {
        for j in 0..<n {
          layer.gradients[weight.offset + i * n + j] = before[weight.offset + i * n + j] + added[j * n + i]
        }
      }
      return dx
    }
    let report = try check(layer, at: model.randomInput())
    #expect(report.parameterGradient > 1e-3 && !report.isAccepted, "\(report)")
  }

  @Test("a log-determinant off by a factor H·W")
  func logDeterminant() throws {
    let model = try SmallModel()
    var layer = model.layer(1)
    let forward = layer.forward
    layer.forward = { x in
      let (output, logDeterminants) = try forward(x)
      let positions = Double(model.glow.configuration.shape(ofLevel: 0).positions)
      return (output, logDeterminants.map { $0 / positions })
    }
    let report = try check(layer, at: model.randomInput())
    #expect(report.logDeterminant > 1e-3 && !report.isAccepted, "\(report)")
  }

  @Test("an input gradient that is scaled, an inverse that is off, a backward that overwrites")
  func others() throws {
    let model = try SmallModel()
    let input = model.randomInput()
    var layer = model.layer(1)
    let (backward, inverse) = (layer.backward, layer.inverse)
    layer.backward = { try backward($0, $1, $2).map { 1.01 * $0 } }
    #expect(try check(layer, at: input).inputGradient > 1e-3)
    layer.backward = { x, dy, dLogDeterminants in
      layer.gradients.update(repeating: 0)
      return try backward(x, dy, dLogDeterminants)
    }
    #expect(try check(layer, at: input).accumulation > 0.1)
    layer.backward = backward
    layer.inverse = { try inverse($0).map { $0 + 1e-6 } }
    #expect(try check(layer, at: input).inverseAfterForward > 1e-7)
  }
}
