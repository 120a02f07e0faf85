import Foundation
import GlowFiles
import GlowKernels
import Testing

@testable import GlowFlow
@testable import GlowStorage

@Suite("1×1 convolutions in factors")
struct FactorTests {
  private let folder: TemporaryFolder
  private var path: String { "\(folder.path)/factors.safetensors" }

  init() throws { folder = try TemporaryFolder() }

  /// The original, the original with classes, and y0ast's: with matrices.
  private static let plain = [Reference.all[0], Reference.all[3], Reference.all[4]]

  /// The end of a matrix's name, and those of P, L, U, log s and sign in its place.
  private func names(_ format: ForeignFormat) -> (matrix: String, factors: [String]) {
    format == .openai
      ? ("/invconv/W", ["P", "L", "U", "log_S", "sign_S"].map { "/invconv/\($0)" })
      : (".invconv.weight", ["p", "lower", "upper", "log_s", "sign_s"].map { ".invconv.\($0)" })
  }

  /// P, L, U, log s and sign of a matrix. What stands in the other triangles must not count.
  private func split(_ matrix: [Double], _ n: Int) throws -> [(shape: [Int], values: [Double])] {
    let factors = try Factorization.permutedTriangles(matrix, size: n)
    let diagonal = (0..<n).map { factors.upper[$0 * n + $0] }
    return [
      ([n, n], squareMatrix(n) { factors.permutation[$0] == $1 ? 1 : 0 }),
      ([n, n], squareMatrix(n) { $0 > $1 ? factors.lower[$0 * n + $1] : 7 }),
      ([n, n], squareMatrix(n) { $0 < $1 ? factors.upper[$0 * n + $1] : 7 }),
      ([n], diagonal.map { log(abs($0)) }),
      ([n], diagonal.map { $0 < 0 ? -1 : 1 }),
    ]
  }

  /// Copies a reference's weights, with the matrices of the chosen steps in factors.
  ///
  /// - Parameter change: turns a tensor of that into another, or leaves it out.
  private func factorize(
    _ reference: Reference, onlyFirst: Bool = false,
    _ change: (_ name: String, _ values: [Double]) -> [Double]? = { $1 }
  ) throws {
    let names = names(reference.format)
    let file = try SafetensorsFile(reference.path)
    var writer = SafetensorsWriter()
    for entry in file.entries where entry.name.hasPrefix("weight.") {
      let values = try file.values(entry.name, as: Double.self)
      let isFirst = entry.name.contains("model/0/0/") || entry.name.contains("layers.1.")
      if !entry.name.hasSuffix(names.matrix) || (onlyFirst && !isFirst) {
        writer.add(entry.name, shape: entry.shape, values: values)
        continue
      }
      let step = entry.name.dropLast(names.matrix.count)
      for (name, tensor) in zip(names.factors, try split(values, entry.shape[0])) {
        if let values = change(step + name, tensor.values) {
          writer.add(step + name, shape: tensor.shape, values: values)
        }
      }
    }
    try writer.write(to: path)
  }

  private func imported<S: Scalar>(_ reference: Reference, as _: S.Type = S.self) throws -> Glow<S> {
    try ModelImport.read(
      path, from: reference.format, imageSize: reference.imageSize, bits: reference.bits)
  }

  private func batch<S: Scalar>(
    _ reference: Reference, _ glow: Glow<S>
  ) throws -> (workspace: Workspace<S>, count: Int, labels: [Int]?) {
    let file = try SafetensorsFile(reference.path)
    let images = try file.values("input.dequantized", as: S.self)
    let labels =
      reference.isConditional ? try file.values("input.labels", as: Double.self).map { Int($0) } : nil
    let count = images.count / glow.latentCount
    let workspace = try glow.workspace(batch: count, purpose: .training(keepsHidden: true))
    workspace.images.update(from: images, count: images.count)
    return (workspace, count, labels)
  }

  private func likelihoods<S: Scalar>(_ reference: Reference, _ glow: Glow<S>) throws -> [Double] {
    let (workspace, count, labels) = try batch(reference, glow)
    return glow.forward(workspace, count: count, labels: labels).map(\.nats)
  }

