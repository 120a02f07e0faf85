import Foundation
import GlowKernels
import GlowTestSupport

@testable import GlowFlow

/// How a small batch is cut into tiles.
struct Cut: Sendable, CustomStringConvertible {
  let name: String
  let images: Int
  let side: Int
  let tileRows: Int
  var description: String { name }

  /// A tile holds all.
  static let one = Cut(name: "one tile", images: 2, side: 4, tileRows: 256)
  /// 10 tiles of two pictures, of which the last holds one; two tiles a group.
  static let groups = Cut(name: "groups of tiles, the last not full", images: 19, side: 4, tileRows: 8)
  /// A tile is a band of rows, the last shorter than the rest.
  static let bands = Cut(name: "bands", images: 2, side: 12, tileRows: 24)
  /// A tile is one row.
  static let rows = Cut(name: "bands of one row", images: 1, side: 8, tileRows: 2)
  static let all = [one, groups, bands, rows]
}

/// A small Double model, and its layers as the checks see them: run by the driver that training runs, on the buffers of a
/// workspace.
final class SmallModel {
  let glow: Glow<Double>
  let workspace: Workspace<Double>
  let gradients: Slab<Double>
  let images: Int
  let labels: [Int]?
  /// What the layers normalize with.
  var normalization = Normalization.running
  /// Parameters of which no gradient is compared with differences.
  var isLeftOut: (String) -> Bool = { _ in false }

  init(
    _ change: (inout GlowConfiguration) -> Void = { _ in }, cut: Cut = .one, threads: Int = 2,
    keepsHidden: Bool = true
  ) throws {
    var configuration = GlowConfiguration()
    configuration.imageHeight = cut.side
    configuration.imageWidth = cut.side
    configuration.imageChannels = 1
    configuration.levels = 1
    configuration.depth = 1
    configuration.width = 5
    change(&configuration)
    images = cut.images
    glow = try Glow(
      configuration: configuration, seed: 7, team: ThreadTeam(count: threads), tileRows: cut.tileRows)
    workspace = try glow.workspace(batch: images, purpose: .training(keepsHidden: keepsHidden))
    gradients = try Slab(count: glow.parameters.count)
    let classes = configuration.classCount
    labels = classes > 0 ? (0..<images).map { (2 + 2 * $0) % classes } : nil
    // No parameter may stay at a value (such as zero) at which a mistake in its gradient could hide.
    for entry in glow.parameters.entries where entry.isTrainable {
      let noise = Philox(seed: 11, purpose: .latents, stream: UInt64(entry.offset))
      var values = [Double](repeating: 0, count: entry.count)
      values.withUnsafeMutableBufferPointer { noise.fillNormal($0) }
      let scale = entry.name.hasSuffix("logs") ? 0.05 : 0.2
      for (index, value) in values.enumerated() { glow.values.base[entry.offset + index] += scale * value }
    }
    for index in glow.parameters.ranges(of: .statistic).joined() {
      glow.values.base[index] += 0.3 * abs(sin(Double(index)))
    }
    try glow.parametersChanged()
  }

