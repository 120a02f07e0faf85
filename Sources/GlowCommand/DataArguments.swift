import ArgumentParser
import GlowFiles
import GlowFlow
import GlowImages
import GlowStorage
import GlowTraining

extension Resizing: ExpressibleByArgument {}
extension DataPart: ExpressibleByArgument {}
extension ArrayLayout: ExpressibleByArgument {}
extension Background: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

/// What --data is.
let dataHelp = ArgumentHelp(
  "A folder, .zip or .tar of images, CIFAR batches, IDX files, arrays or records, one file of them, or the word faces, "
    + "constant or noise.", valueName: "data")

/// The two sets of classes of CIFAR-100.
enum CIFARLabels: String, ExpressibleByArgument, CaseIterable { case fine, coarse }

/// Which images a command works on.
struct DataArguments: ParsableArguments {
  @Option(help: dataHelp) var data: String
  @OptionGroup var images: ImageArguments

  func open(_ part: DataPart) throws -> OpenedData { try images.open(data, part) }
}

/// What is done to each image on its way to a model's size.
struct TreatmentArguments: ParsableArguments {
  @Option(help: "How larger images are reduced: box (area average, the default) or crop.")
  private var resize: Resizing?

  @Option(help: "Use only the square of this side in the center of each image, before it is reduced.")
  var crop: Int?

  @Option(help: "Lay transparent pixels on white, black, a level (128) or a color (255,128,0).")
  var background: Background?

  var resizing: Resizing { resize ?? .box }

  /// What a run did, where nothing else is asked for.
  func filled(from former: ImageSettings) -> TreatmentArguments {
    var result = self
    result.resize = resize ?? former.resizing
    result.crop = crop ?? former.crop
    result.background = background ?? former.background.flatMap { Background($0) }
    return result
  }

  var settings: ImageSettings {
    var settings = ImageSettings(resizing: resizing)
    settings.crop = crop
    settings.background = background.map { $0.color.map(String.init).joined(separator: ",") }
    return settings
  }

  func validate() throws {
    if let crop, !(1...PNG.maximumSide).contains(crop) {
      throw ValidationError("--crop must be 1 to \(PNG.maximumSide), not \(crop)")
    }
  }
}

/// Which images of a data set are taken, and what is done to them.
struct ImageArguments: ParsableArguments {
  @Option(help: "Side of the images: smaller ones are padded, larger ones reduced.")
  var imageSize: Int?

  @OptionGroup var treatment: TreatmentArguments

  @Option(help: "Use only so many images: the first ones, of folders as many of each class as of the others.")
  var limit: Int?

  @Option(
    help:
      "The share of the images to hold out for testing, such as 0.1, where the data has no parts; 0 for none, of a run's own data too."
  )
  private var holdOut: Double?

  @Option(help: "Classes of CIFAR-100: fine (the default) or coarse.")
  private var labels: CIFARLabels?

  @Option(
    help: "How arrays are understood where that is not clear: NHWC, NCHW, planes or HW (one gray image).")
  var layout: ArrayLayout?

  var resizing: Resizing { treatment.resizing }

  /// Whether something is said of holding images out, if only that none are.
  var isHoldOutGiven: Bool { holdOut != nil }

  /// What the images of a run were, where nothing else is asked for.
  mutating func fill(from former: ImageSettings) {
    imageSize = imageSize ?? former.imageSize
    treatment = treatment.filled(from: former)
    limit = limit ?? former.limit
    holdOut = holdOut ?? former.holdOut
    labels = labels ?? (former.hasCoarseLabels == true ? .coarse : nil)
    layout = layout ?? former.layout
  }

  /// The same where the images are a run's own: they are what they were to the run, unless something else is said. What it
  /// held out is held out again, arrays are understood alike, and classes are the same.
  ///
  /// - Parameters:
  ///   - model: the run's folder or one of its models.
  ///   - location: where the images are.
  func own(of model: String, _ location: String) -> ImageArguments {
    guard let run = RunFolder.configuration(ofModel: model), let images = run.images,
      let path = Folder.resolved(location)
    else { return self }
    let (isTrain, isTest) = (path == Folder.resolved(run.data), path == run.test.flatMap(Folder.resolved))
    if !isTrain && !isTest { return self }
    var result = self
    if isTrain { result.holdOut = holdOut ?? images.holdOut }
    result.labels = labels ?? (images.hasCoarseLabels == true ? .coarse : nil)
    result.layout = layout ?? images.layout
    return result
  }

