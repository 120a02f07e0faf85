import Foundation
import Glibc
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage
import Testing

@testable import GlowTraining

/// Faces of which some cannot be read.
private struct DamagedFaces: Dataset {
  let faces = FaceDataset(count: 50, seed: 0, part: .train)
  let damaged: Set<Int>
  /// Those that are the second one.
  var asImageOne: Set<Int> = []

  var shape: ImageShape { faces.shape }
  var count: Int { faces.count }
  var classNames: [String] { faces.classNames }
  var attributeNames: [String] { faces.attributeNames }
  func label(_ index: Int) -> Int? { faces.label(index) }
  func attributes(_ index: Int) -> [Bool]? { faces.attributes(index) }
  func source(_ index: Int) -> String { faces.source(index) }
  func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) throws -> ImageTraits {
    if damaged.contains(index) { throw FileError("somewhere", "is damaged") }
    return faces.read(asImageOne.contains(index) ? 1 : index, into: pixels)
  }
}

@Suite("Runs that stop and go on")
struct ContinuationTests {
  private let runs = Runs()
  private let bias = "level0.split.conv.bias"

  private func expectSame(_ one: Trainer, _ other: Trainer) throws {
    #expect(try runs.bytes(one.folder.model) == runs.bytes(other.folder.model))
    #expect(
      try runs.bytes(one.folder.checkpoint(one.step)) == runs.bytes(other.folder.checkpoint(other.step)))
  }

  @Test("an image that cannot be read is named, and the steps before it are saved")
  func unreadable() throws {
    defer { runs.remove() }
    let whole = try runs.trainer("whole", steps: 10)
    _ = try whole.run()
    // At place 30 of the order, in the step from 3 to 4.
    let index = Philox(seed: 0, purpose: .order, stream: 0).permutation(50)[30]
    let first = try runs.trainer("parts", steps: 10, train: DamagedFaces(damaged: [index]))
    #expect(throws: FileError(first.train.source(index), "is damaged")) { try first.run() }
    #expect(first.folder.checkpointSteps() == [3])
    let second = try runs.trainer("parts", steps: 10)
    try second.resume()
    #expect(second.step == 3)
    #expect(try second.run() == .finished)
    try expectSame(whole, second)
  }

  @Test(
    "images that cannot be read are skipped if asked for: named once, and the run goes on and resumes exactly"
  )
  func skipped() throws {
    defer { runs.remove() }
    // Three in a row, over the end of the data set, which the fourth one takes the place of.
    let damaged: Set = [48, 49, 0]
    func trainer(_ name: String, steps: Int, _ listener: Listener = Listener()) throws -> Trainer {
      try runs.trainer(
        name, steps: steps, listener: listener, train: DamagedFaces(damaged: damaged),
        test: DamagedFaces(damaged: [3])
      ) {
        $0.training.onError = .skip
        $0.training.evaluateEvery = 5
      }
    }
    let listener = Listener()
    let whole = try trainer("whole", steps: 14, listener)
    #expect(try whole.run() == .finished && whole.skippedImages == 4)
    for index in [0, 3, 48, 49] {
      #expect(listener.notes.count { $0.hasPrefix("skipped: \(whole.train.source(index)): is damaged") } == 1)
    }
    for stop in [3, 9] {
      let first = try trainer("parts\(stop)", steps: stop)
      _ = try first.run()
      let second = try trainer("parts\(stop)", steps: 14)
      try second.resume()
      _ = try second.run()
      #expect(try runs.bytes(whole.folder.model) == runs.bytes(second.folder.model))
    }
    // What takes their place is the image after them.
    let replaced = try runs.trainer(
      "replaced", steps: 14, train: DamagedFaces(damaged: [], asImageOne: damaged)
    ) {
      $0.training.evaluateEvery = 5
    }
    _ = try replaced.run()
    let slabs = [whole, replaced].map { Array($0.glow.values.values) }
    #expect(slabs[0] == slabs[1])
    let hopeless = try runs.trainer("hopeless", steps: 1, train: DamagedFaces(damaged: Set(0..<50))) {
      $0.training.onError = .skip
    }
    let error = #expect(throws: FileError.self) { try hopeless.run() }
    #expect(error?.reason.hasSuffix("none of the images after it can be read either") == true)
  }

  @Test("a held-out image that cannot be read is named, and the steps before it are saved")
  func unreadableTest() throws {
    defer { runs.remove() }
    let evaluating = { (configuration: inout RunConfiguration) in configuration.training.evaluateEvery = 5 }
    let whole = try runs.trainer("whole", steps: 10, change: evaluating)
    _ = try whole.run()
    let first = try runs.trainer("parts", steps: 10, test: DamagedFaces(damaged: [3]), change: evaluating)
    #expect(throws: FileError("somewhere", "is damaged")) { try first.run() }
    #expect(first.folder.checkpointSteps() == [5])
    let second = try runs.trainer("parts", steps: 10, change: evaluating)
    try second.resume()
    #expect(try second.run() == .finished)
    try expectSame(whole, second)
  }

  @Test("a signal during the closing pass leaves a run that can be finished")
  func closingPass() throws {
    defer { runs.remove() }
    let whole = try runs.trainer("whole", steps: 10)
    _ = try whole.run()
    let listener = Listener()
    let first = try runs.trainer("parts", steps: 10, listener: listener)
    first.interruption = { listener.heard("of the time of the steps") ? SIGTERM : nil }
    #expect(try first.run() == .interrupted(signal: SIGTERM))
    let second = try runs.trainer("parts", steps: 10)
    try second.resume()
    #expect(try second.run() == .finished)
    let (_, metadata) = try ModelFile.read(second.folder.model, as: Float.self)
    #expect(metadata[TrainingBits.key] != nil)
    try expectSame(whole, second)
  }

  @Test("a signal during an evaluation: it is done again, and once in the metrics")
  func duringEvaluation() throws {
    defer { runs.remove() }
    func change(_ configuration: inout RunConfiguration) { configuration.training.evaluateEvery = 5 }
    let whole = try runs.trainer("whole", steps: 12, change: change)
    _ = try whole.run()
    let listener = Listener()
    let first = try runs.trainer("parts", steps: 12, listener: listener, change: change)
    first.interruption = { listener.heard("step 5 (") ? SIGTERM : nil }
    #expect(try first.run() == .interrupted(signal: SIGTERM))
    #expect(first.folder.checkpointSteps() == [5])
    let second = try runs.trainer("parts", steps: 12, change: change)
    try second.resume()
    _ = try second.run()
    try expectSame(whole, second)
    let evaluated = try runs.metrics(second).filter { $0["test_bits_per_dim"] != nil }
    #expect(evaluated.map { $0["step"] } == [5, 10, 12])
  }

  @Test("while there is trouble nothing is written, and what was due is done after it", arguments: [nil, 14])
  func postponed(stop: Int?) throws {
    defer { runs.remove() }
    func trainer(_ name: String, meddles: Bool) throws -> Trainer {
      let listener = Listener()
      let run = try runs.trainer(name, steps: 30, listener: listener) {
        $0.training.checkpointEvery = 1
        $0.training.evaluateEvery = 15
      }
      let place = run.glow.parameters[bias]!.offset
      listener.afterStep = { step in
        guard meddles && step == 12 else { return }
        for glow in [run.glow, run.state.averaged] { glow.values.base[place] += 1000 }
        try! run.glow.parametersChanged()
      }
      return run
    }
    func check(_ run: Trainer) throws {
      guard let file = try? SafetensorsFile(run.folder.model) else { return }
      #expect(abs(try file.values(bias, as: Float.self)[0]) < 100, "at step \(run.step)")
    }
    let whole = try trainer("whole", meddles: true)
    var newest: [Int: Int] = [:]
    whole.interruption = {
      try! check(whole)
      // Before the duties of the step; the interruption is asked for after them, too.
      newest[whole.step] = newest[whole.step] ?? whole.folder.checkpointSteps().last
      return nil
    }
    _ = try whole.run()
    // Five spikes, after which it goes back.
    #expect(newest[12] == 11 && newest[16] == 11 && newest[17] == 11 && newest[18] == 17, "\(newest)")
    let evaluated = try runs.metrics(whole).filter { $0["test_bits_per_dim"] != nil }.map { $0["step"] }
    #expect(evaluated == [17, 30])
    guard let stop else { return }
    let first = try trainer("parts", meddles: true)
    first.interruption = { first.step >= stop ? SIGTERM : nil }
    #expect(try first.run() == .interrupted(signal: SIGTERM))
    try check(first)
    let second = try trainer("parts", meddles: false)
    try second.resume()
    #expect(second.step == stop && second.state.safeguard.postponed == .checkpoint)
    _ = try second.run()
    try expectSame(whole, second)
    #expect(try runs.bytes(whole.folder.best) == runs.bytes(second.folder.best))
  }

  @Test("bad weights without an inverse in a checkpoint give way to the good ones beside them")
  func singular() throws {
    defer { runs.remove() }
    let run = try runs.trainer("run", steps: 4)
    _ = try run.run()
    run.state.step = 5
    let good = Array(run.glow.values.values)
    run.glow.values.base.update(repeating: 0, count: run.glow.values.count)
    try Checkpoint.write(run.state, run.configuration, to: run.folder.checkpoint(5))
    let again = try runs.trainer("run", steps: 8)
    try again.resume()
    #expect(again.step == 5 && Array(again.glow.values.values) == good)
    #expect(try again.run() == .finished)
  }

  @Test("a spike at the last step does not cost the steps before it")
  func lastSpike() throws {
    defer { runs.remove() }
    let listener = Listener()
    let run = try runs.trainer("run", steps: 12, listener: listener)
    var last: [Float] = []
    listener.afterStep = { step in
      guard step == 12 else { return }
      run.glow.values.base[run.glow.parameters[bias]!.offset] += 1000
      try! run.glow.parametersChanged()
      last = Array(run.glow.values.values)
    }
    #expect(try run.run() == .finished)
    #expect(listener.heard("the weights stay"), "\(listener.notes)")
    #expect(Array(run.glow.values.values) == last)
  }

  @Test("without a good state none is said to be gone back to")
  func neverGood() throws {
    defer { runs.remove() }
    let listener = Listener()
    let run = try runs.trainer("run", steps: 100, listener: listener)
    run.glow.values.base[run.glow.parameters[bias]!.offset] = .infinity
    run.glow.isInitialized = true
    try run.glow.parametersChanged()
    #expect(throws: TrainingError.self) { try run.run() }
    #expect(listener.heard("no state has been good yet") && !listener.heard("back to the state"))
  }

  @Test("one run at a time in a folder")
  func lock() throws {
    defer { runs.remove() }
    let listener = Listener()
    let first = try runs.trainer("run", steps: 3, listener: listener)
    let second = try runs.trainer("run", steps: 3)
    let refusal = FileError(first.folder.path, "another process is training in this folder")
    listener.afterStep = { _ in
      #expect(throws: refusal) { try second.run() }
      #expect(throws: refusal) { try second.resume() }
    }
    _ = try first.run()
    try second.resume()
    #expect(second.step == 3)
  }

  @Test(
    "a run goes on from the settings in its checkpoint if its configuration is gone, damaged or another's")
  func settings() throws {
    defer { runs.remove() }
    let run = try runs.trainer("run", steps: 2) { $0.initFrom = "other.safetensors" }
    #expect(!run.folder.isInUse)
    _ = try run.run()
    var notes: [String] = []
    func resumed() throws -> RunConfiguration {
      notes = []
      let found = try #require(try RunConfiguration.resumed(in: run.folder, note: { notes.append($0) }))
      #expect(found.isOfCheckpoint)
      return found.configuration
    }
    #expect(try resumed() == run.configuration && notes.isEmpty)
    var other = run.configuration
    other.model.width = 9
    try other.write(to: run.folder.configuration)
    #expect(try resumed() == run.configuration && notes[0].contains("describes another model"))
    try AtomicFile.write("{", to: run.folder.configuration)
    #expect(try resumed() == run.configuration && notes[0].contains("is not the configuration of a run"))
    try FileManager.default.removeItem(atPath: run.folder.configuration)
    #expect(try resumed() == run.configuration && notes[0].contains("is missing"))
    #expect(run.folder.isInUse)
    var none = run.configuration
    none.initFrom = nil
    #expect(run.configuration.changes(to: none) == ["initFrom was other.safetensors, is now none"])
  }

  @Test("a checkpoint of another processor is said to be one")
  func otherProcessor() throws {
    defer { runs.remove() }
    let run = try runs.trainer("run", steps: 2)
    _ = try run.run()
    let path = run.folder.checkpoint(2)
    let file = try SafetensorsFile(path)
    func resume() throws -> Listener {
      let listener = Listener()
      try runs.trainer("run", steps: 2, listener: listener).resume()
      return listener
    }
    #expect(try !resume().heard("kernels"))
    #expect(file.metadata["glow.kernels"] == ProductKernels.standard.identity)
    // As it is written now, and as it was before there were others than OpenBLAS's.
    for (key, value) in [("glow.kernels", "openblas Z80"), ("glow.openblas_core", "Z80")] {
      var metadata = file.metadata
      metadata["glow.kernels"] = nil
      metadata[key] = value
      var writer = SafetensorsWriter(metadata: metadata)
      for entry in file.entries {
        writer.add(entry.name, shape: entry.shape, values: try file.values(entry.name, as: Float.self))
      }
      try writer.write(to: path)
      let listener = try resume()
      #expect(listener.heard("with the kernels 'openblas Z80'"), "\(listener.notes)")
    }
  }

  @Test("the speed counts whole steps without the pauses in them, and no share is above 1")
  func clock() {
    let clock = StepClock(batch: 1)
    for _ in 0..<3 {
      clock.outside { _ = usleep(20_000) }
      usleep(20_000)
      clock.pausing { clock.waiting { _ = usleep(100_000) } }
      clock.tick()
    }
    // Of a step that is never done.
    clock.outside { _ = usleep(200_000) }
    #expect(clock.imagesPerSecond <= 25, "a step took at least 40 ms")
    #expect(clock.outsideShare > 0 && clock.outsideShare <= 1)
    #expect(clock.waitingShare == 0, "what is done in a pause is no part of a step")
  }

  @Test("the seconds of a run that goes on are those of all of it")
  func seconds() throws {
    defer { runs.remove() }
    let first = try runs.trainer("run", steps: 10)
    #expect(try first.run() == .finished)
    // As if it had taken an hour.
    let text = try String(contentsOfFile: first.folder.metrics, encoding: .utf8)
    try AtomicFile.write(
      text.replacing(/"seconds":[^,}]*/, with: "\"seconds\":3600.5"), to: first.folder.metrics)
    let second = try runs.trainer("run", steps: 15)
    try second.resume()
    #expect(try second.run() == .finished)
    let seconds = try runs.metrics(second).compactMap { $0["seconds"] }
    #expect(
      seconds.count == 3 && seconds[..<2] == [3600.5, 3600.5] && (3600.5..<3700).contains(seconds[2]),
      "\(seconds)")
  }

  @Test(
    "the best model is one of the run's own, not of steps that were done again otherwise, nor of other images"
  )
  func best() throws {
    defer { runs.remove() }
    func trainer(_ listener: Listener, steps: Int, rate: Double = 1e-2, digest: String? = nil) throws
      -> Trainer
    {
      try runs.trainer("run", steps: steps, listener: listener) {
        ($0.training.evaluateEvery, $0.training.checkpointEvery, $0.training.learningRate) = (5, 5, rate)
        $0.training.checkpointsKept = 4
        $0.testDigest = digest
      }
    }
    let first = try trainer(Listener(), steps: 20)
    #expect(try first.run() == .finished)
    let abandoned = try #require(first.folder.bestEvaluation())
    #expect(abandoned.step == 20)
    for step in [15, 20] { try FileManager.default.removeItem(atPath: first.folder.checkpoint(step)) }
    // It learns nothing more.
    let listener = Listener()
    let second = try trainer(listener, steps: 20, rate: 1e-30)
    try second.resume()
    #expect(second.step == 10)
    #expect(try second.run() == .finished)
    let tests = try runs.metrics(second).compactMap { $0["test_bits_per_dim"] }
    let best = try #require(second.folder.bestEvaluation())
    #expect(
      tests.count == 4 && best.bitsPerDimension == tests.min()
        && best.bitsPerDimension > abandoned.bitsPerDimension)
    // With other held-out images the next evaluation is the best, whatever it is.
    for (digest, isKept) in [("a", true), ("a", true), ("b", false)] {
      let before = try #require(second.folder.bestEvaluation()).step
      var other = try trainer(listener, steps: isKept ? 20 : 25, rate: 1e-30, digest: digest)
      try other.resume()
      // However often it is stopped before.
      other.interruption = { SIGTERM }
      #expect(try other.run() == .interrupted(signal: SIGTERM))
      other = try trainer(listener, steps: isKept ? 20 : 25, rate: 1e-30, digest: digest)
      try other.resume()
      #expect(try other.run() == .finished)
      let after = try #require(second.folder.bestEvaluation()).step
      #expect(isKept ? after == before : after >= 20, "\(digest): \(after)")
    }
  }
}
