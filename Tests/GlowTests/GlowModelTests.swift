import Foundation
import Glow
import Synchronization
import Testing

/// Squares of one of two colors: a data set of a program's own.
private struct Squares: ImageSource {
  let shape = ImageShape(height: 8, width: 8, channels: 3)
  let count: Int
  var classNames = ["dark", "bright"]
  /// An image that cannot be read.
  var missing: Int?
  /// Of every image, in place of the right one.
  var otherLabel: Int?

  func label(_ index: Int) -> Int? { otherLabel ?? index % 2 }

  func image(_ index: Int) throws -> Image {
    if index == missing { throw CocoaError(.fileReadNoSuchFile) }
    let level = UInt8(40 + 120 * (index % 2) + index % 7)
    return Image(shape: shape, pixels: (0..<shape.count).map { level + UInt8($0 % 11) })
  }
}

@Suite("The library")
struct GlowModelTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: "glow-library-\(UUID())").path
  private func clean() { try? FileManager.default.removeItem(atPath: folder) }

  private func plan(steps: Int) -> TrainingPlan {
    var plan = TrainingPlan()
    plan.model.levels = 2
    plan.model.depth = 1
    plan.model.width = 8
    plan.settings.batch = 8
    plan.settings.steps = steps
    plan.settings.averageDecay = 0.5
    plan.settings.warmupSteps = 2
    plan.threads = 1
    return plan
  }

  private func model(steps: Int = 4) async throws -> GlowModel {
    try await GlowModel.train(plan(steps: steps), on: ImageSet(Squares(count: 40)), folder: "\(folder)/run")
  }

  @Test("a model is trained, written, read, and scores as before; progress is told at each step")
  func training() async throws {
    defer { clean() }
    let steps = Mutex<[Int]>([])
    let model = try await GlowModel.train(
      plan(steps: 4), on: ImageSet(Squares(count: 40)), heldOut: ImageSet(Squares(count: 6)),
      folder: "\(folder)/run"
    ) { progress in steps.withLock { $0.append(progress.step) } }
    #expect(steps.withLock { $0 } == [1, 2, 3, 4])
    try await model.write(to: "\(folder)/model.safetensors")
    let other = try GlowModel(contentsOf: "\(folder)/model.safetensors", threads: 2)
    #expect(other.imageShape == Squares(count: 1).shape && other.configuration == model.configuration)
    let image = try Squares(count: 1).image(0)
    let (one, same) = (try await model.score(image), try await other.score(image))
    #expect(one == same && one.nats < 0)
    #expect(abs(one.bitsPerDimension + one.nats / (192 * log(2))) < 1e-9)
  }

  @Test("the scores of a set are those of its images; one that cannot be read says why")
  func scores() async throws {
    defer { clean() }
    let model = try await model()
    var found: [ScoredImage] = []
    for try await scored in model.scores(of: ImageSet(Squares(count: 5, missing: 3))) { found.append(scored) }
    #expect(found.map(\.index) == [0, 1, 2, 3, 4] && found.map(\.label) == [0, 1, 0, 1, 0])
    for scored in found where scored.index != 3 {
      #expect(
        try await model.score(Squares(count: 5).image(scored.index)) == scored.result.get())
    }
    #expect(found[3].name == "image 3")
    #expect(throws: (any Error).self) { try found[3].result.get() }
    let larger = try ImageSet([
      Image(shape: ImageShape(height: 4, width: 4, channels: 3), pixels: .init(repeating: 0, count: 48))
    ])
    await #expect(throws: GlowError.self) { for try await _ in model.scores(of: larger) {} }
  }

  @Test(
    "latents decode to the image; samples follow from the seed; a direction leads from one class to the other"
  )
  func latents() async throws {
    defer { clean() }
    let model = try await model(steps: 20)
    let squares = Squares(count: 40)
    let images = [try squares.image(0), try squares.image(1)]
    let latents = try await model.encode(images)
    #expect(latents.allSatisfy { $0.values.count == 192 })
    #expect(try await model.decode(latents) == images)
    #expect(latents[0].interpolated(to: latents[1], at: 0) == latents[0])
    #expect(latents[0].interpolated(to: latents[1], at: 1) == latents[1])
    let direction = try await model.direction(of: "bright", in: ImageSet(squares))
    let moved = try await model.decode([latents[0].moved(along: direction, by: 1)])[0]
    func mean(_ image: Image) -> Double { image.pixels.reduce(0) { $0 + Double($1) } / 192 }
    #expect(mean(moved) > mean(images[0]) + 60)
    let samples = try await model.sample(3, seed: 7)
    #expect(try await model.sample(2, seed: 7) == Array(samples[..<2]))
    #expect(samples.allSatisfy { $0.shape == squares.shape })
    try Image.grid(samples).write(to: "\(folder)/samples.png")
    #expect(try Image(contentsOf: "\(folder)/samples.png") == Image.grid(samples))
    await #expect(throws: GlowError.self) { try await model.decode([Latents([1])]) }
    await #expect(throws: GlowError.self) { try await model.sample(1, labels: [3]) }
    await #expect(throws: GlowError.self) { try await model.sample(-1) }
    await #expect(throws: GlowError.self) { try await model.sample(1, temperature: .nan) }
    for label in [-1, 3] {
      await #expect(throws: GlowError.self) { try await model.score(images[0], label: label) }
    }
    let sampling = Task { try await model.sample(1_000_000) }
    sampling.cancel()
    await #expect(throws: CancellationError.self) { try await sampling.value }
  }

  @Test("a class that a model does not know is refused where images say it themselves")
  func unknownClasses() async throws {
    defer { clean() }
    var plan = plan(steps: 2)
    plan.model.classCount = 2
    let model = try await GlowModel.train(
      plan, on: ImageSet(Squares(count: 40)), folder: "\(folder)/conditional")
    for label in [-1, 2] {
      let squares = Squares(count: 2, otherLabel: label)
      var iterator = model.scores(of: ImageSet(squares)).makeAsyncIterator()
      let error = await #expect(throws: FileError.self) { _ = try await iterator.next() }
      #expect(error?.reason == "has the class \(label), and the model knows 0 to 1")
      await #expect(throws: GlowError.self) { try await model.score(squares.image(0), label: label) }
    }
  }

  @Test("images have the classes that the model knows by their names, and no others")
  func classesByName() async throws {
    defer { clean() }
    var plan = plan(steps: 4)
    plan.model.classCount = 2
    plan.settings.evaluateEvery = 2
    plan.settings.learningRate = 0.05
    func train(_ classNames: [String], label: Int?, heldOut: ImageSet? = nil, steps: Int) async throws
      -> GlowModel
    {
      plan.settings.steps = steps
      return try await GlowModel.train(
        plan, on: ImageSet(Squares(count: 40, classNames: classNames, otherLabel: label)), heldOut: heldOut,
        folder: "\(folder)/run")
    }
    _ = try await train(["dark", "bright"], label: nil, steps: 4)
    // Goes on with images of one of the classes.
    let bright = ImageSet(Squares(count: 4, classNames: ["bright"], otherLabel: 0))
    let model = try await train(["bright"], label: 0, heldOut: bright, steps: 6)
    #expect(model.classNames == ["dark", "bright"])
    for try await scored in model.scores(of: bright) {
      #expect(scored.label == 1)
      let score = try scored.result.get()
      #expect(try await model.score(bright[scored.index], label: 1) == score)
      #expect(try await model.score(bright[scored.index], label: 0) != score)
    }
    // Without names, by their numbers.
    _ = try await train([], label: 1, heldOut: bright, steps: 7)
    #expect(try GlowModel(contentsOf: "\(folder)/run", threads: 1).classNames == ["dark", "bright"])
    let direction = try await model.direction(of: "bright", in: ImageSet(Squares(count: 40)))
    let turned = Squares(count: 40, classNames: ["bright", "dark"])
    let back = try await model.direction(of: "dark", in: ImageSet(Squares(count: 40)))
    #expect(zip(direction.values, back.values).allSatisfy { abs($0 + $1) < 1e-4 })
    #expect(try await model.direction(of: "bright", in: ImageSet(turned)) != direction)
    let gray = ImageSet(Squares(count: 4, classNames: ["gray"], otherLabel: 0))
    await #expect(throws: ConfigurationError.self) { for try await _ in model.scores(of: gray) {} }
    await #expect(throws: ConfigurationError.self) { try await model.direction(of: "gray", in: gray) }
    await #expect(throws: ConfigurationError.self) { try await train(["gray"], label: 0, steps: 8) }
    await #expect(throws: ConfigurationError.self) {
      try await train(["dark", "bright"], label: nil, heldOut: gray, steps: 8)
    }
  }

  @Test("images to train on that are none, or of classes that the model has no room for, are an error")
  func noClasses() async throws {
    defer { clean() }
    var plan = plan(steps: 2)
    await #expect(throws: GlowError.self) {
      try await GlowModel.train(plan, on: ImageSet(Squares(count: 0)), folder: "\(folder)/none")
    }
    await #expect(throws: GlowError.self) {
      try await GlowModel.train(
        plan, on: ImageSet(Squares(count: 40)), heldOut: ImageSet(Squares(count: 0)), folder: "\(folder)/none"
      )
    }
    plan.model.classCount = 2
    await #expect(throws: GlowError.self) {
      try await GlowModel.train(
        plan, on: ImageSet(Squares(count: 40, classNames: ["a", "b", "c"])), folder: "\(folder)/three")
    }
    for label in [-1, 2] {
      let error = await #expect(throws: FileError.self) {
        try await GlowModel.train(
          plan, on: ImageSet(Squares(count: 40, otherLabel: label)), folder: "\(folder)/other")
      }
      #expect(error?.reason == "has the class \(label), and the model knows 0 to 1")
    }
  }

  @Test("what a cancelled task asks for ends with a CancellationError")
  func cancelled() async throws {
    defer { clean() }
    let model = try await model()
    let squares = Squares(count: 40)
    let image = try squares.image(0)
    func cancelled(_ body: @escaping @Sendable () async throws -> Void) async {
      let task = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        try await body()
      }
      await #expect(throws: CancellationError.self) { try await task.value }
    }
    await cancelled { _ = try await model.score(image) }
    await cancelled { _ = try await model.encode([image]) }
    await cancelled { _ = try await model.direction(of: "bright", in: ImageSet(squares)) }
  }

  @Test(
    "settings, parts and errors have the names that the module gives; what happened is among the progress")
  func names() async throws {
    defer { clean() }
    let kind: CouplingKind = .affine
    var plan = plan(steps: 2)
    plan.model.coupling = kind
    plan.settings.onError = ErrorPolicy.skip
    let notes = Mutex<[String]>([])
    _ = try await GlowModel.train(
      plan, on: ImageSet(Squares(count: 40, missing: 5)), folder: "\(folder)/run"
    ) { progress in notes.withLock { $0 += progress.notes } }
    plan.settings.steps = 4
    _ = try await GlowModel.train(
      plan, on: ImageSet(Squares(count: 40, missing: 5)), folder: "\(folder)/run"
    ) { progress in notes.withLock { $0 += progress.notes } }
    #expect(notes.withLock { $0.contains { $0.hasPrefix("resumed at step 2") } })
    do {
      _ = try ImageSet(contentsOf: "\(folder)/nothing", part: DataPart.test)
      Issue.record("what is not there was opened")
    } catch let error as FileError {
      #expect(error.reason == "no such file or folder")
      #expect(error.localizedDescription == "\(error)")
    }
  }

  @Test("images are of one shape, brought to a size if asked for, and settings are named as in Swift")
  func refusals() async throws {
    defer { clean() }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let image = try Squares(count: 1).image(0)
    try image.write(to: "\(folder)/square.png")
    let small = try Image(contentsOf: "\(folder)/square.png", size: 4)
    #expect(small.shape == ImageShape(height: 4, width: 4, channels: 3))
    #expect(throws: GlowError.self) { try Image(contentsOf: "\(folder)/square.png", size: 0) }
    #expect(throws: GlowError.self) { try ImageSet([]) }
    #expect(throws: GlowError.self) { try ImageSet([image, small]) }
    func reason(_ plan: TrainingPlan) async -> String {
      do {
        _ = try await GlowModel.train(plan, on: ImageSet([image]), folder: "\(folder)/run")
        return ""
      } catch { return "\(error)" }
    }
    var plan = plan(steps: 1)
    plan.settings.batch = 0
    #expect(await reason(plan) == "batch must be 1 to 1000000, not 0")
    plan.model.levels = 4
    #expect(await reason(plan).hasSuffix("use size 16 or levels 3"))
  }

  /// Trains until a step has been made, and cancels the task; the number of that step.
  private func cancelAtFirstStep() async throws -> Int {
    let steps = AsyncStream<Int>.makeStream()
    let task = Task { [plan = plan(steps: 1_000_000), folder] in
      try await GlowModel.train(plan, on: ImageSet(Squares(count: 40)), folder: "\(folder)/run") {
        steps.continuation.yield($0.step)
      }
    }
    var iterator = steps.stream.makeAsyncIterator()
    let first = try #require(await iterator.next())
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    return first
  }

  @Test("a task that is cancelled leaves a run, with which the same call goes on")
  func cancellation() async throws {
    defer { clean() }
    #expect(try await cancelAtFirstStep() == 1)
    #expect(try await cancelAtFirstStep() > 1)
    let model = try GlowModel(contentsOf: "\(folder)/run", threads: 1)
    #expect(try await model.score(Squares(count: 1).image(0)).nats.isFinite)
    var other = plan(steps: 3)
    other.model.width = 4
    await #expect(throws: GlowError.self) {
      try await GlowModel.train(other, on: ImageSet(Squares(count: 40)), folder: "\(folder)/run")
    }
  }
}