  /// Without images that are held out.
  mutating func holdOutNone() { holdOut = nil }

  var settings: ImageSettings {
    var settings = treatment.settings
    (settings.imageSize, settings.limit) = (imageSize, limit)
    settings.holdOut = holdOut == 0 ? nil : holdOut
    settings.hasCoarseLabels = labels == .coarse ? true : nil
    settings.layout = layout
    return settings
  }

  func validate() throws {
    if let imageSize, !(1...PNG.maximumSide).contains(imageSize) {
      throw ValidationError("--image-size must be 1 to \(PNG.maximumSide), not \(imageSize)")
    }
    if let holdOut, !(holdOut >= 0 && holdOut < 1) {
      throw ValidationError("--hold-out must be between 0 and 1, or 0 for none, not \(holdOut)")
    }
    if let limit, !(1...DataSource.largestLimit).contains(limit) {
      throw ValidationError("--limit must be 1 to \(DataSource.largestLimit), not \(limit)")
    }
  }

  /// - Parameter model: the shape of the images of the model that they are for, if there is one.
  func open(
    _ location: String, _ part: DataPart, model: ImageShape? = nil, readsAttributes: Bool = false
  ) throws -> OpenedData {
    var options = DataOptions()
    options.imageSize = imageSize
    options.resizing = resizing
    options.crop = treatment.crop
    options.limit = limit
    options.holdOut = settings.holdOut
    options.hasCoarseLabels = labels == .coarse
    options.layout = layout
    options.background = treatment.background
    options.modelShape = model
    options.readsAttributes = readsAttributes
    return try DataSource.open(location, part: part, options: options)
  }
}

/// A model as its file has it.
typealias StoredModel = (glow: Glow<Float>, metadata: [String: String])

/// Opens images for a model: brought to its size if it is square, gray ones as RGB if it is, their classes under its
/// numbers.
///
/// - Throws: `FileError`; `ConfigurationError` if they do not fit it.
func openData(
  _ data: DataArguments, _ part: DataPart, for model: StoredModel, path: String, readsAttributes: Bool = false
) throws -> OpenedData {
  try openData(data.data, data.images, part, for: model, path: path, readsAttributes: readsAttributes)
}

/// The same, all as of one class if one is given.
///
/// - Throws: as `ClassArguments.given`, too.
func openData(
  _ data: DataArguments, _ part: DataPart, for model: StoredModel, path: String, classes: ClassArguments
) throws -> OpenedData {
  guard let label = try classes.given(model, model: path) else {
    return try openData(data, part, for: model, path: path)
  }
  let opened = try openData(data.data, data.images, part, for: model, path: path, needsClasses: false)
  let count = model.glow.configuration.classCount
  let names = try ClassNames.read(model.metadata, count: count, path: path)
  return opened.with(opened.dataset.labeled(label, of: names ?? (0..<count).map(String.init)))
}

func openData(
  _ location: String, _ images: ImageArguments, _ part: DataPart, for model: StoredModel, path: String,
  readsAttributes: Bool = false, needsClasses: Bool = true
) throws -> OpenedData {
  let shape = ImageShape(model.glow.configuration)
  let asTrained = images.own(of: path, location)
  var opened = try asTrained.open(location, part, model: shape, readsAttributes: readsAttributes)
  for note in trainingNotes(images, asTrained, opened, path: path) {
    opened = opened.with(opened.dataset, note: note)
  }
  if opened.dataset.shape != shape {
    throw ConfigurationError(
      "\(location): images of \(opened.dataset.shape) do not fit \(path), a model of \(shape) images")
  }
  let matching = try matchingClasses(
    opened, location, of: model.glow.configuration, metadata: model.metadata, path: path,
    needsClasses: needsClasses)
  if needsClasses { warnOfUntrainedClasses(matching.dataset, location, model.glow, path: path) }
  return matching
}

