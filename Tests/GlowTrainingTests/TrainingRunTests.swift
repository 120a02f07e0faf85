import Foundation
import GlowFiles
import GlowFlow
import Testing

@testable import GlowTraining

extension TrainingRun.Stage {
  fileprivate var name: String {
    switch self {
    case .measure: "measure"
    case .judge: "judge"
    case .perform: "perform"
    case .update: "update"
    case .recover: "recover"
    case .restore: "restore"
    case .conclude: "conclude"
    case .interrupt: "interrupt"
    case .giveUp: "giveUp"
    }
  }
}

@Suite("The stages of a run")
struct TrainingRunTests {
  private let runs = Runs()
  private static let step = ["measure", "judge", "perform", "update"]
  private static let badStep = ["measure", "judge", "recover"]
  private static let lastStep = ["measure", "judge", "perform", "conclude"]
  private static let badLastStep = ["measure", "judge", "restore", "perform", "conclude"]

  /// A run whose weights go bad after update `bad`, and what remembers its stages.
  private func trainer(_ name: String, steps: Int, bad: Int? = nil) throws -> (Trainer, Stages) {
    let listener = Listener()
    let run = try runs.trainer(name, steps: steps, listener: listener) {
      $0.training.checkpointEvery = 2
      $0.training.evaluateEvery = 2
      $0.training.sampleEvery = 2
    }
    listener.afterStep = { if $0 == bad { spoil(run) } }
    let stages = Stages()
    run.stageWillBegin = { stages.names.append($0.name) }
    return (run, stages)
  }

  private final class Stages {
    var names: [String] = []
  }

  /// The next loss is not finite.
  private func spoil(_ run: Trainer) {
    run.glow.values.base[run.glow.parameters["level0.split.conv.bias"]!.offset] = .nan
    try! run.glow.parametersChanged()
  }

  @Test("a good run")
  func good() throws {
    defer { runs.remove() }
    let (run, stages) = try trainer("run", steps: 2)
    #expect(try run.run() == .finished)
    #expect(stages.names == Self.step + Self.step + Self.lastStep)
    stages.names = []
    #expect(try run.run() == .finished)
    #expect(stages.names == Self.lastStep)
  }

  @Test("a step that is skipped, and one after which the run goes back")
  func trouble() throws {
    defer { runs.remove() }
    let (run, stages) = try trainer("run", steps: 4, bad: 1)
    #expect(try run.run() == .finished)
    #expect(stages.names == Self.step + Self.badStep + Self.badStep + Self.step + Self.lastStep)
    #expect(run.badSteps == 2)
  }

  @Test("an update that leaves no model")
  func badUpdate() throws {
    defer { runs.remove() }
    let (run, stages) = try trainer("run", steps: 3)
    run.stageWillBegin = { stage in
      stages.names.append(stage.name)
      guard run.step == 1, case .update = stage else { return }
      // These scales are zero in Float.
      let scales = run.glow.parameters["level1.step0.actnorm.logs"]!.range
      for index in scales { run.glow.values.base[index] = -50 }
    }
    #expect(try run.run() == .finished)
    #expect(stages.names == Self.step + Self.step + ["recover"] + Self.step + Self.lastStep)
    #expect(run.badSteps == 1)
  }

  @Test("a roll-back at the last step, whose judgment is not kept")
  func badLastStep() throws {
    defer { runs.remove() }
    let (run, stages) = try trainer("run", steps: 3, bad: 3)
    var before: Safeguard?
    run.stageWillBegin = { stage in
      stages.names.append(stage.name)
      if run.step == 3 { before = before ?? run.state.safeguard }
    }
    #expect(try run.run() == .finished)
    #expect(stages.names == Self.step + Self.step + Self.step + Self.badLastStep)
    #expect(run.state.safeguard == before && run.step == 3)
    #expect(run.glow.values.values.allSatisfy { $0.isFinite })
  }

  @Test("giving up")
  func givingUp() throws {
    defer { runs.remove() }
    let (run, stages) = try trainer("run", steps: 100)
    run.stageWillBegin = { stage in
      stages.names.append(stage.name)
      if run.step > 0, case .measure = stage { spoil(run) }
    }
    #expect(throws: TrainingError.self) { try run.run() }
    let badSteps = Array(repeating: Self.badStep, count: Safeguard.patience).flatMap(\.self)
    #expect(stages.names == Self.step + badSteps + ["giveUp"])
  }

  @Test(
    "a signal at any stage: what follows it, and the run goes on as if it had not been stopped",
    arguments: [
      // Of step 2, at which all is due.
      ("measure", 2, ["interrupt"]), ("judge", 2, ["perform", "measure", "interrupt"]),
      ("perform", 2, ["measure", "interrupt"]), ("update", 2, ["measure", "interrupt"]),
      // Of the trouble after update 3.
      ("recover", 3, ["measure", "interrupt"]),
      // Of the last step.
      ("measure", 6, ["interrupt"]), ("judge", 6, ["perform", "measure", "interrupt"]),
      ("perform", 6, ["measure", "interrupt"]), ("conclude", 6, ["interrupt"]),
    ])
  func signal(at name: String, ofStep step: Int, followed: [String]) throws {
    defer { runs.remove() }
    let (whole, _) = try trainer("whole", steps: 6, bad: 3)
    #expect(try whole.run() == .finished)
    let (first, stages) = try trainer("parts", steps: 6, bad: 3)
    var signal: Int32?
    first.interruption = { signal }
    first.stageWillBegin = { stage in
      if signal != nil { stages.names.append(stage.name) }
      if first.step == step && stage.name == name { signal = SIGTERM }
    }
    #expect(try first.run() == .interrupted(signal: SIGTERM))
    #expect(stages.names == followed)
    let (second, _) = try trainer("parts", steps: 6, bad: 3)
    try second.resume()
    #expect(try second.run() == .finished)
    for path in [whole.folder.model, whole.folder.best, whole.folder.checkpoint(6)] {
      let other = path.replacing("/whole/", with: "/parts/")
      #expect(try runs.bytes(path) == runs.bytes(other), "\(path)")
    }
  }

  @Test("a signal after trouble at the last step: the run has gone back before it stops")
  func signalAtRestore() throws {
    defer { runs.remove() }
    let (run, stages) = try trainer("run", steps: 3, bad: 3)
    var signal: Int32?
    run.interruption = { signal }
    run.stageWillBegin = { stage in
      if signal != nil { stages.names.append(stage.name) }
      if case .restore = stage { signal = SIGTERM }
    }
    #expect(try run.run() == .interrupted(signal: SIGTERM))
    #expect(stages.names == ["perform", "measure", "interrupt"])
    #expect(run.folder.checkpointSteps() == [2, 3])
    #expect(run.glow.values.values.allSatisfy { $0.isFinite })
  }
}