  func random(_ count: Int, stream: UInt64 = 0) -> [Double] {
    var values = [Double](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer {
      Philox(seed: 3, purpose: .latents, stream: stream).fillNormal($0)
    }
    return values
  }

  /// Values of all images: inputs of a layer or of the model.
  func randomInput() -> [Double] { random(images * glow.latentCount) }

  /// Values that pixels can have.
  func randomImages() -> [Double] { randomInput().map { 0.45 * tanh($0) } }

  private func checked(
    _ name: String, parameters prefix: String,
    forward: @escaping ([Double]) throws -> (output: [Double], logDeterminants: [Double]),
    inverse: @escaping ([Double]) throws -> [Double],
    backward: @escaping ([Double], [Double], [Double]) throws -> [Double]
  ) -> CheckedLayer {
    CheckedLayer(
      name: name, images: images, parameters: glow.values.values, gradients: gradients.values,
      trainable: glow.parameters.entries.filter {
        $0.isTrainable && $0.name.hasPrefix(prefix) && !isLeftOut($0.name)
      }
      .map(\.range),
      forward: { input in
        try self.glow.parametersChanged()
        return try forward(input)
      },
      inverse: { output in
        try self.glow.makeInverses()
        return try inverse(output)
      }, backward: backward)
  }

  /// One layer of a level. A layer where latents leave is the map from z to what stays, then ε, image by image.
  ///
  /// - Parameter prefix: that of the layer's parameters' names, by default the layer's.
  func layer(_ index: Int, level number: Int = 0, parameters prefix: String? = nil) -> CheckedLayer {
    let level = glow.architecture.levels[number]
    let layer = level.layers[index].layer
    let range = index..<index + 1
    let geometry = LayerGeometry(level, index, images: images)
    var result = checked(
      layer.name, parameters: prefix ?? layer.name,
      forward: { x in
        self.workspace.begin(
          count: self.images, labels: self.labels, normalization: self.normalization)
        self.memory(before: index, number).update(from: x, count: x.count)
        self.glow.forward(number, range, self.workspace)
        let output = geometry.join(self.memory(after: index, number), self.latents(number))
        return (output, self.logDeterminants(geometry, output, number))
      },
      inverse: { y in
        geometry.part(y, into: self.memory(after: index, number), self.latents(number))
        self.glow.inverse(number, range, self.workspace)
        return (0..<y.count).map { self.memory(before: index, number)[$0] }
      },
      backward: { x, dy, weights in
        var dx = x
        try dx.withUnsafeMutableBufferPointer { dx in
          let memory = self.workspace.levels[number]
          geometry.part(dy, into: memory.gradient!, nil)
          self.glow.foldedGradient!.values.update(repeating: 0)
          for (image, weight) in weights.enumerated() {
            self.workspace.setLikelihoodWeight(weight, image: image)
          }
          self.glow.backward(number, range, self.workspace, imageGradient: dx.baseAddress!)
          // The first layer hands its gradient on, the others leave it where it was.
          if index > 0 { dx.baseAddress!.update(from: memory.gradient!, count: dx.count) }
          try self.glow.foldBackward(
            totalWeight: weights.reduce(0, +), into: ParameterValues(base: self.gradients.base))
        }
        return dx
      })
    // Backward starts from the density of what leaves, so the upstream of ε is that of a standard normal.
    result.upstream = { output, weights in
      var (value, gradient) = CheckedLayer.linearUpstream(output, weights)
      for image in weights.indices {
        for index in geometry.latentIndices(image) {
          value += weights[image] * -0.5 * output[index] * output[index] - gradient[index] * output[index]
          gradient[index] = -weights[image] * output[index]
        }
      }
      return (value, gradient)
    }
    return result
  }

  private func memory(before index: Int, _ level: Int) -> UnsafeMutablePointer<Double> {
    if index == 0 { return workspace.images }
    return memory(after: index - 1, level)
  }

  private func memory(after index: Int, _ level: Int) -> UnsafeMutablePointer<Double> {
    workspace.levels[level].activations(at: glow.architecture.levels[level].placeAfter[index])
  }

  private func latents(_ level: Int) -> UnsafeMutablePointer<Double>? {
    workspace.levels[level].latents.first?.0
  }

  /// Of each image: what the layer has added to the log-determinant and density, the part of its channel map, less the
  /// density of ε.
  private func logDeterminants(
    _ geometry: LayerGeometry, _ output: [Double], _ level: Int
  ) -> [Double] {
    let memory = workspace.levels[level]
    let map = glow.folded(geometry.placed).map?.logAbsoluteDeterminant ?? 0
    return (0..<images).map { image in
      memory.tiling.slots(ofImage: image).reduce(Double(memory.shape.positions) * map) {
        $0 + memory.sums.logDeterminants[$1] + memory.sums.logDensities[$1]
      } - standardNormal(geometry.latentIndices(image).map { output[$0] })
    }
  }

  /// The whole model as the map from images to latents; backward is that of Σ w·ln p.
  func whole() -> CheckedLayer {
    let count = glow.latentCount
    var result = checked(
      "model", parameters: "",
      forward: { x in
        self.workspace.images.update(from: x, count: x.count)
        let likelihoods = self.glow.forward(
          self.workspace, count: self.images, labels: self.labels, normalization: self.normalization)
        var latents = [Double](repeating: 0, count: x.count)
        let sums = latents.withUnsafeMutableBufferPointer { latents in
          (0..<self.images).map { image in
            let own = latents.baseAddress! + image * count
            self.workspace.readLatents(image, into: own)
            return likelihoods[image].nats - likelihoods[image].dequantizationConstant
              - standardNormal((0..<count).map { own[$0] })
          }
        }
        return (latents, sums)
      },
      inverse: { latents in
        self.workspace.setLatents(latents, count: self.images)
        try self.glow.inverse(self.workspace, count: self.images, labels: self.labels)
        return (0..<latents.count).map { self.workspace.images[$0] }
      },
      backward: { x, _, weights in
        var dx = x
        try dx.withUnsafeMutableBufferPointer {
          try self.glow.backward(
            self.workspace, weights: weights, gradients: self.gradients.base, imageGradient: $0.baseAddress!)
        }
        return dx
      })
    result.upstream = { latents, weights in
      let gradient = latents.enumerated().map { -weights[$0 / count] * $1 }
      return (zip(latents, gradient).reduce(0) { $0 + 0.5 * $1.0 * $1.1 }, gradient)
    }
    return result
  }
}

/// Where a layer's output of each image stands: channels that stay, and ε of those that leave.
private struct LayerGeometry {
  /// The layer's number in the model.
  let placed: Int
  let images: Int
  let positions: Int
  let channels: Int
  let leaving: Int
  private var staying: Int { channels - leaving }

