import GlowFlow
import GlowKernels
import Testing

@testable import GlowTraining

@Suite("Memory that training will take")
struct MemoryEstimateTests {
  private let glow: Glow<Float>
  private let kept: Int
  private let recomputed: Int
  private let parameters: Int

  private static let configuration: TrainingConfiguration = {
    var configuration = TrainingConfiguration()
    configuration.batch = 256
    configuration.initializationImages = 16
    return configuration
  }()

  init() throws {
    var model = GlowConfiguration()
    (model.levels, model.depth, model.width) = (2, 4, 64)
    glow = try Glow(configuration: model, seed: 0, team: ThreadTeam(count: 1, kernels: .openBLAS))
    kept = glow.workspaceBytes(batch: 256, purpose: .training(keepsHidden: true))
    recomputed = glow.workspaceBytes(batch: 256, purpose: .training(keepsHidden: false))
    parameters = 12 * 4 * glow.parameters.count
  }

  /// `available` so that a tenth of it is left free beside `bytes`.
  private func available(for bytes: Int) -> Int { bytes / 9 * 10 + 100 }

  private func estimate(
    _ policy: ActivationPolicy, available: Int?, change: (inout TrainingConfiguration) -> Void = { _ in }
  ) throws -> MemoryEstimate {
    var configuration = Self.configuration
    configuration.activations = policy
    change(&configuration)
    return try MemoryEstimate(glow, configuration, available: available)
  }

  private func refusal(_ policy: ActivationPolicy, available: Int) -> String? {
    do {
      _ = try estimate(policy, available: available)
      return nil
    } catch { return "\(error)" }
  }

  @Test("hidden activations are kept as long as they fit, then computed again, then the run is refused")
  func decision() throws {
    #expect(kept > recomputed + 10_000_000)
    for (available, keeps) in [
      (nil, true), (available(for: parameters + kept), true),
      (available(for: parameters + kept - 1000), false), (available(for: parameters + recomputed), false),
    ] {
      let found = try estimate(.automatic, available: available)
      #expect(found.keepsHidden == keeps)
      #expect(found.purpose == .training(keepsHidden: keeps))
      #expect(found.parameterBytes == parameters && found.workspaceBytes == (keeps ? kept : recomputed))
      #expect(found.bytes == found.parameterBytes + found.workspaceBytes)
    }
    #expect(try !estimate(.recompute, available: nil).keepsHidden)
    #expect(try estimate(.keep, available: available(for: parameters + kept)).keepsHidden)
  }

  @Test("a refusal says what is needed, what is free and what to change")
  func refusals() {
    let advice = "use a smaller batch, width or image size"
    let most = parameters + recomputed - 1000
    for policy in [ActivationPolicy.automatic, .recompute] {
      let text = "training needs about \((parameters + recomputed) / 1_000_000) MB of memory and "
      #expect(
        refusal(policy, available: available(for: most))
          == text + "\(available(for: most) / 1_000_000) MB are free: " + advice)
    }
    let free = available(for: parameters + kept - 1000)
    #expect(
      refusal(.keep, available: free)
        == "training needs about \((parameters + kept) / 1_000_000) MB of memory and \(free / 1_000_000) MB "
        + "are free: " + advice + ", or recompute the activations")
    #expect(refusal(.automatic, available: available(for: parameters + recomputed)) == nil)
  }

  @Test("no guards and no average take less; many images for the actnorms count until they are set")
  func settings() throws {
    #expect(try estimate(.keep, available: nil) { $0.guards = false }.parameterBytes == parameters / 12 * 8)
    let forInitialization = glow.workspaceBytes(batch: 20_000, purpose: .inference)
    #expect(forInitialization > kept)
    func bytes() throws -> Int {
      try estimate(.keep, available: nil) { $0.initializationImages = 20_000 }.workspaceBytes
    }
    #expect(try bytes() == forInitialization)
    var configuration = Self.configuration
    configuration.initializationImages = 20_000
    let few = try MemoryEstimate(glow, configuration, imageCount: 16, available: nil)
    #expect(few.workspaceBytes == kept)
    #expect(throws: TrainingError.self) {
      do { _ = try MemoryEstimate(glow, configuration, available: available(for: parameters + kept)) } catch {
        #expect(
          "\(error)".hasSuffix(
            "initialize from fewer images (--init-images), or use a smaller width or image size"))
        throw error
      }
    }
    glow.isInitialized = true
    #expect(try bytes() == kept)
  }

  @Test("parameters that alone do not fit are refused before there is a model")
  func parametersAlone() throws {
    var model = GlowConfiguration()
    (model.levels, model.depth, model.width) = (3, 32, 512)
    let configuration = TrainingConfiguration()
    let least = try model.parameters().count * 48
    try MemoryEstimate.check(model, configuration, .openBLAS, available: nil)
    try MemoryEstimate.check(model, configuration, .openBLAS, available: available(for: least))
    let free = available(for: least - 1000)
    let error = #expect(throws: TrainingError.self) {
      try MemoryEstimate.check(model, configuration, .openBLAS, available: free)
    }
    #expect(throws: TrainingError.self) {
      try MemoryEstimate.check(
        model, configuration, .packed, available: available(for: least * 15 / 12 - 1000))
    }
    #expect(
      error?.description
        == "training needs about \(least / 1_000_000) MB of memory for the parameters alone and "
        + "\(free / 1_000_000) MB are free: use a smaller width or depth, or fewer levels")
  }

  @Test("the line that a run begins with")
  func description() throws {
    let text =
      "memory: about \((parameters + recomputed) / 1_000_000) MB (\(parameters / 1_000_000) MB for the "
      + "parameters, \(recomputed / 1_000_000) MB for activations, hidden ones recomputed)"
    #expect(try estimate(.recompute, available: nil).description == text)
    #expect(
      try estimate(.recompute, available: 5_000_000_000).description == text + ", 5000 MB free")
  }
}
