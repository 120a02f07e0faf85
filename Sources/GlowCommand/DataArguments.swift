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

/// What is done to the images of a data set.
struct ImageArguments: ParsableArguments {
  @Option(help: "Side of the images: smaller ones are padded, larger ones reduced.")
  var imageSize: Int?

  @Option(help: "How larger images are reduced: box (area average, the default) or crop.")
  private var resize: Resizing?

  @Option(help: "Use only the square of this side in the center of each image, before it is reduced.")
  var crop: Int?

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

  @Option(help: "Lay transparent pixels on white, black, a level (128) or a color (255,128,0).")
  var background: Background?

  var resizing: Resizing { resize ?? .box }

  /// Whether something is said of holding images out, if only that none are.
  var isHoldOutGiven: Bool { holdOut != nil }

  /// What the images of a run were, where nothing else is asked for.
  mutating func fill(from former: ImageSettings) {
    imageSize = imageSize ?? former.imageSize
    resize = resize ?? former.resizing
    crop = crop ?? former.crop
    limit = limit ?? former.limit
    holdOut = holdOut ?? former.holdOut
    labels = labels ?? (former.hasCoarseLabels == true ? .coarse : nil)
    layout = layout ?? former.layout
    background = background ?? former.background.flatMap { Background($0) }
  }

  /// The same where the images are a run's own: what the run held out is held out again, unless something is said of it.
  ///
  /// - Parameters:
  ///   - model: the run's folder or one of its models.
  ///   - location: where the images are.
  func heldOut(asIn model: String, _ location: String) -> ImageArguments {
    guard !isHoldOutGiven, let run = RunFolder.configuration(ofModel: model), let images = run.images,
      let own = Folder.resolved(run.data), own == Folder.resolved(location)
    else { return self }
    var result = self
    result.holdOut = images.holdOut
    return result
  }

  /// Without images that are held out.
  mutating func holdOutNone() { holdOut = nil }

  var settings: ImageSettings {
    var settings = ImageSettings(imageSize: imageSize, resizing: resizing, limit: limit)
    settings.crop = crop
    settings.holdOut = holdOut == 0 ? nil : holdOut
    settings.hasCoarseLabels = labels == .coarse ? true : nil
    settings.layout = layout
    settings.background = background.map { $0.color.map(String.init).joined(separator: ",") }
    return settings
  }

  func validate() throws {
    if let imageSize, !(1...PNG.maximumSide).contains(imageSize) {
      throw ValidationError("--image-size must be 1 to \(PNG.maximumSide), not \(imageSize)")
    }
    if let crop, !(1...PNG.maximumSide).contains(crop) {
      throw ValidationError("--crop must be 1 to \(PNG.maximumSide), not \(crop)")
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
    options.crop = crop
    options.limit = limit
    options.holdOut = settings.holdOut
    options.hasCoarseLabels = labels == .coarse
    options.layout = layout
    options.background = background
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
  let asTrained = images.heldOut(asIn: path, location)
  let found = try asTrained.open(location, part, model: shape, readsAttributes: readsAttributes)
  var opened = found.with(found.dataset, note: holdOutNote(images, asTrained, found, path: path))
  opened = opened.with(opened.dataset, note: treatmentNote(images, path: path))
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

/// What is to be known of images that a run held out, if these may be its own.
private func holdOutNote(
  _ asked: ImageArguments, _ asTrained: ImageArguments, _ opened: OpenedData, path: String
) -> String? {
  guard !asked.isHoldOutGiven, let share = RunFolder.configuration(ofModel: path)?.images?.holdOut else {
    return nil
  }
  if asTrained.isHoldOutGiven { return "--hold-out \(share) as in training (--hold-out 0 takes all images)" }
  return opened.part == nil
    ? "\(path) was trained with --hold-out \(share): give it where these are its images" : nil
}

/// What is done to these images and was not to those that the model was trained on, or the reverse.
private func treatmentNote(_ asked: ImageArguments, path: String) -> String? {
  guard let trained = RunFolder.configuration(ofModel: path)?.images else { return nil }
  let differences = zip(trained.treatment, asked.settings.treatment).filter { $0.value != $1.value }
  if differences.isEmpty { return nil }
  let parts = differences.map { "\($0.option) \($0.value), here \($1.value)" }
  return "\(path) was trained with \(parts.joined(separator: "; "))"
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
  let places = try ClassNames.places(
    of: names, in: known, count: configuration.classCount, location: location, path: path)
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
