import Foundation
import GlowKernels
import GlowTestSupport

@testable import GlowFlow

/// The layers of a small Double model as the checks see them.
///
/// Each adapter runs the very code that training runs, on the buffers of a workspace.
final class SmallModel {
  let glow: Glow<Double>
  let workspace: Workspace<Double>
  let gradients: Slab<Double>
  let images = 2
  let labels: [Int]?

  init(
    _ change: (inout GlowConfiguration) -> Void = { _ in }, tileRows: Int = 256, threads: Int = 2,
    keepsHidden: Bool = true, side: Int = 4
  ) throws {
    var configuration = GlowConfiguration()
    configuration.imageHeight = side
    configuration.imageWidth = side
    configuration.imageChannels = 2
    configuration.levels = 1
    configuration.depth = 1
    configuration.width = 5
    change(&configuration)
    glow = try Glow(
      configuration: configuration, seed: 7, team: ThreadTeam(count: threads), tileRows: tileRows)
    workspace = glow.workspace(batch: images, purpose: .training(keepsHidden: keepsHidden))
    gradients = Slab(count: glow.parameters.count)
    labels = configuration.isConditional ? [2, 0] : nil
    // No parameter may stay at a value (such as zero) at which a mistake in its gradient could hide.
    for entry in glow.parameters.entries where entry.isTrainable {
      let noise = Philox(seed: 11, purpose: .latents, stream: UInt64(entry.offset))
      var values = [Double](repeating: 0, count: entry.count)
      values.withUnsafeMutableBufferPointer { noise.fillNormal($0) }
      let scale = entry.name.hasSuffix("logs") ? 0.05 : 0.2
      for (index, value) in values.enumerated() { glow.values.base[entry.offset + index] += scale * value }
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

  private func layer(
    _ name: String, prefix: String,
    forward: @escaping ([Double]) throws -> (output: [Double], logDeterminants: [Double]),
    inverse: @escaping ([Double]) throws -> [Double],
    backward: @escaping ([Double], [Double], [Double]) throws -> [Double]
  ) -> CheckedLayer {
    CheckedLayer(
      name: name, images: images, parameters: glow.values.values, gradients: gradients.values,
      trainable: glow.parameters.entries.filter { $0.isTrainable && $0.name.hasPrefix(prefix) }
        .map(\.range),
      forward: { input in
        try self.glow.parametersChanged()
        return try forward(input)
      },
      inverse: inverse, backward: backward)
  }

  /// Actnorm and channel mixing of the first step, position by position.
  func channelMap() -> CheckedLayer {
    let map = glow.steps[0][0].map
    let c = map.channels
    let folded = glow.foldedStep(0, 0)
    let positions = glow.configuration.shape(ofLevel: 0).positions
    let count = images * positions
    func apply(_ x: [Double], _ matrix: UnsafeMutablePointer<Double>, _ bias: UnsafeMutablePointer<Double>)
      -> [Double]
    {
      var x = x
      var y = x
      x.withUnsafeMutableBufferPointer { x in
        y.withUnsafeMutableBufferPointer { y in
          multiply(
            Matrix(x.baseAddress!, rows: count, columns: c), Matrix(matrix, rows: c, columns: c),
            into: Matrix(y.baseAddress!, rows: count, columns: c))
          addBias(y.baseAddress!, rows: count, width: c, bias: bias)
        }
      }
      return y
    }
    return layer(
      "channel map", prefix: "level0.step0",
      forward: { x in
        let factorization = try map.fold(self.glow.values.base, into: folded)
        return (
          apply(x, folded + map.matrix, folded + map.bias),
          [Double](
            repeating: Double(positions) * factorization.logAbsoluteDeterminant, count: self.images)
        )
      },
      inverse: { y in
        var (matrix, bias) = try map.inverse(
          folded, try map.fold(self.glow.values.base, into: folded))
        return matrix.withUnsafeMutableBufferPointer { matrix in
          bias.withUnsafeMutableBufferPointer { apply(y, matrix.baseAddress!, $0.baseAddress!) }
        }
      },
      backward: { x, dy, dLogDeterminants in
        let gradient = Slab<Double>(count: self.glow.steps[0][0].foldedCount)
        let dA = product(x, dy, rows: c, inner: count, columns: c, transposeFirst: true)
        for (index, value) in dA.enumerated() { gradient.base[map.matrix + index] = value }
        addRows(dy, rows: count, width: c, to: gradient.base + map.bias)
        let factorization = try map.fold(self.glow.values.base, into: folded)
        map.foldBackward(
          foldedGradient: gradient.base,
          logDeterminantGradient: Double(positions) * dLogDeterminants.reduce(0, +),
          inverse: try factorization.inverse(), values: self.glow.values.base,
          into: self.gradients.base)
        let matrix = (0..<c * c).map { folded[map.matrix + $0] }
        return product(dy, matrix, rows: count, inner: c, columns: c, transposeSecond: true)
      })
  }

  /// A whole flow step of level 0.
  func flowStep() -> CheckedLayer {
    let buffers = { self.workspace.levels[0] }
    let step = glow.steps[0][0]
    let count = images * glow.configuration.shape(ofLevel: 0).count
    let read = { (pointer: UnsafeMutablePointer<Double>) in (0..<count).map { pointer[$0] } }
    return layer(
      "flow step", prefix: "level0.step0",
      forward: { x in
        self.workspace.begin(count: self.images)
        buffers().activations(before: 0).update(from: x, count: count)
        self.glow.forwardSteps(0, 0..<1, self.workspace)
        let constant =
          Double(buffers().shape.positions) * self.glow.channelMapConditions()[0].logDeterminant
        let sums = (0..<self.images).map { image in
          buffers().tiling.slots(ofImage: image).reduce(constant) {
            $0 + self.workspace.logDeterminantSlots[0][$1]
          }
        }
        return (read(buffers().activations(before: 1)), sums)
      },
      inverse: { y in
        let (matrix, bias) = try step.map.inverse(
          self.glow.foldedStep(0, 0),
          try step.map.fold(self.glow.values.base, into: self.glow.foldedStep(0, 0)))
        var inverse = matrix + bias
        buffers().activations(before: 1).update(from: y, count: count)
        inverse.withUnsafeMutableBufferPointer { inverse in
          buffers().tiling.forEachTile(self.glow.team, phases: FlowStep.inversePhases) {
            _, phase, tile, thread in
            step.inverse(
              phase: phase, tile, buffers(), step: 0, folded: self.glow.foldedStep(0, 0),
              inverse: inverse.baseAddress!, scratch: self.workspace.scratch[thread])
          }
        }
        return read(buffers().activations(before: 0))
      },
      backward: { _, dy, dLogDeterminants in
        let folded = self.glow.foldedStep(0, 0)
        let gradient = Slab<Double>(count: step.foldedCount)
        buffers().gradient!.update(from: dy, count: count)
        buffers().tiling.sumOverTiles(
          self.glow.team, phases: FlowStep.backwardPhases, parts: self.workspace.partialGradients!,
          count: step.foldedCount, into: [gradient.base]
        ) { _, phase, tile, part, isFirst, thread in
          step.backward(
            phase: phase, tile, buffers(), step: 0, folded: folded, scratch: self.workspace.scratch[thread],
            logDeterminantGradients: dLogDeterminants, part: part, isFirst: isFirst)
        }
        step.network.foldBackward(
          folded: folded, foldedGradient: gradient.base, values: self.glow.values.base,
          into: self.gradients.base)
        let factorization = try step.map.fold(self.glow.values.base, into: folded)
        step.map.foldBackward(
          foldedGradient: gradient.base,
          logDeterminantGradient: Double(buffers().shape.positions) * dLogDeterminants.reduce(0, +),
          inverse: try factorization.inverse(), values: self.glow.values.base, into: self.gradients.base)
        return read(buffers().gradient!)
      })
  }

  /// Squeeze of one level.
  func squeeze() -> CheckedLayer {
    let shape = glow.configuration.shape(ofLevel: 0)
    let inner = shape.channels / 4
    func inverse(_ y: [Double]) -> [Double] {
      var x = y
      for image in 0..<images {
        x.withUnsafeMutableBufferPointer { x in
          y.withUnsafeBufferPointer { y in
            Squeeze.inverse(
              y.baseAddress! + image * shape.count, into: x.baseAddress! + image * shape.count, stride: inner,
              shape: shape)
          }
        }
      }
      return x
    }
    return layer(
      "squeeze", prefix: "no parameters",
      forward: { x in
        var y = x
        for image in 0..<self.images {
          x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
              Squeeze.forward(
                x.baseAddress! + image * shape.count, stride: inner,
                into: y.baseAddress! + image * shape.count, shape: shape)
            }
          }
        }
        return (y, [Double](repeating: 0, count: self.images))
      },
      inverse: inverse, backward: { _, dy, _ in inverse(dy) })
  }

