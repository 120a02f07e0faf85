import Foundation
import GlowKernels
import Testing

@testable import GlowFlow
@testable import GlowStorage

/// A small model, a batch, and what another implementation computed from them.
struct Reference: Sendable, CustomTestStringConvertible {
  let name: String
  let format: ForeignFormat
  var imageSize = 32
  var bits = 8
  var isConditional = false
  var isDouble = false

  var testDescription: String { name }

  static let all = [
    Reference(name: "openai-affine-invconv", format: .openai, imageSize: 16),
    Reference(name: "openai-additive-shuffle", format: .openai, imageSize: 16),
    Reference(name: "openai-affine-reverse-5bit", format: .openai, imageSize: 16, bits: 5),
    Reference(name: "openai-affine-classes", format: .openai, imageSize: 16, isConditional: true),
    Reference(name: "torch-y0ast-affine-invconv", format: .y0ast, isDouble: true),
    Reference(name: "torch-rosinality-affine-lu", format: .rosinality, isDouble: true),
  ]

  var path: String {
    Bundle.module.url(forResource: name, withExtension: "safetensors", subdirectory: "Fixtures")!.path
  }

  func model() throws -> ForeignModel {
    try ForeignModel(path, format: format, imageSize: imageSize, bits: bits)
  }

  func glow<S: Scalar>(as _: S.Type = S.self) throws -> Glow<S> {
    try ModelImport.read(path, from: format, imageSize: imageSize, bits: bits, team: ThreadTeam(count: 2))
  }
}

/// A model that was imported from a reference, and the reference's batch.
struct ReferenceRun<S: Scalar> {
  let reference: Reference
  let file: SafetensorsFile
  let glow: Glow<S>
  let workspace: Workspace<S>
  let images: [S]
  let labels: [Int]?
  let count: Int

  init(_ reference: Reference) throws {
    self.reference = reference
    file = try SafetensorsFile(reference.path)
    glow = try reference.glow()
    images = try file.values("input.dequantized", as: S.self)
    count = images.count / glow.configuration.dimensions
    labels = reference.isConditional ? try file.values("input.labels", as: Double.self).map { Int($0) } : nil
    workspace = try glow.workspace(batch: count, purpose: .training(keepsHidden: true))
    workspace.images.update(from: images, count: images.count)
  }

  func expected(_ name: String) throws -> [Double] { try file.values(name, as: Double.self) }

  /// The images that latents decode to.
  func decode(_ latents: [S]) throws -> [Double] {
    workspace.setLatents(latents, count: count)
    try glow.inverse(workspace, count: count, labels: labels)
    return (0..<images.count).map { Double(workspace.images[$0]) }
  }

  /// All latents of the batch, image by image.
  func latents() -> [S] {
    let one = glow.latentCount
    return [S](unsafeUninitializedCapacity: one * count) { buffer, initialized in
      buffer.initialize(repeating: 0)
      for image in 0..<count {
        workspace.readLatents(image, into: buffer.baseAddress! + image * one)
      }
      initialized = one * count
    }
  }

  /// Latents in the file's layout, one tensor [count, …] a level, as ours: image by image.
  func storedLatents(_ prefix: String) throws -> [S] {
    let levels = try glow.latentShapes.indices.map { try expected("\(prefix).\($0)") }
    return (0..<count).flatMap { image in
      zip(levels, glow.latentShapes).flatMap { values, shape in
        values[image * shape.count..<(image + 1) * shape.count].map { S($0) }
      }
    }
  }

  /// What leaves the flow at a level before it is standardized, as PyTorch has it: [count, channels, height, width].
  func leaving(_ level: Int) -> [Double] {
    let shape = glow.latentShapes[level]
    let all = glow.configuration.shape(ofLevel: level)
    let z = workspace.levels[level].activations(at: glow.architecture.levels[level].places - 1)
    return (0..<count).flatMap { image in
      (0..<shape.channels).flatMap { channel in
        (0..<shape.positions).map { position in
          Double(
            z[(image * all.positions + position) * all.channels + all.channels - shape.channels + channel])
        }
      }
    }
  }
}

/// ‖found − expected‖/‖expected‖; with nothing expected, ‖found‖.
func relativeError(_ found: [Double], _ expected: [Double]) -> Double {
  precondition(found.count == expected.count)
  let difference = zip(found, expected).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
  let norm = expected.reduce(0) { $0 + $1 * $1 }
  // A NaN must not pass for a small error.
  let error = (norm > 0 ? difference / norm : difference).squareRoot()
  return error.isNaN ? .infinity : error
}
