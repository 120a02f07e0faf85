import Foundation
import GlowKernels
import Testing

@testable import GlowFlow
@testable import GlowStorage

@Suite("Parity with other implementations of Glow")
struct ParityTests {
  /// Largest relative errors that are accepted.
  struct Tolerance {
    let likelihood: Double
    let gradient: Double
    let latents: Double

    /// Double against references that were computed in float64.
    static let float64 = Tolerance(likelihood: 1e-13, gradient: 1e-12, latents: 1e-13)
    /// Double against references that were computed in float32: what is seen is their rounding.
    static let float32 = Tolerance(likelihood: 5e-7, gradient: 2e-6, latents: 2e-6)
    /// Float against references in float32: the rounding of both.
    static let bothFloat32 = Tolerance(likelihood: 5e-7, gradient: 4e-6, latents: 4e-6)
  }

  @Test("in Double", arguments: Reference.all)
  func inDouble(reference: Reference) throws {
    try compare(ReferenceRun<Double>(reference), reference.isDouble ? .float64 : .float32)
  }

  @Test("in Float", arguments: Reference.all.filter { !$0.isDouble })
  func inFloat(reference: Reference) throws {
    try compare(ReferenceRun<Float>(reference), .bothFloat32)
  }

  private func compare<S>(_ run: ReferenceRun<S>, _ tolerance: Tolerance) throws {
    let gradients = try Slab<S>(count: run.glow.parameters.count)
    let imageGradient = try Slab<S>(count: run.images.count)
    let objective = try run.glow.objective(
      run.workspace, count: run.count, labels: run.labels, gradients: gradients.base,
      imageGradient: imageGradient.base)
    let likelihoods = run.glow.forward(run.workspace, count: run.count, labels: run.labels)

    var report = Report(name: "\(run.reference.name) in \(S.self)")
    report.add(
      "log-likelihood", worst(likelihoods.map(\.nats), try run.expected("output.log_likelihood_nats")),
      tolerance.likelihood)
    report.add(
      "bits/dim", worst(likelihoods.map(\.bitsPerDimension), try run.expected("output.bits_per_dim")),
      tolerance.likelihood)
    report.add("loss", worst([objective.loss], try run.expected("output.loss")), tolerance.likelihood)
    if run.reference.isConditional {
      report.add(
        "classifier",
        worst(likelihoods.map { $0.classifierBits! }, try run.expected("output.classifier_bits")),
        tolerance.latents)
    }
    try compareLatents(run, tolerance, &report)

    report.add(
      "input gradient",
      relativeError(imageGradient.values.map { Double($0) }, try run.expected("grad.input")),
      tolerance.gradient)
    let found = try run.reference.model().pullBack(gradients.base, of: run.glow.parameters)
    let names = run.file.entries.map(\.name).filter { $0.hasPrefix("grad.") && $0 != "grad.input" }
    #expect(names.count > 30)
    for name in names {
      let gradient = try #require(found[String(name.dropFirst(5))], "no gradient for \(name)")
      report.add("gradients", relativeError(gradient, try run.expected(name)), tolerance.gradient, name)
    }
    try compareDecoding(run, tolerance, &report)
    print(report)
  }

  private func compareLatents<S>(
    _ run: ReferenceRun<S>, _ tolerance: Tolerance, _ report: inout Report
  ) throws {
    switch run.reference.format {
    case .openai:
      report.add(
        "latents",
        relativeError(
          run.latents().map { Double($0) }, try run.storedLatents("output.eps").map { Double($0) }),
        tolerance.latents)
    case .y0ast:
      let top = run.glow.configuration.levels - 1
      report.add(
        "latents", relativeError(run.leaving(top), try run.expected("output.latent.0")), tolerance.latents)
    case .rosinality:
      for level in 0..<run.glow.configuration.levels {
        report.add(
          "latents", relativeError(run.leaving(level), try run.expected("output.latent.\(level)")),
          tolerance.latents, "level \(level)")
      }
    case .realnvp: preconditionFailure("RealNVPParityTests compare it")
    }
  }

  private func compareDecoding<S>(
    _ run: ReferenceRun<S>, _ tolerance: Tolerance, _ report: inout Report
  ) throws {
    let latents = run.latents()
    report.add(
      "round trip", relativeError(try run.decode(latents), run.images.map { Double($0) }), tolerance.latents)
    if run.reference.format != .openai { return }
    report.add(
      "decode", relativeError(try run.decode(run.storedLatents("decode.eps")), try run.expected("decode.x")),
      tolerance.latents)
    report.add(
      "decode of its own latents",
      relativeError(try run.decode(run.storedLatents("output.eps")), try run.expected("roundtrip.x")),
      tolerance.latents)
  }

  /// The largest relative error of single numbers.
  private func worst(_ found: [Double], _ expected: [Double]) -> Double {
    precondition(found.count == expected.count)
    return zip(found, expected).reduce(0) { max($0, relativeError([$1.0], [$1.1])) }
  }
}

/// Collects the worst figure of each kind, and expects each to be within its tolerance.
private struct Report: CustomStringConvertible {
  let name: String
  private var worst: [(what: String, error: Double, at: String)] = []

  init(name: String) { self.name = name }

  mutating func add(_ what: String, _ error: Double, _ tolerance: Double, _ at: String = "") {
    #expect(error <= tolerance, "\(name): \(what) \(at) is off by \(error)")
    if let index = worst.firstIndex(where: { $0.what == what }) {
      if error > worst[index].error { worst[index] = (what, error, at) }
    } else {
      worst.append((what, error, at))
    }
  }

  var description: String {
    "\(name): "
      + worst.map { "\($0.what) \(String(format: "%.1e", $0.error))\($0.at.isEmpty ? "" : " (\($0.at))")" }
      .joined(separator: ", ")
  }
}