  @Test("score as the matrices they are made of", arguments: plain, [false, true])
  func likelihoods(reference: Reference, onlyFirst: Bool) throws {
    try factorize(reference, onlyFirst: onlyFirst)
    let factored: Glow<Double> = try imported(reference)
    let keepsFactors = reference.format == .openai && !onlyFirst
    #expect(factored.configuration.permutation == (keepsFactors ? .factoredConvolution : .convolution))
    #expect(
      relativeError(
        try likelihoods(reference, factored), try likelihoods(reference, reference.glow(as: Double.self)))
        < 1e-12)
    #expect(
      relativeError(
        try likelihoods(reference, imported(reference, as: Float.self)),
        try likelihoods(reference, reference.glow(as: Float.self))) < 1e-6)
  }

  @Test("have the same gradients whether the model keeps them or makes a matrix of them")
  func gradients() throws {
    let reference = Reference.all[0]
    func gradients() throws -> [String: [Double]] {
      let glow: Glow<Double> = try imported(reference)
      let (workspace, count, labels) = try batch(reference, glow)
      let gradients = try Slab<Double>(count: glow.parameters.count)
      _ = try glow.objective(workspace, count: count, labels: labels, gradients: gradients.base)
      let model = try ForeignModel(
        path, format: .openai, imageSize: reference.imageSize, bits: reference.bits)
      return try model.pullBack(gradients.base, of: glow.parameters)
    }
    try factorize(reference)
    let kept = try gradients()
    try factorize(reference, onlyFirst: true)
    let multiplied = try gradients()
    for suffix in ["L", "U", "log_S"] {
      let name = "model/0/0/invconv/\(suffix)"
      let (found, expected) = (try #require(multiplied[name]), try #require(kept[name]))
      #expect(expected.contains { $0 != 0 } && relativeError(found, expected) < 1e-12, "\(name)")
    }
  }

  @Test("that are incomplete, or are none, are refused by name", arguments: [plain[0], plain[2]])
  func refusals(reference: Reference) throws {
    func refuse(_ reason: String, sourceLocation: SourceLocation = #_sourceLocation) {
      #expect(throws: FileError(path, reason), sourceLocation: sourceLocation) {
        let _: Glow<Float> = try imported(reference)
      }
    }
    let step = reference.format == .openai ? "model/1/1" : "flow.layers.6"
    let names = names(reference.format).factors.map { "weight.\(step)\($0)" }
    for name in names {
      try factorize(reference) { $0 == name ? nil : $1 }
      refuse("\(name.dropFirst(7)): is missing")
    }
    try factorize(reference) { $0 == names[0] ? $1.map { _ in 1 } : $1 }
    refuse("\(names[0].dropFirst(7)): is not a permutation matrix")
    try factorize(reference) { $0 == names[4] ? $1.map { _ in 0 } : $1 }
    refuse("\(names[4].dropFirst(7)): value 0 is 0.0, expected 1 or -1")
    try factorize(reference) { $0.hasPrefix("weight.\(step)") ? nil : $1 }
    refuse(
      reference.format == .openai ? "\(step)/invconv/W: is missing" : "\(step).invconv.weight: is missing")
  }

  // MARK: Writing

  /// The same model with its 1×1 convolutions in factors.
  private func factored<S: Scalar>(_ glow: Glow<S>) throws -> Glow<S> {
    var configuration = glow.configuration
    configuration.permutation = .factoredConvolution
    let result = try Glow<S>(configuration: configuration, team: glow.team)
    for entry in glow.parameters.entries {
      let values = entry.range.map { glow.values.base[$0] }
      if let same = result.parameters[entry.name] {
        try result.set(same, to: values, path: path)
        continue
      }
      let n = entry.shape[0]
      let tensors = try split(values.map { Double($0) }, n).map(\.values)
      let permutation = (0..<n).map { row in Double((0..<n).first { tensors[0][row * n + $0] == 1 }!) }
      let step = entry.name.dropLast("weight".count)
      for (name, values) in zip(
        ["permutation", "lower", "upper", "log_scale", "sign"], [permutation] + tensors.dropFirst())
      {
        try result.set(result.parameters[step + name]!, to: values.map { S($0) }, path: path)
      }
    }
    try result.accept(path: path)
    return result
  }

  @Test(
    "are exported and imported with the same scores, and so are matrices",
    arguments: [Reference.all[0], Reference.all[4], Reference.all[5]],
    [PermutationKind.convolution, .factoredConvolution])
  func export(reference: Reference, kind: PermutationKind) throws {
    func check<S: Scalar>(_ glow: Glow<S>, tolerance: Double) throws {
      let glow = kind == .convolution ? glow : try factored(glow)
      try ModelExport.write(glow, as: reference.format, to: path)
      let again: Glow<S> = try imported(reference)
      #expect(
        relativeError(try likelihoods(reference, again), try likelihoods(reference, glow)) < tolerance)
    }
    try check(reference.glow(as: Double.self), tolerance: 1e-12)
    try check(reference.glow(as: Float.self), tolerance: 1e-6)

    let written = try SafetensorsFile(path).entries.map(\.name)
    let original = try SafetensorsFile(reference.path).entries.map(\.name).filter { $0.hasPrefix("weight.") }
    if reference.format == .rosinality && kind == .factoredConvolution {
      #expect(Set(written.map { "weight.\($0)" }) == Set(original))
    }
    // The original's matrix is what its code reads; rosinality's last block is in factors in any case.
    let factorsCount = written.count { $0.hasSuffix(".w_p") || $0.hasSuffix(".p") || $0.hasSuffix("/P") }
    switch (reference.format, kind) {
    case (.openai, _), (.y0ast, .convolution): #expect(factorsCount == 0)
    case (.rosinality, .convolution): #expect(factorsCount == 2)
    default: #expect(factorsCount == 6)
    }
  }
}
