import Foundation
import GlowFiles
import GlowFlow
import GlowKernels
import GlowStorage
import Testing

@testable import GlowTraining

@Suite("Guards of training")
struct GuardTests {
  private let runs = Runs()

  /// A rate at which this model explodes within a few steps.
  private func wild(_ configuration: inout RunConfiguration) {
    configuration.training.optimizer = .adam
    configuration.training.learningRate = 0.3
    configuration.training.evaluateEvery = 15
  }

  @Test("a rate that is far too high ends in a good model with guards, and in none without")
  func wildRate() throws {
    defer { runs.remove() }
    let listener = Listener()
    let run = try runs.trainer("run", steps: 60, listener: listener, change: wild)
    #expect(try run.run() == .finished)
    print("60 steps at 0.3: \(listener.notes.filter { $0.contains("step ") }.joined(separator: "\n"))")
    #expect(listener.heard("back to the state of step") && listener.heard("of the rate"))
    #expect(run.badSteps > 0)
    let lines = try runs.metrics(run)
    let bits = try #require(lines.last { $0["test_bits_per_dim"] != nil }?["test_bits_per_dim"])
    #expect(bits < 8)
    _ = try ModelFile.read(run.folder.path, as: Float.self)

    let bare = try runs.trainer("bare", steps: 60) {
      wild(&$0)
      $0.training.guards = false
    }
    // The gradient of the second step is not finite, and without guards it goes into the weights.
    let error = #expect(throws: SingularMapError.self) { try bare.run() }
    #expect(error?.step == "level0.step0" && bare.step == 2)
    #expect(try runs.metrics(bare).isEmpty && bare.folder.checkpointSteps().isEmpty)
    #expect(throws: FileError.self) { try ModelFile.read(bare.folder.path, as: Float.self) }
  }

  @Test(
    "a run that rolls back resumes exactly, wherever it is stopped", arguments: [1, 4, 7, 13, 15, 22, 30, 31])
  func exactResume(stop: Int) throws {
    defer { runs.remove() }
    let whole = try resume("wild", steps: 40, stop: stop, change: wild)
    #expect(whole.badSteps > 0)
  }

