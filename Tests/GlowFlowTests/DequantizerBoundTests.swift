import Foundation
import GlowKernels
import Testing

@testable import GlowFlow

/// A model of images so small that the probability of one can be integrated.
@Suite("The bound of a learned noise")
struct DequantizerBoundTests {
  private let glow: Glow<Double>
  private let workspace: Workspace<Double>
  /// Images a pass.
  private let batch = 512
  /// A gray image of 2×2 pixels of one bit.
  private let levels = [0.0, 1, 1, 0]

  init() throws {
    var configuration = GlowConfiguration()
    (configuration.imageHeight, configuration.imageWidth, configuration.imageChannels) = (2, 2, 1)
    (configuration.levels, configuration.depth, configuration.width) = (1, 2, 6)
    (configuration.bits, configuration.dequantizerWidth) = (1, 6)
    glow = try Glow(configuration: configuration, seed: 5)
    for entry in glow.parameters.entries where entry.isTrainable && entry.name.hasPrefix("level0") {
      var noise = [Double](repeating: 0, count: entry.count)
      noise.withUnsafeMutableBufferPointer {
        Philox(seed: 6, purpose: .weights, stream: UInt64(entry.offset)).fillNormal($0)
      }
      for (index, value) in noise.enumerated() { glow.values.base[entry.offset + index] += 0.1 * value }
    }
    // Scales by about e^1.5: over a cell, which is half as wide as all values, the density changes a good deal.
    for index in glow.parameters["level0.step0.actnorm.logs"]!.range { glow.values.base[index] += 0.5 }
    try glow.parametersChanged()
    workspace = try glow.workspace(batch: batch, purpose: .training(keepsHidden: true))
  }

  /// ln p(x)/q(u), less D·ln 2, of as many draws as noise has rows of four.
  private func likelihoods(_ noise: [Double], areFinal: Bool) -> [Double] {
    workspace.imagesAreFinal = areFinal
    return stride(from: 0, to: noise.count, by: 4 * batch).flatMap { start in
      let count = min(batch, (noise.count - start) / 4)
      for index in 0..<4 * count {
        workspace.images[index] = (levels[index % 4] + noise[start + index]) / 2 - 0.5
      }
      return glow.forward(workspace, count: count).map(\.nats)
    }
  }

  private func uniform(_ draws: Int, stream: UInt64) -> [Double] {
    var noise = [Double](repeating: 0, count: 4 * draws)
    noise.withUnsafeMutableBufferPointer {
      Philox(seed: 8, purpose: .evaluation, stream: stream).fillUniform($0)
    }
    return noise
  }

  private func logMean(_ values: some Collection<Double>) -> Double {
    let largest = values.max()!
    return largest + log(values.reduce(0) { $0 + exp($1 - largest) } / Double(values.count))
  }

  /// The mean of the bounds of `count` draws each.
  private func bound(_ likelihoods: [Double], of count: Int) -> Double {
    let bounds = stride(from: 0, to: likelihoods.count, by: count).map {
      logMean(likelihoods[$0..<$0 + count])
    }
    return bounds.reduce(0, +) / Double(bounds.count)
  }

  /// ln of the integral of p over the image's cell, by Gauss's rule of five points in each half of each side.
  private func logProbability() -> Double {
    let nodes = [-0.9061798459386640, -0.5384693101056831, 0, 0.5384693101056831, 0.9061798459386640]
    let weights = [
      0.2369268850561891, 0.4786286704993665, 0.5688888888888889, 0.4786286704993665, 0.2369268850561891,
    ]
    var noise: [Double] = []
    var factors: [Double] = []
    for index in 0..<10_000 {
      var (rest, factor) = (index, 1.0)
      for _ in 0..<4 {
        let (half, node) = (rest % 10).quotientAndRemainder(dividingBy: 5)
        noise.append((1 + nodes[node]) / 4 + 0.5 * Double(half))
        factor *= weights[node] / 4
        rest /= 10
      }
      factors.append(factor)
    }
    let densities = likelihoods(noise, areFinal: true)
    let largest = densities.max()!
    return largest + log(zip(densities, factors).reduce(0) { $0 + exp($1.0 - largest) * $1.1 })
  }

  /// Plain descent of the dequantizer's parameters alone.
  private func learnNoise(steps: Int) throws {
    let gradients = try Slab<Double>(count: glow.parameters.count)
    for step in 0..<steps {
      workspace.imagesAreFinal = false
      let noise = uniform(batch, stream: UInt64(1000 + step))
      for index in noise.indices { workspace.images[index] = (levels[index % 4] + noise[index]) / 2 - 0.5 }
      _ = try glow.objective(workspace, count: batch, gradients: gradients.base)
      for entry in glow.parameters.entries where entry.isTrainable && entry.name.hasPrefix("dequantizer") {
        for index in entry.range { glow.values.base[index] -= 0.3 * gradients.base[index] }
      }
      try glow.parametersChanged()
    }
  }

  @Test(
    "it is below the probability, rises to it with the draws as that of uniform noise does, and is tighter")
  func bound() throws {
    let expected = logProbability()
    try learnNoise(steps: 300)
    let noise = uniform(40_960, stream: 1)
    let ofUniform = likelihoods(noise, areFinal: true)
    let ofLearned = likelihoods(noise, areFinal: false)
    var single: [Double] = []
    for values in [ofUniform, ofLearned] {
      let bounds = [1, 4, 16, 64].map { bound(values, of: $0) }
      print("ln P \(expected); bounds of 1, 4, 16 and 64 draws: \(bounds)")
      for (one, next) in zip(bounds, bounds.dropFirst()) { #expect(one < next) }
      // The mean of p/q over all draws is P: its logarithm is within five standard errors.
      let all = logMean(values)
      let ratios = values.map { exp($0 - expected) }
      let variance = ratios.reduce(0) { $0 + ($1 - 1) * ($1 - 1) } / Double(ratios.count)
      let error = (variance / Double(ratios.count)).squareRoot()
      #expect(error < 0.02 && abs(all - expected) < 5 * error, "\(all) for \(expected) ± \(error)")
      #expect(bounds[0] < expected)
      single.append(bounds[0])
    }
    // Of what uniform noise loses, learned noise gives back a good part.
    #expect(single[1] - single[0] > 0.3 * (expected - single[0]), "\(single), \(expected)")
  }
}
