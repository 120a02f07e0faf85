import ArgumentParser
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowLatents
import GlowTraining

/// How a command takes in single images and shows what becomes of them.
struct PictureArguments: ParsableArguments {
  @OptionGroup var treatment: TreatmentArguments
  @OptionGroup var classes: ClassArguments
  @Option(help: "Enlargement of each image.") var scale = 2

  func validate() throws {
    if !(1...32).contains(scale) { throw ValidationError("--scale must be 1 to 32, not \(scale)") }
  }

  /// A space for the latents of a model's images.
  ///
  /// - Throws: `ConfigurationError` if the model needs a class that is not given, or does not know it.
  func space(_ stored: StoredModel, model: String) throws -> LatentSpace {
    try LatentSpace(stored.glow, label: try classes.label(stored, model: model))
  }

  /// Reads image files and brings them to the shape of a model's images, as data are: with what the model's run did to its
  /// images, unless something else is asked for. An image of that shape is only cropped if that is asked for here.
  ///
  /// - Parameter model: the run's folder or one of its models.
  /// - Throws: `FileError`.
  func read(_ paths: [String], shape: ImageShape, model: String) throws -> [ByteImage] {
    let run = RunFolder.configuration(ofModel: model)?.images
    let asTrained = run.map { treatment.filled(from: $0) } ?? treatment
    let taken = asTrained.settings.options.filter { !treatment.settings.options.contains($0) }
    if !taken.isEmpty { try answer("\(taken.joined(separator: " ")) as in training") }
    return try paths.map { path in
      for note in ImageFile.notes(path, background: asTrained.background) { try answer(note) }
      var image = try ImageFile.read(path, background: asTrained.background)
      if image.shape.channels != shape.channels, let converted = image.with(channels: shape.channels) {
        try answer(
          "\(path): \(shape.channels == 3 ? "gray is repeated in three channels" : "RGB without colors becomes gray")"
        )
        image = converted
      }
      let side = shape.height == shape.width ? shape.height : treatment.crop
      if let side, image.shape != shape || treatment.crop != nil {
        let resizer = Resizer(size: side, resizing: asTrained.resizing, crop: asTrained.crop)
        if let note = resizer.note(image.shape) { try answer("\(path): \(note)") }
        image = resizer.resize(image)
      } else if asTrained.crop != nil {
        try answer("\(path): has the model's size and is not cropped")
      }
      if image.shape != shape {
        throw FileError(path, "is \(image.shape), expected \(shape) as the model's images")
      }
      return image
    }
  }
}

/// Checks, before anything is decoded, that a grid of images can be written and read again, and that there is the
/// memory for it.
///
/// - Throws: `ConfigurationError`; `MemoryError`.
func checkGrid(of shape: ImageShape, count: Int, columns: Int? = nil, scale: Int) throws {
  let columns = columns ?? Int(Double(count).squareRoot().rounded(.up))
  let rows = (count + columns - 1) / columns
  let (height, width) = (rows * (shape.height * scale + 2), columns * (shape.width * scale + 2))
  if max(height, width) > PNG.maximumSide {
    throw ConfigurationError(
      "\(rows)×\(columns) images of \(shape) at --scale \(scale) make a picture of \(height)×\(width), expected "
        + "at most \(PNG.maximumSide) a side: ask for fewer images or a smaller --scale")
  }
  // The images, their picture, and its file, which may be as large.
  try requireMemory(
    (count * shape.height * shape.width + 2 * height * width) * shape.channels,
    for: "a picture of \(height)×\(width)", advice: "ask for fewer images or a smaller --scale")
}

/// Warns of decoded images with values that are not finite, which are black in part or wholly.
///
/// - Throws: `ConfigurationError` if there are no others.
func checkFinite(_ decoded: DecodedCount) throws {
  if decoded.nonFinite == 0 { return }
  let reason = "values that are not finite: their latents lie too far from those of images"
  if decoded.nonFinite == decoded.images {
    let all = decoded.images == 1 ? "the decoded image has" : "all \(decoded.images) decoded images have"
    throw ConfigurationError("\(all) \(reason)")
  }
  warn(
    "\(decoded.nonFinite) of \(decoded.images) decoded images \(decoded.nonFinite == 1 ? "has" : "have") \(reason)"
  )
}
