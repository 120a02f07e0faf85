import Foundation
import Glibc
import GlowImages
import Testing

@testable import GlowTraining

@Suite("Ends before the last step")
struct PatienceTests {
  private let runs = Runs()

  @Test("evaluations count from the best one, each once")
  func history() {
    var history = EvaluationHistory()
    for (bits, step, count) in [
      (5, 1, 0), (6, 2, 1), (6, 2, 1), (.nan, 3, 2), (4, 4, 0), (4, 4, 0), (4, 5, 1), (4, 5, 1), (5, 6, 2),
    ] as [(Double, Int, Int)] {
      _ = history.add(bits, training: 5, step: step)
      #expect(history.withoutGain == count)
    }
  }

  @Test("test images that get worse three times in a row, while training images get better, are told once")
  func parting() throws {
    func told(_ test: [Double], _ training: [Double]) throws -> [Int] {
      var history = EvaluationHistory()
      return try test.indices.filter { index in
        // As a run that goes on from a checkpoint has it, which does the evaluation again.
        history = try JSONDecoder().decode(EvaluationHistory.self, from: JSONEncoder().encode(history))
        let isTold = history.add(test[index], training: training[index], step: index + 1)
        let isToldAgain = history.add(test[index], training: training[index], step: index + 1)
        #expect(!isToldAgain)
        return isTold
      }
    }
    let (rising, falling) = ([3, 3.1, 3.2, 3.3, 3.4, 3.5], [3, 2.9, 2.8, 2.7, 2.6, 2.5])
    #expect(try told(rising, falling) == [3])
    #expect(try told(rising, rising) == [] && told(falling, falling) == [])
    #expect(try told([3, 3.1, 3.2, 3.1, 3.2, 3.3, 3.4], falling + [2.4]) == [6])
    #expect(try told([3, .nan, 3.1, 3.2, 3.3, 3.4], falling) == [5])
    #expect(try told([3, 3.1, 3.2, 3.3, 3.4, 3.5], [3, 2.9, .infinity, 2.7, 2.6, 2.5]) == [])
    // What an earlier version wrote.
    let former = Data(#"{"best": 3, "bestStep": 7, "latestStep": 9, "withoutGain": 2}"#.utf8)
    #expect(try JSONDecoder().decode(EvaluationHistory.self, from: former).withoutGain == 2)
  }

  @Test("a run that learns its training images by heart says so, and what is best")
  func byHeart() throws {
    defer { runs.remove() }
    let listener = Listener()
    // What is learned of these images is wrong of others from the first step on.
    let train = SyntheticDataset(
      .constant, shape: ImageShape(height: 32, width: 32, channels: 3), count: 20, seed: 0, part: .train)
    let run = try runs.trainer("run", steps: 120, listener: listener, train: train) {
      $0.training.evaluateEvery = 10
      $0.training.learningRate = 1e-2
    }
    #expect(try run.run() == .finished)
    let lines = try runs.metrics(run).filter { $0["test_bits_per_dim"] != nil }
    let test = lines.compactMap { $0["test_bits_per_dim"] }
    let seen = lines.compactMap { $0["train_bits_per_dim_evaluated"] }
    #expect(test.count == 12 && seen.count == 12, "\(lines)")
    let score = try Scorer(run.evaluated, batch: 8).score(train.spread(over: 8), seed: 0)
    #expect(seen.last == score.bitsPerDimension)
    let third = try #require(
      (3..<12).first { last in
        (last - 2...last).allSatisfy { test[$0] > test[$0 - 1] && seen[$0] < seen[$0 - 1] }
      },
      "\(lines)")
    let told = listener.notes.filter { $0.contains("learns these by heart") }
    #expect(told.count == 1 && told[0].hasPrefix("warning: step \(10 * (third + 1)): "), "\(told)")
    let best = test[...third].indices.min { test[$0] < test[$1] }!
    #expect(told[0].hasSuffix("best.safetensors is of step \(10 * (best + 1))"), "\(told)")
    let lowest = test.indices.min { test[$0] < test[$1] }!
    #expect(
      lowest < 11
        && listener.notes.last
          == "test bits/dim were lowest at step \(10 * (lowest + 1)), whose model is in \(run.folder.best)"
    )
  }

  /// Nothing changes: the first evaluation is the best, the second and third are no better.
  private func trainer(_ name: String, listener: Listener = Listener()) throws -> Trainer {
    try runs.trainer(name, steps: 100, listener: listener) {
      $0.training.learningRate = 1e-30
      $0.training.evaluateEvery = 3
      $0.training.checkpointEvery = 0
      $0.training.patience = 2
    }
  }

  @Test("patience ends a run as finished, at the same step however often it was stopped")
  func patience() throws {
    defer { runs.remove() }
    let listener = Listener()
    let whole = try trainer("whole", listener: listener)
    #expect(try whole.run() == .finished)
    #expect(whole.step == 9 && listener.heard("the last 2 evaluations were no better"))
    var part = try trainer("parts")
    for stop in [1, 3, 4, 6, 6, 8, 9] {
      var looks = 0
      part.interruption = { [part] in
        looks += part.step >= stop ? 1 : 0
        // At step 6 once before the evaluation, once after it.
        return looks > (stop == 6 ? 3 : 0) ? SIGTERM : nil
      }
      #expect(try part.run() == .interrupted(signal: SIGTERM))
      part = try trainer("parts")
      try part.resume()
    }
    #expect(try part.run() == .finished)
    #expect(part.step == 9)
    #expect(try runs.bytes(whole.folder.model) == runs.bytes(part.folder.model))
    #expect(try runs.bytes(whole.folder.checkpoint(9)) == runs.bytes(part.folder.checkpoint(9)))
    // Going on from there changes nothing.
    let again = try trainer("parts")
    try again.resume()
    #expect(try again.run() == .finished)
    #expect(again.step == 9)
    #expect(try runs.bytes(whole.folder.checkpoint(9)) == runs.bytes(again.folder.checkpoint(9)))
  }

  @Test("a model that is losing its inverse is warned of")
  func losingInverse() throws {
    defer { runs.remove() }
    let listener = Listener()
    let run = try runs.trainer("run", steps: 8, listener: listener) { $0.training.evaluateEvery = 4 }
    run.stageWillBegin = { stage in
      guard run.step == 8, case .perform = stage else { return }
      #expect(!listener.heard("losing its inverse"))
      // Of values that are added to a million, Float keeps one sixteenth.
      for index in run.evaluated.parameters["level0.step0.actnorm.bias"]!.range {
        run.evaluated.values.base[index] = 1e6
      }
    }
    #expect(try run.run() == .finished)
    #expect(
      listener.heard("warning: step 8: images do not come back") && listener.heard("losing its inverse"))
    let errors = try runs.metrics(run).compactMap { $0["inverse_error"] }
    #expect(errors[0] < 0.5 / 256 && !errors.dropFirst().contains { $0 < 0.5 / 256 }, "\(errors)")
  }

  @Test("the time is up when what is still to be done would take longer")
  func timeLimit() {
    let now = ContinuousClock.now
    let hour = TimeLimit(.seconds(3600), since: now)
    #expect(!hour.isUp())
    hour.saved(in: .seconds(3000))
    #expect(hour.isUp())
    hour.saved(in: .zero)
    #expect(hour.isUp(), "it stays")
    #expect(TimeLimit(.seconds(1), since: now - .seconds(2)).isUp())
    let large = TimeLimit(.seconds(3600), since: now)
    large.willSave(bytes: 1 << 40)
    #expect(large.isUp())
  }

  @Test("a run without the time for a step saves what there is")
  func timeUp() throws {
    defer { runs.remove() }
    let run = try runs.trainer("run", steps: 100)
    run.limit = TimeLimit(.seconds(3600), since: .now)
    run.stageWillBegin = { _ in
      if run.step == 2 { run.limit?.saved(in: .seconds(4000)) }
    }
    #expect(try run.run() == .interrupted(signal: SIGALRM))
    #expect(run.step == 3 || run.step == 2)
    #expect(run.folder.checkpointSteps() == [run.step])
  }
}
