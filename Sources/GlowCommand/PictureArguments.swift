import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowLatents

/// How a command takes in single images and shows what becomes of them.
struct PictureArguments: ParsableArguments {
  @Option(help: "How larger images are reduced to the model's size: box (area average) or crop.")
  var resize = Resizing.box
  @Option(name: .customLong("class"), help: "The class of the images, for a conditional model.") var label = 0
  @Option(help: "Enlargement of each image.") var scale = 2

  func validate() throws {
    if !(1...32).contains(scale) { throw ValidationError("--scale must be 1 to 32, not \(scale)") }
  }

  /// A space for the latents of a model's images.
  ///
  /// - Throws: `ConfigurationError` if the model does not know the class.
  func space(_ glow: Glow<Float>, model: String) throws -> LatentSpace {
    if label < 0 || label >= max(1, glow.configuration.classCount) {
      throw ConfigurationError("\(model) has no class \(label)")
    }
    return LatentSpace(glow, label: label)
  }

  /// Checks, before anything is decoded, that a grid of images can be written and read again.
  ///
  /// - Throws: `ConfigurationError`.
  func checkGrid(of shape: ImageShape, rows: Int, columns: Int) throws {
    let largest = 16384
    let (height, width) = (rows * (shape.height * scale + 2), columns * (shape.width * scale + 2))
    if max(height, width) > largest {
      throw ConfigurationError(
        "\(rows)×\(columns) images of \(shape) at --scale \(scale) make a picture of \(height)×\(width), expected "
          + "at most \(largest) a side")
    }
  }

  /// Reads PNG files and brings them to the shape of a model's images, as data are.
  ///
  /// - Throws: `FileError`.
  func read(_ paths: [String], shape: ImageShape) throws -> [ByteImage] {
    try paths.map { path in
      var image = try PNG.read(path)
      if image.shape != shape, shape.height == shape.width {
        let resizer = Resizer(size: shape.height, resizing: resize)
        if let note = resizer.note(image.shape) { print("\(path): \(note)") }
        image = resizer.resize(image)
      }
      if image.shape != shape {
        throw FileError(path, "is \(image.shape), expected \(shape) as the model's images")
      }
      return image
    }
  }
}

/// The name of a file to write must tell its kind.
///
/// - Throws: `ValidationError`.
func checkIsPNG(_ path: String, _ option: String) throws {
  if !path.hasSuffix(".png") { throw ValidationError("\(option) must end in .png, not \(path)") }
}

/// A list of numbers such as "-1,0,0.5".
struct NumberList: ExpressibleByArgument {
  let values: [Double]

  init(_ values: [Double]) { self.values = values }

  init?(argument: String) {
    let values = argument.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    if values.contains(where: { $0?.isFinite != true }) { return nil }
    self.values = values.map { $0! }
  }

  var defaultValueDescription: String { values.map { String(format: "%g", $0) }.joined(separator: ",") }
}
