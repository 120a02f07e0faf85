import ArgumentParser
import GlowImages

extension Resizing: ExpressibleByArgument {}
extension DataPart: ExpressibleByArgument {}

/// Which images a command works on.
struct DataArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A folder of CIFAR-10 batches, IDX files or PNG images, a .npy file, or the word faces.",
      valueName: "data"))
  var data: String

  @Option(help: "Side of the images: smaller ones are padded, larger ones reduced.")
  var imageSize: Int?

  @Option(help: "How larger images are reduced: box (area average) or crop.")
  var resize = Resizing.box

  @Option(help: "Use only the first images.")
  var limit: Int?

  func validate() throws {
    if let imageSize, !(1...16384).contains(imageSize) {
      throw ValidationError("--image-size must be 1 to 16384, not \(imageSize)")
    }
    if let limit, limit < 1 { throw ValidationError("--limit must be at least 1, not \(limit)") }
  }

  /// - Parameter side: the side to bring images to if none is asked for.
  func open(_ part: DataPart, side: Int? = nil) throws -> OpenedData {
    var options = DataOptions()
    options.imageSize = imageSize ?? side
    options.resizing = resize
    options.limit = limit
    return try DataSource.open(data, part: part, options: options)
  }
}