  init(_ level: Level, _ index: Int, images: Int) {
    placed = level.layers[index].index
    self.images = images
    positions = level.shape.positions
    channels = level.shape.channels
    leaving = level.layers[index].needs.buffers.reduce(0) { sum, need in
      if case .latents = need.life { sum + need.columns } else { sum }
    }
  }

  /// Of an image, the places of ε in what `join` returns.
  func latentIndices(_ image: Int) -> Range<Int> {
    image * positions * channels + positions * staying..<(image + 1) * positions * channels
  }

  /// Image by image what stays, then ε.
  func join(_ z: UnsafeMutablePointer<Double>, _ epsilon: UnsafeMutablePointer<Double>?) -> [Double] {
    (0..<images).flatMap { image in
      (0..<positions * staying).map { z[(image * positions + $0 / staying) * channels + $0 % staying] }
        + (0..<positions * leaving).map { epsilon![image * positions * leaving + $0] }
    }
  }

  /// The opposite; what leaves is dropped if there is no place for it.
  func part(
    _ values: [Double], into z: UnsafeMutablePointer<Double>, _ epsilon: UnsafeMutablePointer<Double>?
  ) {
    for image in 0..<images {
      let start = image * positions * channels
      for index in 0..<positions * staying {
        z[start + index / staying * channels + index % staying] = values[start + index]
      }
      for index in 0..<positions * leaving {
        epsilon?[image * positions * leaving + index] = values[start + positions * staying + index]
      }
    }
  }
}

/// ln of the density of independent standard normal numbers.
private func standardNormal(_ epsilon: [Double]) -> Double {
  epsilon.reduce(-0.5 * Gaussian.logTwoPi * Double(epsilon.count)) { $0 - 0.5 * $1 * $1 }
}
