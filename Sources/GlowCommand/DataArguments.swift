import ArgumentParser
import GlowFlow
import GlowImages

extension Resizing: ExpressibleByArgument {}
extension DataPart: ExpressibleByArgument {}

/// Which images a command works on.
struct DataArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A folder of CIFAR-10 batches, IDX files or PNG images, a .npy file, or the word faces, constant or noise.",
      valueName: "data"))
  var data: String
  @OptionGroup var images: ImageArguments

  func open(_ part: DataPart) throws -> OpenedData { try images.open(data, part) }
}

/// What is done to the images of a data set.
struct ImageArguments: ParsableArguments {
  @Option(help: "Side of the images: smaller ones are padded, larger ones reduced.")
  var imageSize: Int?

  @Option(help: "How larger images are reduced: box (area average) or crop.")
  var resize = Resizing.box

  @Option(help: "Use only the first images.")
  var limit: Int?

  func validate() throws {
    if let imageSize, !(1...PNG.maximumSide).contains(imageSize) {
      throw ValidationError("--image-size must be 1 to \(PNG.maximumSide), not \(imageSize)")
    }
    if let limit, limit < 1 { throw ValidationError("--limit must be at least 1, not \(limit)") }
  }

  /// - Parameter model: the shape of the images of the model that they are for, if there is one.
  func open(_ location: String, _ part: DataPart, model: ImageShape? = nil) throws -> OpenedData {
    var options = DataOptions()
    options.imageSize = imageSize
    options.resizing = resize
    options.limit = limit
    options.modelShape = model
    return try DataSource.open(location, part: part, options: options)
  }
}

/// Opens images for a model: brought to its size if it is square, grey ones as RGB if it is.
///
/// - Throws: `FileError`; `ConfigurationError` if they do not fit it.
func openData(
  _ data: DataArguments, _ part: DataPart, for glow: Glow<Float>, model: String
) throws -> OpenedData {
  try openData(data.data, data.images, part, for: glow, model: model)
}

func openData(
  _ location: String, _ images: ImageArguments, _ part: DataPart, for glow: Glow<Float>, model: String
) throws -> OpenedData {
  let shape = ImageShape(glow.configuration)
  let opened = try images.open(location, part, model: shape)
  if opened.dataset.shape != shape {
    throw ConfigurationError(
      "\(location): images of \(opened.dataset.shape) do not fit \(model), a model of \(shape) images")
  }
  if glow.configuration.isConditional && opened.dataset.classNames.isEmpty {
    throw ConfigurationError("\(location) has no classes, and \(model) needs the class of every image")
  }
  if glow.configuration.isConditional && opened.dataset.classNames.count > glow.configuration.classCount {
    throw ConfigurationError(
      "\(location) has \(opened.dataset.classNames.count) classes and \(model) knows "
        + "\(glow.configuration.classCount)")
  }
  return opened
}
