import ArgumentParser
import Foundation
import GlowFiles
import GlowImages

struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "Show what a data set holds, or write it as PNG files or one .npy file.")

  @Argument(help: "As --data of the other commands.") var location: String
  @Option(help: "Use only the first images.") var limit: Int?
  @Option(help: "A .npy file of bytes [N, H, W, C], or a folder for PNGs and list_attr_celeba.txt.")
  var export: String?
  @Option(help: "train or test, where the data has both.") var split = DataPart.train

  func validate() throws {
    if let limit, limit < 1 { throw ValidationError("--limit must be at least 1, not \(limit)") }
  }

  func run() throws {
    var options = DataOptions()
    options.limit = limit
    let opened = try DataSource.open(location, part: split, options: options)
    let dataset = opened.dataset
    print("\(opened.kind): \(dataset.count) images of \(dataset.shape)")
    if !dataset.classNames.isEmpty { print("classes: \(dataset.classNames.joined(separator: ", "))") }
    if !dataset.attributeNames.isEmpty {
      print("attributes: \(dataset.attributeNames.joined(separator: ", "))")
    }
    guard let export else {
      try dataset.checkAll()
      return
    }
    if export.hasSuffix(".npy") {
      try write(dataset, to: export)
      return print("written to \(export)")
    }
    do { try FileManager.default.createDirectory(atPath: export, withIntermediateDirectories: true) } catch {
      throw FileError(export, "cannot make this folder: \(error.localizedDescription)")
    }
    var rows: [AttributeList.Row] = []
    for index in 0..<dataset.count {
      let name = String(format: "%06d.png", index + 1)
      try PNG.write(try dataset.image(index), to: "\(export)/\(name)")
      if let attributes = dataset.attributes(index) {
        rows.append(AttributeList.Row(file: name, values: attributes))
      }
    }
    if !rows.isEmpty {
      try AtomicFile.write(
        AttributeList.format(names: dataset.attributeNames, rows: rows), to: "\(export)/list_attr_celeba.txt")
    }
    print("written to \(export)")
  }

  private func write(_ dataset: any Dataset, to path: String) throws {
    let shape = dataset.shape
    let header = NumpyHeader(
      dataType: "|u1", shape: [dataset.count, shape.height, shape.width, shape.channels])
    try AtomicFile.write(to: path) { file in
      try header.encoded().withUnsafeBytes(file.append)
      for index in 0..<dataset.count { try dataset.image(index).pixels.withUnsafeBytes(file.append) }
    }
  }
}