  /// Split of level 0 as the map (z1, z2) → (z1, ε), one image's z1 before its ε.
  func split() -> CheckedLayer {
    let split = glow.splits[0]
    let depth = glow.configuration.depth
    let shape = glow.configuration.shape(ofLevel: 0)
    let half = shape.channels / 2
    let folded = Slab<Double>(count: split.foldedCount)
    let buffers = { self.workspace.levels[0] }
    let count = shape.count
    func fold() { split.convolution.fold(glow.values.base, into: folded.base) }
    var result = layer(
      "split", prefix: "level0.split",
      forward: { x in
        self.workspace.begin(count: self.images)
        fold()
        buffers().activations(before: depth).update(from: x, count: x.count)
        self.workspace.priorSlots[0].withUnsafeMutableBufferPointer {
          split.forward(
            buffers(), depth: depth, folded: folded.base, scratch: self.workspace.scratch,
            logDensities: $0.baseAddress!, team: self.glow.team)
        }
        var output: [Double] = []
        var sums: [Double] = []
        for image in 0..<self.images {
          let z = buffers().activations(before: depth) + image * count
          for position in 0..<shape.positions {
            for channel in 0..<half { output.append(z[position * shape.channels + channel]) }
          }
          let epsilon = (0..<count / 2).map { buffers().epsilon[image * count / 2 + $0] }
          output += epsilon
          let density = buffers().tiling.slots(ofImage: image).reduce(0) {
            $0 + self.workspace.priorSlots[0][$1]
          }
          sums.append(density - standardNormal(epsilon))
        }
        return (output, sums)
      },
      inverse: { output in
        fold()
        for image in 0..<self.images {
          let z = buffers().activations(before: depth) + image * count
          for index in 0..<count / 2 {
            z[index / half * shape.channels + index % half] = output[image * count + index]
            buffers().epsilon[image * count / 2 + index] = output[image * count + count / 2 + index]
          }
        }
        split.inverse(
          buffers(), depth: depth, folded: folded.base, scratch: self.workspace.scratch,
          team: self.glow.team)
        return (0..<output.count).map { buffers().activations(before: depth)[$0] }
      },
      backward: { _, dy, weights in
        for image in 0..<self.images {
          let gradient = buffers().gradient! + image * count
          for index in 0..<count / 2 {
            gradient[index / half * shape.channels + index % half] = dy[image * count + index]
          }
        }
        let foldedGradient = Slab<Double>(count: split.foldedCount)
        split.backward(
          buffers(), depth: depth, folded: folded.base, workspace: self.workspace, weights: weights,
          foldedGradient: foldedGradient.base, team: self.glow.team)
        split.convolution.foldBackward(
          folded: folded.base, foldedGradient: foldedGradient.base, values: self.glow.values.base,
          into: self.gradients.base)
        return (0..<dy.count).map { buffers().gradient![$0] }
      })
    // Backward starts from the density of z2, so the upstream of ε is that of a standard normal.
    result.upstream = { output, weights in
      var (value, gradient) = CheckedLayer.linearUpstream(output, weights)
      for image in weights.indices {
        for index in image * count + count / 2..<(image + 1) * count {
          value += weights[image] * -0.5 * output[index] * output[index] - gradient[index] * output[index]
          gradient[index] = -weights[image] * output[index]
        }
      }
      return (value, gradient)
    }
    return result
  }

  /// The whole model as the map from images to latents; backward is that of Σ w·ln p.
  func whole() -> CheckedLayer {
    let count = glow.latentCount
    var result = layer(
      "model", prefix: "",
      forward: { x in
        self.workspace.images.update(from: x, count: x.count)
        let likelihoods = self.glow.forward(self.workspace, count: self.images, labels: self.labels)
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
            self.workspace, labels: self.labels, weights: weights, gradients: self.gradients.base,
            imageGradient: $0.baseAddress!)
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

/// ln of the density of independent standard normal numbers.
private func standardNormal(_ epsilon: [Double]) -> Double {
  epsilon.reduce(-0.5 * Gaussian.logTwoPi * Double(epsilon.count)) { $0 - 0.5 * $1 * $1 }
}
