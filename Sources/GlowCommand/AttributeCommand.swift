import ArgumentParser
import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowLatents
import GlowStorage
import GlowTraining

struct AttributeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attribute",
    abstract: "Find the direction in the latent space that an attribute of images takes.",
    discussion: """
      The vector is the mean of the latents of images with the attribute less the mean of those without. Attributes \
      are those in list_attr_celeba.txt beside the images, those of the built-in faces, and the classes of the data. \
      With --all, those that all images have or none has are left out.
      """)

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @OptionGroup var data: DataArguments
  @Option(help: "The attribute, for instance Smiling.") var name: String?
  @Flag(help: "All attributes; --out is then a folder.") var all = false
  @Flag(
    help: ArgumentHelp(
      "Take out what the other attributes explain.",
      discussion:
        "The vector is the attribute's coefficient in the least-squares regression on all attributes that tell "
        + "images apart; a class is told from all other classes together."))
  var orthogonal = false
  @Option(help: "The .npy file to write, or the folder for NAME.npy of all attributes.") var out: String
  @Option(help: "train, valid or test, where the data has them.") var split = DataPart.train
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if all == (name != nil) { throw ValidationError("expected either --name ATTRIBUTE or --all") }
    try destination.checkName()
  }

  private var destination: Destination { Destination("--out", out, all ? .newFolder : .vector) }

  func run() throws {
    let stored = try weights.read(model, threads.team())
    let glow = stored.glow
    let opened = try openData(data, split, for: stored, path: model, readsAttributes: true)
    if let note = opened.note { try answer(note) }
    let attributes = DatasetAttributes(opened.dataset)
    let chosen = try choose(attributes)
    try Destination.prepare([destination], inputs: [model], data: [data.data])
    // The sums of each attribute and of all images, in Double, and the vectors.
    try requireMemory(
      (8 * (attributes.names.count + 1) + 4 * chosen.count) * glow.latentCount,
      for: "a vector for each of \(attributes.names.count) attributes", advice: "use a smaller model")
    let scorer = try Scorer(glow, batch: glow.batchThatFits(64))
    scorer.progress = Countdown("images").reached
    let statistics = try AttributeStatistics(
      opened.dataset, attributes: attributes, scorer: scorer, size: glow.latentCount)
    let vectors = try usable(chosen) {
      try orthogonal ? statistics.partialEffect($0) : statistics.meanDifference($0)
    }
    if all {
      try Folder.fill(out) { folder in
        for (attribute, vector) in vectors {
          try LatentFile.write(vector, to: "\(folder)/\(attributes.names[attribute]).npy")
        }
      }
    } else {
      try LatentFile.write(vectors[0].vector, to: out)
    }
    for (attribute, vector) in vectors {
      let path = all ? "\(out)/\(attributes.names[attribute]).npy" : out
      let having = statistics.count(with: attribute)
      let length = vector.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
      try answer(
        "\(path): \(attributes.names[attribute]), \(counted(having, "image")) with and \(statistics.count - having) without, "
          + String(format: "length %.2f", length))
    }
  }

  /// The vectors of the attributes that have one; with --all the others are warned of.
  ///
  /// - Throws: `AttributeError` if one is asked for that has none, or if none has one.
  private func usable(
    _ chosen: [Int], _ vector: (Int) throws -> [Float]
  ) throws -> [(attribute: Int, vector: [Float])] {
    var vectors: [(Int, [Float])] = []
    var failures: [AttributeError] = []
    for attribute in chosen {
      do { vectors.append((attribute, try vector(attribute))) } catch let error as AttributeError {
        failures.append(error)
      }
    }
    if vectors.isEmpty, let failure = failures.first { throw failure }
    for failure in failures { warn("left out: \(failure)") }
    return vectors
  }

  /// Which of the attributes are wanted.
  ///
  /// - Throws: `FileError` naming what there is.
  private func choose(_ attributes: DatasetAttributes) throws -> [Int] {
    let names = attributes.names
    if names.isEmpty { throw FileError(data.data, "has no attributes and no classes") }
    guard let name else {
      if let bad = names.first(where: { $0.contains("/") }) {
        throw FileError(data.data, "has the attribute '\(bad)', which cannot name a file: use --name")
      }
      return Array(names.indices)
    }
    return [try attributes.index(of: name, data: data.data)]
  }
}
