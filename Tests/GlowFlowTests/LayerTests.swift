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