/// What these images are to the run of the model: what is as in training because nothing else is asked for, and what is not.
private func trainingNotes(
  _ asked: ImageArguments, _ asTrained: ImageArguments, _ opened: OpenedData, path: String
) -> [String] {
  guard let trained = RunFolder.configuration(ofModel: path)?.images else { return [] }
  var notes: [String] = []
  let taken = asTrained.settings.options.filter { !asked.settings.options.contains($0) }
  if !taken.isEmpty {
    notes.append(
      "\(taken.joined(separator: " ")) as in training"
        + (asTrained.isHoldOutGiven == asked.isHoldOutGiven ? "" : " (--hold-out 0 takes all images)"))
  }
  if let share = trained.holdOut, !asTrained.isHoldOutGiven, opened.part == nil {
    notes.append("\(path) was trained with --hold-out \(share): give it where these are its images")
  }
  let differences = trained.differences(to: asTrained.settings, opened)
  if !differences.isEmpty {
    notes.append("\(path) was trained with \(differences.joined(separator: "; "))")
  }
  return notes
}

/// Says which of the images' classes the model has never learned anything of.
private func warnOfUntrainedClasses(
  _ dataset: any Dataset, _ location: String, _ glow: Glow<Float>, path: String
) {
  let untrained = glow.untrainedClasses
  if untrained.isEmpty { return }
  let labels = (0..<dataset.count).compactMap { dataset.label($0) }.filter(untrained.contains)
  if labels.isEmpty { return }
  let names = Set(labels).sorted().map { "'\(dataset.classNames[$0])'" }
  warn(
    "\(path) was trained on no image of the \(names.count == 1 ? "class" : "classes") "
      + names.prefix(20).joined(separator: ", ") + (names.count > 20 ? ", …" : "")
      + ": what it says of \(counted(labels.count, "image")) of \(location) means little")
}

/// The same images with their classes under the numbers of a class-conditional model.
///
/// - Parameter needsClasses: every image must have one of the model's. Without, those of others have none.
/// - Throws: `FileError`; `ConfigurationError` if their classes are not the model's.
func matchingClasses(
  _ opened: OpenedData, _ location: String, of configuration: GlowConfiguration, metadata: [String: String],
  path: String, needsClasses: Bool = true
) throws -> OpenedData {
  if !configuration.isConditional { return opened }
  let names = opened.dataset.classNames
  if !needsClasses {
    if names.isEmpty { return opened }
    let known = try ClassNames.read(metadata, count: configuration.classCount, path: path)
    let places = names.enumerated().map { place, name in
      known.map { $0.firstIndex(of: name) } ?? (names.count == configuration.classCount ? place : nil)
    }
    return opened.with(opened.dataset.relabeled(known ?? names, places: places))
  }
  if names.isEmpty {
    throw ConfigurationError("\(location) has no classes, and \(path) needs the class of every image")
  }
  let known = try ClassNames.read(metadata, count: configuration.classCount, path: path)
  let places: [Int]
  do {
    places = try ClassNames.places(
      of: names, in: known, count: configuration.classCount, location: location, path: path)
  } catch let error as ConfigurationError where opened.hasCoarseLabels {
    let others = names.count == 100 ? CIFARLabels.coarse : .fine
    throw ConfigurationError("\(error); --labels \(others.rawValue) takes its other classes")
  }
  return opened.with(opened.dataset.relabeled(known ?? names, places: places))
}

/// The held-out images, if the data have any; why not is said, since training can do without.
func openHeldOut(of train: OpenedData, note: (String) -> Void, _ open: () throws -> OpenedData) -> OpenedData?
{
  if train.part == nil { return nil }
  do { return try open() } catch {
    note("no held-out images: \(error)")
    return nil
  }
}

/// Runs `body`, whose error of a file says what to do about it too.
///
/// - Throws: `FileError`, as `body`.
func hinting<Result>(_ hint: String, _ body: () throws -> Result) throws -> Result {
  do { return try body() } catch let error as FileError {
    throw FileError(error.path, "\(error.reason); \(hint)")
  }
}