  /// Runs a whole run, and one that is stopped and goes on, which are to be the same.
  private func resume(
    _ name: String, steps: Int, stop: Int, change: @escaping (inout RunConfiguration) -> Void
  ) throws -> Trainer {
    let whole = try runs.trainer("\(name)-whole", steps: steps, change: change)
    #expect(try whole.run() == .finished)
    let first = try runs.trainer("\(name)-parts", steps: steps, change: change)
    first.interruption = { first.step >= stop ? SIGTERM : nil }
    #expect(try first.run() == .interrupted(signal: SIGTERM))
    #expect(first.folder.checkpointSteps().last == stop)
    let second = try runs.trainer("\(name)-parts", steps: steps, change: change)
    try second.resume()
    #expect(second.step == stop)
    #expect(try second.run() == .finished)
    for path in [\RunFolder.model, \.best] {
      #expect(
        try runs.bytes(whole.folder[keyPath: path]) == runs.bytes(second.folder[keyPath: path]))
    }
    #expect(
      try runs.bytes(whole.folder.checkpoint(steps)) == runs.bytes(second.folder.checkpoint(steps)))
    func lasting(_ run: Trainer) throws -> [[String: Double]] {
      try runs.metrics(run).map { $0.filter { !["seconds", "images_per_second"].contains($0.key) } }
    }
    #expect(try lasting(whole) == lasting(second))
    return whole
  }

  @Test("weights that go bad between steps: skipped, diagnosed, rolled back")
  func badWeights() throws {
    defer { runs.remove() }
    for (name, value, message) in [
      // The fold after the next update finds that these scales are zero in Float,
      ("level1.step0.actnorm.logs", Float(-50), "level1.step0: the channel map cannot be inverted"),
      // the next gradient or the loss of the step after it these.
      ("level1.step0.invconv.weight", .nan, "the parameter level1.step0.invconv.weight"),
      ("level0.step1.coupling.conv3.bias", .infinity, "the parameter level0.step1.coupling.conv3.bias"),
      ("level0.step1.coupling.actnorm1.logs", 40, "level0.step1.coupling.actnorm1"),
      ("dequantizer.coupling.conv3.bias", .nan, "the parameter dequantizer.coupling.conv3.bias"),
      ("dequantizer.coupling.conv3.logs", 40, "dequantizer.coupling.conv3"),
    ] {
      let listener = Listener()
      let run = try runs.trainer(name, steps: 40, listener: listener) {
        if !name.hasPrefix("dequantizer") { return }
        $0.model.dequantizerWidth = 8
        $0.training.dequantization = .variational
      }
      listener.afterStep = { step in
        if step != 25 { return }
        for index in run.glow.parameters[name]!.range { run.glow.values.base[index] = value }
      }
      #expect(try run.run() == .finished)
      #expect(listener.heard(message) && listener.heard("back to the state of step 20"), "\(listener.notes)")
      #expect(run.glow.values.values.allSatisfy { $0.isFinite })
      let losses = try runs.metrics(run).compactMap { $0["loss"] }
      #expect(losses.count > 5 && losses.allSatisfy { $0 < 8.5 })
    }
  }

  @Test("gives up after a set number of failures, with the last good state in the folder")
  func givingUp() throws {
    defer { runs.remove() }
    let listener = Listener()
    let run = try runs.trainer("run", steps: 200, listener: listener)
    var good: [Float] = []
    listener.afterStep = { step in
      if step == 10 { good = Array(run.glow.values.values) }
      guard step >= 12 else { return }
      run.glow.values.base[run.glow.parameters["level0.split.conv.bias"]!.offset] = .nan
      try! run.glow.parametersChanged()
    }
    do {
      _ = try run.run()
      Issue.record("the run did not end")
    } catch let error as TrainingError {
      #expect(
        error.description.contains("after 11 failures")
          && error.description.contains("the last good weights are in"))
    }
    #expect(Array(run.glow.values.values) == good)
    _ = try ModelFile.read(run.folder.path, as: Float.self)
    let again = try runs.trainer("run", steps: 100)
    try again.resume()
    #expect(Array(again.glow.values.values) == good)
    #expect(try again.run() == .finished)
  }

  @Test("the steps of the response to trouble")
  func responses() throws {
    var guards = Safeguard()
    func judge(_ bits: Double, norm: Double = 1) -> Trouble? {
      guards.judge(loss: bits, gradientNorm: norm, bits: 8)
    }
    func isFine(_ bits: Double) -> Bool { judge(bits) == nil }
    func respond(toLoss bits: Double, step: Int) throws -> Response {
      let trouble = try #require(judge(bits))
      return guards.respond(to: trouble, step: step)
    }
    #expect(isFine(7) && isFine(14.9))
    // Single spikes are skipped and never add up to more.
    for step in 0..<100 {
      #expect(try respond(toLoss: 1e6, step: step) == .skip)
      #expect(isFine(7))
    }
    let spikes = try (0..<6).map { try respond(toLoss: 20, step: 300 + $0) }
    #expect(spikes == [.skip, .skip, .skip, .skip, .rollBack, .skip])
    #expect(isFine(7))
    // After a calm all starts again.
    let trouble = Trouble.notFinite
    if case .notFinite = judge(.nan) {} else { Issue.record("NaN passes") }
    if case .notFinite = judge(7, norm: .infinity) {} else { Issue.record("an infinite gradient passes") }
    #expect(guards.respond(to: trouble, step: 600) == .skip)
    #expect(guards.respond(to: trouble, step: 601) == .rollBack && guards.rateFactor == 1)
    #expect(guards.respond(to: trouble, step: 700) == .rollBackAndSlow && guards.rateFactor == 0.5)
    for step in 701..<708 { #expect(guards.respond(to: trouble, step: step) == .rollBackAndSlow) }
    #expect(guards.respond(to: trouble, step: 708) == .giveUp && guards.rateFactor == 1.0 / 256)
    #expect(
      try JSONDecoder().decode(Safeguard.self, from: JSONEncoder().encode(guards)) == guards)
  }

  @Test("gradients are clipped to so many times the running mean of their clipped norms")
  func clipping() throws {
    var guards = Safeguard()
    let norms = (0..<1500).map { 1 + 3 * abs(sin(1.7 * Double($0))) + ($0 % 97 == 50 ? 1e6 : 0) }
    var mean = norms[0]
    var clippedCount = 0
    for (index, norm) in norms.enumerated() {
      let clipped = min(norm, 1.5 * mean)
      if clipped < norm { clippedCount += 1 }
      #expect(guards.scale(ofNorm: norm, ratio: 1.5) == (clipped < norm ? clipped / norm : 1))
      let decay = min(0.99, Double(index) / Double(10 + index))
      mean = decay * mean + (1 - decay) * clipped
      #expect(abs(try #require(guards.norms?.mean) / mean - 1) < 1e-12)
    }
    #expect(clippedCount > 15 && clippedCount < 750 && mean > 2 && mean < 4)
    #expect(
      try JSONDecoder().decode(Safeguard.self, from: JSONEncoder().encode(guards)) == guards)
    // If all are larger from now on, the limit follows them.
    let factors = (0..<1000).map { _ in guards.scale(ofNorm: 8, ratio: 1.5) }
    #expect(factors[0] < 1 && factors.last == 1)
  }

  @Test("norms that are not finite, and one of nothing at first, leave clipping as it is")
  func wildNorms() throws {
    var guards = Safeguard()
    #expect([0, 3, 1e6].map { guards.scale(ofNorm: $0, ratio: 1.5) > 0 } == [true, true, true])
    for first in [.nan, .infinity, 2] as [Double] {
      guards = Safeguard()
      #expect(guards.scale(ofNorm: first, ratio: 1.5) == 1)
      #expect(guards.scale(ofNorm: 2, ratio: 1.5) == 1)
      #expect([.nan, .infinity].map { guards.scale(ofNorm: $0, ratio: 1.5) } == [1, 1])
      #expect(guards.scale(ofNorm: 6, ratio: 1.5) == 0.5)
      #expect(
        try JSONDecoder().decode(Safeguard.self, from: JSONEncoder().encode(guards)) == guards)
    }
    // A checkpoint of an earlier version has none.
    var fields = try #require(
      try JSONSerialization.jsonObject(with: JSONEncoder().encode(guards)) as? [String: Any])
    fields["norms"] = nil
    let former = try JSONDecoder().decode(
      Safeguard.self, from: JSONSerialization.data(withJSONObject: fields))
    #expect(former.norms == nil)
  }

  @Test("after a roll-back the limit does not know what gradients grew to")
  func clippingAfterRollBack() throws {
    var guards = Safeguard()
    for power in 0..<20 { _ = guards.scale(ofNorm: exp2(Double(power)), ratio: 1.5) }
    #expect(try #require(guards.norms?.mean) > 30)
    #expect(guards.respond(to: .notFinite, step: 20) == .skip && guards.norms != nil)
    #expect(guards.respond(to: .notFinite, step: 21) == .rollBack && guards.norms == nil)
    #expect(guards.scale(ofNorm: 1, ratio: 1.5) == 1 && guards.scale(ofNorm: 3, ratio: 1.5) == 0.5)
  }

  @Test("a run whose gradients are clipped resumes exactly", arguments: [1, 9, 20])
  func clippedResume(stop: Int) throws {
    defer { runs.remove() }
    func clipped(_ ratio: Double, _ norm: Double = 0) -> (inout RunConfiguration) -> Void {
      {
        $0.training.optimizer = .muon
        ($0.training.learningRate, $0.training.evaluateEvery) = (5e-3, 10)
        ($0.training.clipRatio, $0.training.clipNorm) = (ratio, norm)
      }
    }
    let whole = try resume("clipped", steps: 25, stop: stop, change: clipped(1.05))
    // It clips; where both limits are set, the lower one holds.
    func model(_ name: String, _ ratio: Double, _ norm: Double) throws -> [UInt8] {
      let run = try runs.trainer(name, steps: 25, change: clipped(ratio, norm))
      #expect(try run.run() == .finished)
      return try runs.bytes(run.folder.model)
    }
    let usual = try runs.bytes(whole.folder.model)
    let low = try model("low", 1.05, 1e-3)
    #expect(try model("free", 0, 0) != usual && low != usual)
    #expect(try model("high", 1.05, 1e9) == usual && model("lowest", 1e9, 1e-3) == low)
  }

  @Test("a channel map that comes near to having no inverse is warned of")
  func warning() throws {
    defer { runs.remove() }
    let listener = Listener()
    let run = try runs.trainer("run", steps: 20, listener: listener) { $0.training.learningRate = 1e-7 }
    listener.afterStep = { step in
      guard step == 7 else { return }
      let weight = run.glow.parameters["level1.step1.invconv.weight"]!
      for column in 0..<weight.shape[1] { run.glow.values.base[weight.offset + column] *= 1e-6 }
    }
    _ = try run.run()
    let warnings = listener.notes.filter { $0.contains("warning") }
    #expect(warnings.count == 1 && warnings[0].contains("level1.step1"), "\(listener.notes)")
    let lines = try runs.metrics(run).compactMap { $0["largest_condition"] }
    #expect(lines.count == 4 && lines[0] < 1e4 && lines[1] > 1e4)
  }

  @Test("the best model is that of the lowest test bits/dim, also after a resume")
  func best() throws {
    defer { runs.remove() }
    func change(_ configuration: inout RunConfiguration) {
      configuration.training.evaluateEvery = 5
      configuration.training.learningRate = 5e-3
    }
    let first = try runs.trainer("run", steps: 30, change: change)
    _ = try first.run()
    func check(_ run: Trainer) throws {
      let bits = try runs.metrics(run).compactMap { line in
        line["test_bits_per_dim"].map { (line["step"]!, $0) }
      }
      let lowest = try #require(bits.min { $0.1 < $1.1 })
      let (_, metadata) = try ModelFile.read(run.folder.best, as: Float.self)
      #expect(metadata["glow.step"] == String(Int(lowest.0)))
      #expect(metadata["glow.test_bits_per_dim"].flatMap { Double($0) } == lowest.1)
    }
    try check(first)
    // From here on the weights are ruined: the best stays what it was.
    let kept = try runs.bytes(first.folder.best)
    let listener = Listener()
    let second = try runs.trainer("run", steps: 60, listener: listener) {
      change(&$0)
      $0.training.guards = false
    }
    try second.resume()
    listener.afterStep = { _ in
      second.glow.values.base[second.glow.parameters["level0.split.conv.bias"]!.offset] += 30
    }
    _ = try second.run()
    #expect(try runs.bytes(second.folder.best) == kept)
    try check(second)
  }

  @Test("memory for the state to go back to is counted")
  func memory() throws {
    let with = try runs.trainer("a", steps: 1)
    let without = try runs.trainer("b", steps: 1) { $0.training.guards = false }
    #expect(with.memory.bytes - without.memory.bytes == 4 * 4 * with.glow.parameters.count)
  }

  @Test("more threads than processors write the same bytes, and OpenBLAS serves only so many")
  func manyThreads() throws {
    defer { runs.remove() }
    let one = try runs.trainer("one", steps: 2, threads: 1)
    let many = try runs.trainer("many", steps: 2, threads: 150)
    #expect(many.glow.team.count == min(150, many.glow.kernels.mostThreads))
    #expect(try one.run() == .finished && many.run() == .finished)
    #expect(try runs.bytes(one.folder.checkpoint(2)) == runs.bytes(many.folder.checkpoint(2)))
    #expect(ThreadTeam(count: 1000, kernels: .openBLAS).count == ProductKernels.openBLAS.mostThreads)
  }
}
