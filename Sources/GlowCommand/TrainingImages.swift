import GlowFiles
import GlowFlow
import GlowImages
import GlowStorage
import GlowTraining

/// The images of a run: those to train on, and those held out.
struct TrainingImages {
  /// Where those to train on are.
  let location: String
  /// Where the held-out ones are, if they are images of their own.
  let testLocation: String?
  /// What is done to them.
  let settings: ImageSettings
  let train: OpenedData
  private(set) var test: OpenedData?

  /// Opens both, alike: what is not asked for is as it was for the run to go on with, and classes get the numbers of the
  /// model to start from.
  ///
  /// - Throws: `FileError`; `ConfigurationError` if they do not fit each other or the model.
  init(of command: TrainCommand, _ origin: TrainingOrigin, _ terminal: Terminal) throws {
    guard let location = command.data ?? origin.run?.data else {
      throw FileError(command.out, "holds no run to go on with: give --data to start one")
    }
    var images = command.images
    if let former = origin.run?.images { images.fill(from: former) }
    let named = origin.namedClasses
    func open(_ part: DataPart) throws -> OpenedData {
      let opened = try images.open(location, part)
      guard let named else { return opened }
      return try matchingClasses(
        opened, location, of: named.model, metadata: named.metadata, path: named.path)
    }
    // Held-out images of their own are for data without parts too, all of which are then trained on.
    let testLocation = command.test ?? (command.images.isHoldOutGiven ? nil : origin.run?.test)
    if testLocation != nil { images.holdOutNone() }
    if origin.run == nil {
      try Destination("--out", command.out, .folder).refuse(in: [location] + [testLocation].compactMap { $0 })
    }
    let train = try open(.train)
    test =
      try testLocation.map { try Self.openTest($0, images, like: train.dataset) }
      ?? openHeldOut(of: train, note: terminal.note) { try open(.test) }
    (self.location, self.testLocation, settings, self.train) = (
      location, testLocation, images.settings, train
    )
    if let note = train.note { terminal.note(note) }
    let held = test?.notes.filter { !train.notes.contains($0) } ?? []
    if !held.isEmpty { terminal.note("held out: " + held.joined(separator: "; ")) }
  }

  /// Held-out images from elsewhere, of the size of those to train on and with their classes.
  private static func openTest(
    _ location: String, _ images: ImageArguments, like train: any Dataset
  ) throws -> OpenedData {
    let opened = try images.open(location, .test, model: train.shape)
    if opened.dataset.shape != train.shape {
      throw ConfigurationError(
        "\(location): images of \(opened.dataset.shape) do not fit those to train on, of \(train.shape)")
    }
    if opened.dataset.classNames.isEmpty { return opened }
    // Whether classes matter is not known yet.
    guard
      let places = try? ClassNames.places(
        of: opened.dataset.classNames, in: train.classNames, count: train.classNames.count,
        location: location, path: "")
    else { return opened }
    return opened.with(opened.dataset.relabeled(train.classNames, places: places))
  }

  /// Leaves out held-out images without the classes that a model of classes needs, where they are only a part of the data.
  ///
  /// - Throws: `ConfigurationError` if they were asked for, and have no classes or others.
  mutating func requireClasses(_ terminal: Terminal) throws {
    guard let names = test?.dataset.classNames else { return }
    if let testLocation {
      if names.isEmpty {
        throw ConfigurationError(
          "\(testLocation) has no classes, and the model needs the class of every image")
      }
      let known = train.dataset.classNames
      _ = try ClassNames.places(
        of: names, in: known, count: known.count, location: testLocation, path: location)
    } else if names.isEmpty {
      terminal.note("no held-out images: those of \(location) have no classes, which the model needs")
      test = nil
    }
  }

  /// Reads all of them.
  ///
  /// - Throws: `FileError` at an image that cannot be read, unless these are to be skipped.
  /// - Returns: digests of those to train on and of those held out.
  func examine(_ onError: ErrorPolicy, _ terminal: Terminal) throws -> (train: String, test: String?) {
    let datasets = [train.dataset] + (test.map { [$0.dataset] } ?? [])
    if onError == .fail {
      for dataset in datasets {
        let note = try hinting("--check of glow data lists all such files, --on-error skip passes over them")
        {
          try dataset.checkAll { terminal.work($0, of: $1, "images checked") }
        }
        if let note { terminal.note(note) }
      }
    }
    let digests = try datasets.map {
      try DataDigest.of($0, onError: onError) { terminal.work($0, of: $1, "images read") }
    }
    if let testLocation, digests[1] == digests[0] {
      terminal.note(
        "warning: \(testLocation) holds the very images to train on: \(EvaluateCommand.ownImagesHint)")
    }
    return (digests[0], digests.count > 1 ? digests[1] : nil)
  }

  /// Says of which classes there are only held-out images: their scores come from weights that are never trained.
  func warnOfNewClasses(_ terminal: Terminal) {
    guard let test = test?.dataset else { return }
    let train = train.dataset
    let trained = Set((0..<train.count).map { train.label($0) })
    let new = Set((0..<test.count).map { test.label($0) }).subtracting(trained).compactMap { $0 }.sorted()
    if new.isEmpty { return }
    terminal.note(
      "warning: no training image has the class "
        + new.map { "'\(train.classNames[$0])'" }.joined(separator: ", ")
        + ": the model learns nothing of it, and its scores of held-out images of it mean little")
  }
}
