import ArgumentParser
import Foundation
import GlowFiles
import GlowImages

struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "Show what a data set holds, or write it as PNG files or one .npy file.")

  @Argument(help: "As --data of the other commands.") var location: String
  @OptionGroup var images: ImageArguments
  @Option(
    help:
      "A .npy file of bytes [N, H, W, C], or a folder for PNGs (one folder a class) and list_attr_celeba.txt."
  )
  var export: String?
  @Option(help: "train (the default), valid or test, where the data has them.") private var split: DataPart?
  @Flag(help: "Decode every image, of all parts unless --split names one, and list those that are broken.")
  var check = false
  @OptionGroup var log: LogArguments

  func validate() throws {
    try destination?.checkName()
    if check && export != nil { throw ValidationError("--check and --export exclude each other") }
  }

  private var destination: Destination? {
    export.map { Destination("--export", $0, isArray($0) ? .images : .newFolder) }
  }

  /// What is not a new or present folder can only take one stream of bytes.
  private func isArray(_ path: String) -> Bool {
    path.hasSuffix(".npy") || Destination("--export", path, .images).isSpecial
  }

  func run() throws {
    if let destination { try Destination.prepare([destination], inputs: [], data: [location]) }
    if check { return try checkParts() }
    let opened = try images.open(location, split ?? .train, readsAttributes: true)
    let dataset = opened.dataset
    try answer(opened.summary)
    if !dataset.classNames.isEmpty { try answer("classes: \(dataset.classNames.joined(separator: ", "))") }
    if !dataset.attributeNames.isEmpty {
      try answer("attributes: \(dataset.attributeNames.joined(separator: ", "))")
    }
    guard let export else {
      let note = try hinting("--check lists all such files") {
        try dataset.checkAll(progress: Countdown("images").reached)
      }
      if let note { try answer(note) }
      return
    }
    if isArray(export) {
      try write(dataset, to: export)
    } else {
      try writeFolder(dataset, to: export)
    }
    try answer("written to \(export)")
  }

  /// Decodes the part that was asked for, or all that are there.
  private func checkParts() throws {
    var isSound = true
    var checked = 0
    for part in split.map({ [$0] }) ?? DataPart.allCases {
      let opened: OpenedData
      // Images without a line in a list of attributes would be left out, and are not here.
      do { opened = try images.open(location, part) } catch let error as FileError {
        if split != nil { throw error }
        if !error.isOfMissing {
          // The first error may be of everything.
          if checked == 0 { throw error }
          try answer("\(part): \(error)")
          isSound = false
        }
        continue
      }
      // Where there is no test part, the valid one is taken for it.
      if split == nil, let found = opened.part, found != part { continue }
      checked += 1
      let isWhole = try check(opened)
      isSound = isSound && isWhole
      if opened.part == nil { break }
    }
    if checked == 0 { throw FileError(location, "has none of the parts train, valid and test") }
    if !isSound { throw ExitCode(1) }
  }

  /// Whether all images can be read; those that cannot are listed.
  private func check(_ opened: OpenedData) throws -> Bool {
    try answer(opened.summary)
    let count = opened.dataset.count
    let countdown = Countdown("images")
    var looked = 0
    let (broken, note) = DataCheck.brokenImages(opened.dataset) {
      looked += 64
      countdown.reached(looked, of: count)
    }
    for error in broken { try answer("\(error)") }
    if let note { try answer(note) }
    let part = opened.part.map { " of the part \($0)" } ?? ""
    try answer(
      broken.isEmpty
        ? "all \(counted(count, "image"))\(part) can be read" : "broken: \(broken.count) of \(count)\(part)")
    return broken.isEmpty
  }

  /// One PNG an image, in one folder a class if there are classes, and the list of attributes if there are any.
  private func writeFolder(_ dataset: any Dataset, to export: String) throws {
    for name in dataset.classNames where name.isEmpty || name.hasPrefix(".") || name.contains("/") {
      throw FileError(export, "cannot hold a folder for the class '\(name)'")
    }
    try Folder.fill(export, need: PNG.need(dataset.count, of: dataset.shape)) { folder in
      for name in dataset.classNames { try Folder.make("\(folder)/\(name)") }
      var rows: [AttributeList.Row] = []
      let countdown = Countdown("images")
      for index in 0..<dataset.count {
        let place = dataset.label(index).map { "\(dataset.classNames[$0])/" } ?? ""
        let name = place + String(format: "%06d.png", index + 1)
        try PNG.write(try dataset.image(index), to: "\(folder)/\(name)")
        countdown.reached(index + 1, of: dataset.count)
        if let attributes = dataset.attributes(index) {
          rows.append(AttributeList.Row(file: name, values: attributes))
        }
      }
      if !rows.isEmpty {
        try AtomicFile.write(
          AttributeList.format(names: dataset.attributeNames, rows: rows),
          to: "\(folder)/\(AttributeList.fileName)")
      }
    }
  }

  private func write(_ dataset: any Dataset, to path: String) throws {
    let shape = dataset.shape
    let header = NumpyHeader(
      dataType: "|u1", shape: [dataset.count, shape.height, shape.width, shape.channels])
    try AtomicFile.write(to: path, size: header.dataSize ?? .max) { file in
      try header.encoded().withUnsafeBytes(file.append)
      let countdown = Countdown("images")
      for index in 0..<dataset.count {
        try dataset.image(index).pixels.withUnsafeBytes(file.append)
        countdown.reached(index + 1, of: dataset.count)
      }
    }
  }
}
